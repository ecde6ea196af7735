package sqlite

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// groupSize bounds how many operations share one commit: enough to make the
// cost of the disk's flush vanish, few enough to keep a group under 10 ms.
const groupSize = 256

// writer owns the one connection that writes. It runs operations in the order
// in which they came and commits those that have queued up while the disk was
// busy together; nobody is answered before the commit is on disk.
//
// Operations have no savepoint each: they write nothing before they refuse, so
// that only a failing database makes one fail halfway. Then the whole group is
// rolled back and run again one by one, and only the bad one fails. This saves
// two statements of five.
type writer struct {
	store *Store
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	hints hints
	// version is SQLite's number of writes by other connections, see foreign.
	version int64

	ops     chan *operation
	quit    chan struct{}
	once    sync.Once
	running sync.WaitGroup
}

// operation is one call on its way through the writer.
type operation struct {
	run   func(*tx) error // may run more than once, each time from the start
	state atomic.Int32
	done  chan error
}

// The states of an operation: who waits for it may give it up before it has
// started.
const (
	opWaiting int32 = iota
	opStarted
	opGivenUp
)

func newWriter(ctx context.Context, s *Store) (*writer, error) {
	w := &writer{store: s, stmts: map[string]*sql.Stmt{}, ops: make(chan *operation, groupSize), quit: make(chan struct{})}
	var err error
	w.db, err = sql.Open("sqlite", dsn(s.path, "journal_mode(WAL)", "synchronous(FULL)", "temp_store(MEMORY)", writeCache))
	if err != nil {
		return nil, err
	}
	w.db.SetMaxOpenConns(1)
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return w, storeError("connecting", err)
	}
	if err := migrate(ctx, w.conn); err != nil {
		return w, err
	}
	t := &tx{writer: w, store: s, now: s.now().UnixNano()}
	if err := t.loadHints(); err != nil {
		return w, storeError("reading the queue", err)
	}
	w.foreign()
	return w, storeError("tidying", w.attempt([]*operation{{run: func(t *tx) error { return t.tidy() }}}))
}

func (w *writer) start() { w.running.Go(w.loop) }

func (w *writer) loop() {
	group := make([]*operation, 0, groupSize)
	look := time.NewTicker(filesEvery)
	defer look.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-look.C:
			_ = w.store.whole() // it tells the log
			w.foreign()
			continue
		case o := <-w.ops:
			group = append(group[:0], o)
		}
	collect:
		for len(group) < groupSize {
			select {
			case o := <-w.ops:
				group = append(group, o)
			default:
				break collect
			}
		}
		w.commit(group)
	}
}

// commit runs a group and answers every one of it.
func (w *writer) commit(group []*operation) {
	started := group[:0]
	for _, o := range group {
		if o.state.CompareAndSwap(opWaiting, opStarted) {
			started = append(started, o)
		}
	}
	if len(started) == 0 {
		return
	}
	if err := w.store.whole(); err != nil {
		for _, o := range started {
			o.done <- err
		}
		return
	}
	w.foreign()
	err := w.attempt(started)
	if err == nil || len(started) == 1 {
		for _, o := range started {
			o.done <- err
		}
		return
	}
	for i := range started {
		started[i].done <- w.attempt(started[i : i+1])
	}
}

// attempt runs operations in one transaction: all or none.
func (w *writer) attempt(group []*operation) (err error) {
	t := &tx{writer: w, store: w.store}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer t.dropChanged() // also after a failure: a commit may have reached the disk
	defer func() {
		if err == nil {
			return
		}
		// The database may have rolled back by itself, so that this may fail.
		_ = t.exec("ROLLBACK")
		w.hints.loaded = false
	}()
	if !w.hints.loaded {
		if err := t.loadHints(); err != nil {
			return err
		}
	}
	for _, o := range group {
		t.now = w.store.now().UnixNano()
		if err := o.run(t); err != nil {
			return err
		}
	}
	if w.hints.appended > tidyEvery {
		if err := t.tidy(); err != nil {
			return err
		}
	}
	if err := t.exec("COMMIT"); err != nil {
		return err
	}
	t.dropChanged() // before those are woken who wait for what is new
	t.announce()
	return nil
}

// announce tells those who wait in this process.
func (t *tx) announce() {
	if t.changed {
		t.store.feed.Signal()
	}
}

// close stops the loop, answers what still waits and closes the connection.
func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	w.running.Wait()
	for _, stmt := range w.stmts {
		_ = stmt.Close() // the connection closes next
	}
	var err error
	if w.conn != nil {
		err = w.conn.Close()
	}
	if e := w.db.Close(); err == nil {
		err = e
	}
	return err
}

// write runs fn in the writer and returns its answer once that is on disk. An
// error of fn that is one of gate's is an answer, what fn wrote stands; any
// other one undoes it. fn may run more than once and must not keep state.
//
// When ctx ends first, an operation that has not started is not run; of one
// that has, nothing is known.
func write[T any](ctx context.Context, s *Store, what string, fn func(*tx) (T, error)) (T, error) {
	return submit(ctx, s, what, false, fn)
}

// submit is write; with insist an operation that has started is waited for
// although ctx has ended.
func submit[T any](ctx context.Context, s *Store, what string, insist bool, fn func(*tx) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var a answer // written by the writer, read here after done only
	o := &operation{done: make(chan error, 1), run: func(t *tx) error {
		v, err := fn(t)
		if err != nil && !classified(err) {
			return err
		}
		a = answer{v, err}
		return nil
	}}
	var zero T
	wait := func() (T, error) {
		if err := <-o.done; err != nil {
			return zero, storeError(what, err)
		}
		return a.value, a.err
	}
	if err := ctx.Err(); err != nil {
		return zero, storeError(what, err)
	}
	select {
	case s.writer.ops <- o:
	case <-ctx.Done():
		return zero, storeError(what, ctx.Err())
	case <-s.writer.quit:
		return zero, storeError(what, errClosed)
	}
	select {
	case err := <-o.done:
		o.done <- err // for wait
		return wait()
	case <-ctx.Done():
		if !o.state.CompareAndSwap(opWaiting, opGivenUp) && insist {
			return wait()
		}
		return zero, storeError(what, ctx.Err())
	case <-s.writer.quit:
		if !o.state.CompareAndSwap(opWaiting, opGivenUp) {
			return wait() // it is running and will be answered
		}
		return zero, storeError(what, errClosed)
	}
}

// tx is what an operation sees: the connection within a transaction, and the
// time of the operation.
type tx struct {
	writer *writer
	store  *Store
	now    int64 // Unix nanoseconds

	changed bool
	wrote   changed
}

// exec and row run a statement, which is prepared once. They take no context:
// the driver would start a goroutine for each statement.
func (t *tx) exec(query string, args ...any) error {
	stmt, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = stmt.Exec(args...)
	return err
}

func (t *tx) row(query string, args ...any) scanner {
	stmt, err := t.stmt(query)
	if err != nil {
		return failed{err}
	}
	return stmt.QueryRow(args...)
}

// each runs a query and calls fn for each row. fn must not use the connection.
func (t *tx) each(fn func(scanner) error, query string, args ...any) error {
	stmt, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(args...)
	if err != nil {
		return err
	}
	return forEach(rows, fn)
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if stmt, ok := t.writer.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := t.writer.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.writer.stmts[query] = stmt
	}
	return stmt, err
}

type scanner interface {
	// Scan copies the columns of the present row, as sql.Row has it.
	Scan(dest ...any) error
}

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

func forEach(rows *sql.Rows, fn func(scanner) error) error {
	for rows.Next() {
		if err := fn(rows); err != nil {
			_ = rows.Close()
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return rows.Close()
}

// change appends to the feed, in the transaction of what it names.
func (t *tx) change(kind gate.ChangeKind, key string) error { return t.changeWith(kind, key, 0) }

// changeWith is change with the number of the history entry that was written with it.
func (t *tx) changeWith(kind gate.ChangeKind, key string, history int64) error {
	t.changed = true
	t.writer.hints.appended++
	return t.exec(`INSERT INTO feed (kind, key, at, history) VALUES (?, ?, ?, ?)`, changeCode(kind), key, t.now, history)
}
