package match

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// Matcher matches inventories against the generation that was loaded last. It
// implements standing.Matcher and is safe for concurrent use; several matchers with
// different data work in one process.
type Matcher struct {
	log     *slog.Logger
	now     func() time.Time
	version string
	current atomic.Pointer[generation]
}

// generation is an activation of a database.
type generation struct {
	gate.Generation
	db   *database
	java *javaindex.Index // nil for none
	memo *memo
}

// New makes a matcher without data; an advisory.Manager loads it. now stamps
// Findings.MatchedAt, nil means time.Now; a nil log discards. See the package
// comment for what it does to slog.Default.
func New(log *slog.Logger, now func() time.Time) *Matcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if now == nil {
		now = time.Now
	}
	replaceDeferred(log)
	return &Matcher{log: log, now: now, version: version()}
}

// Load takes the database in dir into use as generation g: matches that begin
// afterwards use it, matches that run finish with the former one or begin again.
// Nothing may write to dir from now on. After an error (gate.ErrInvalid,
// gate.ErrAdvisoriesUnavailable) the former generation is still in use.
func (m *Matcher) Load(ctx context.Context, dir string, g gate.Generation) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("loading advisory data: %w: %w", gate.ErrTimeout, err)
	}
	if cur := m.current.Load(); cur != nil && cur.Content == g.Content && cur.db.dir == dir {
		next := &generation{Generation: g, db: cur.db, java: cur.java, memo: new(memo)} // the same data under a new number
		return connection.swap(next.db, func() { m.current.Store(next) })
	}
	db, err := openDatabase(dir, g.Content)
	if err != nil {
		return err
	}
	java, err := m.openJava(dir)
	if err != nil {
		return err
	}
	next := &generation{Generation: g, db: db, java: java, memo: new(memo)}
	var former *generation
	err = connection.swap(db, func() { former = m.current.Swap(next) })
	m.closeJava(former, java, err != nil)
	return err
}

// openJava opens the index of Java archives that is part of the generation in dir, which
// may be the one in use; nil when it has none.
func (m *Matcher) openJava(dir string) (*javaindex.Index, error) {
	place, ok, err := advisory.JavaDir(dir)
	if err != nil || !ok {
		return nil, err
	}
	if cur := m.current.Load(); cur != nil && cur.java != nil && cur.java.Dir() == place {
		return cur.java, nil
	}
	return javaindex.Open(place)
}

// closeJava closes the index that is not used after a swap: that of the former generation,
// or the one that was opened for nothing. Lookups that run end first; a match that comes
// later begins again.
func (m *Matcher) closeJava(former *generation, opened *javaindex.Index, failed bool) {
	cur := m.current.Load()
	if failed {
		if opened != nil && (cur == nil || cur.java != opened) {
			_ = opened.Close() // read-only: nothing can be lost
		}
		return
	}
	if former != nil && former.java != nil && former.java != opened {
		_ = former.java.Close() // likewise
	}
}

// Close gives up the data. Matches that begin afterwards return
// gate.ErrAdvisoriesUnavailable.
func (m *Matcher) Close() error {
	if cur := m.current.Swap(nil); cur != nil {
		connection.drop(cur.db)
		if cur.java != nil {
			return cur.java.Close()
		}
	}
	return nil
}

// Generation implements standing.Matcher.
func (m *Matcher) Generation() (gate.Generation, bool) {
	cur := m.current.Load()
	if cur == nil {
		return gate.Generation{}, false
	}
	return cur.Generation, true
}

// Version implements standing.Matcher: the number of this package's format and the
// versions of Trivy and trivy-db.
func (m *Matcher) Version() string { return m.version }

// errSuperseded ends a match that newer data has overtaken.
var errSuperseded = errors.New("newer advisory data was loaded")

// maxRestarts is how often a match begins again with newer data. Swaps are
// minutes apart and matches take milliseconds; a match that is overtaken three
// times finishes with what it has.
const maxRestarts = 3

// Match implements standing.Matcher. The caller sets InventoryID and FirstSeen.
//
// Errors: gate.ErrAdvisoriesUnavailable (nothing is loaded, or the file cannot
// be read), gate.ErrTimeout (ctx ended), gate.ErrConflict (the inventory is of a
// later format), gate.ErrInvalid (no inventory). Everything that concerns the
// image itself is in the findings, also an inventory that a detector fails on.
func (m *Matcher) Match(ctx context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	if inv == nil {
		return nil, fmt.Errorf("matching: there is no inventory: %w", gate.ErrInvalid)
	}
	if inv.Format > gate.InventoryFormat {
		return nil, fmt.Errorf("matching %s: the inventory has format %d, this version reads up to %d: %w",
			inv.Digest.Short(), inv.Format, gate.InventoryFormat, gate.ErrConflict)
	}
	for restarts := 0; ; restarts++ {
		cur := m.current.Load()
		if cur == nil {
			return nil, fmt.Errorf("matching %s: %w", inv.Digest.Short(), gate.ErrAdvisoriesUnavailable)
		}
		r := &run{gen: cur, inv: inv, found: *rooms.Get().(*[]gate.Vulnerability)}
		if restarts < maxRestarts {
			r.superseded = func() bool { return m.current.Load() != cur }
		}
		err := r.match(ctx)
		if errors.Is(err, errSuperseded) {
			m.log.Debug("matching again with newer advisory data", "digest", inv.Digest.Short())
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("matching %s: %w", inv.Digest.Short(), err)
		}
		return r.result(m.version, m.now()), nil
	}
}
