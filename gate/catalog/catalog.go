package catalog

import (
	"context"
	"database/sql"
	_ "embed" // the schema
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/digestgate/digestgate/gate"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema.sql
var schema string

//go:embed holdings.sql
var holdingsSchema string

// schemaVersion is stored in PRAGMA user_version.
const schemaVersion = 7

// Source is the part of the store that the catalog follows; the methods are
// those of store.Feed, store.Store and store.Scheduler.
type Source interface {
	// Changes are up to limit changes after a number, oldest first, and the number to
	// continue from. gate.ErrConflict: the feed no longer has them, build the catalog
	// again from Scan; gate.ErrStoreUnavailable: try again.
	Changes(ctx context.Context, after int64, limit int) (changes []gate.Change, next int64, err error)
	// Changed is closed at the next change made through this process.
	Changed() <-chan struct{}
	// Scan calls fn for everything stored and returns the number from which Changes
	// continues. Errors: those of fn, gate.ErrStoreUnavailable.
	Scan(ctx context.Context, fn gate.ScanFunc) (seq int64, err error)
	// Read returns the records of changed digests. gate.ErrStoreUnavailable: try again.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	// Jobs returns the jobs of many ids; those that do not exist are missing.
	// gate.ErrStoreUnavailable: try again.
	Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error)
}

// Catalog is the projection. Start it with Follow.
type Catalog struct {
	path   string
	source Source
	log    *slog.Logger
	// using is held for reading by what uses the file, and for writing while it is
	// replaced; opened counts the files.
	using  sync.RWMutex
	opened atomic.Int64
	// forgotten counts how often what images hold was forgotten, and numbers given again.
	forgotten atomic.Int64
	file      atomic.Pointer[sql.DB]
	writing   sync.Mutex // guards pen
	pen       *pen
	// stmts are those of lists, by their text.
	compiling sync.Mutex
	stmts     map[string]*sql.Stmt
	// stepping serialises the writers; trusted says that the position is known
	// to be one in the feed of this store. All three belong to Step.
	// broken says that a damaged file could not be replaced yet.
	stepping sync.Mutex
	trusted  bool
	broken   bool
	// unexamined says that the file was there before and has not been checked; examining
	// is the check at work, which ends with quit.
	unexamined atomic.Bool
	examining  sync.WaitGroup
	quit       context.CancelFunc
	life       context.Context //nolint:containedctx // of the check, which begins with Follow and ends with Close
	search     searching
}

// Open opens or makes the projection in dir. A file that is of another version, or
// obviously damaged, is removed: the next Follow builds it again. gate.ErrResource
// when there can be no file, gate.ErrInvalid for one that belongs to another user.
func Open(ctx context.Context, dir string, source Source, log *slog.Logger) (*Catalog, error) {
	path := filepath.Join(dir, "catalog.db")
	if err := gate.PrivateFile(path, "-wal", "-shm"); err != nil {
		return nil, notPrivate(path, err)
	}
	c := &Catalog{path: path, source: source, log: log, search: usualSearching}
	c.life, c.quit = context.WithCancel(context.WithoutCancel(ctx))
	db, old, err := open(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, failure("opening the catalog", ctx.Err())
		}
		log.Info("building the catalog from the beginning", "reason", err)
		if db, err = makeAgain(ctx, path); err != nil {
			return nil, err
		}
	}
	c.unexamined.Store(old)
	c.use(db)
	return c, nil
}

// use makes a file the one that is used.
func (c *Catalog) use(db *sql.DB) {
	c.file.Store(db)
	c.pen, c.stmts = &pen{db: db}, map[string]*sql.Stmt{}
	c.opened.Add(1)
}

// db is the file that is used at present.
func (c *Catalog) db() *sql.DB { return c.file.Load() }

// makeAgain replaces a file that cannot be used by an empty one.
func makeAgain(ctx context.Context, path string) (*sql.DB, error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("removing a catalog that cannot be read: %w", errors.Join(gate.ErrResource, err))
		}
	}
	if err := gate.PrivateFile(path, "-wal", "-shm"); err != nil {
		return nil, notPrivate(path, err)
	}
	db, _, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("making the catalog %q: %w", path, errors.Join(gate.ErrResource, err))
	}
	return db, nil
}

// notPrivate says why the file is not used. What [gate.PrivateFile] refuses names the
// file, its owner and what to do; nothing is exhausted then.
func notPrivate(path string, err error) error {
	if errors.Is(err, gate.ErrInvalid) {
		return fmt.Errorf("opening the catalog: %w", err)
	}
	return fmt.Errorf("making the catalog %q readable only by its owner: %w", path, errors.Join(gate.ErrResource, err))
}

// open opens a file, and makes the tables of a new one; old says that they were there.
func open(ctx context.Context, path string) (db *sql.DB, old bool, err error) {
	// NORMAL: losing the last moments in a power cut costs a re-read of the
	// feed, nothing else.
	dsn := (&url.URL{Scheme: "file", Path: path}).String() +
		"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	db, err = sql.Open("sqlite", dsn)
	if err != nil {
		return nil, false, err
	}
	var version, tables int
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables)
	}
	switch {
	case err != nil:
	case tables == 0:
		_, err = db.ExecContext(ctx, schema+holdingsSchema+fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	case version != schemaVersion:
		err = fmt.Errorf("schema version is %d, want %d", version, schemaVersion)
	}
	if err != nil {
		return nil, false, errors.Join(err, db.Close())
	}
	return db, tables > 0, nil
}

// Close releases the file.
func (c *Catalog) Close() error {
	c.quit()
	c.examining.Wait()
	c.writing.Lock()
	defer c.writing.Unlock()
	c.using.Lock()
	defer c.using.Unlock()
	c.pen.drop()
	return c.db().Close()
}

// failure gives an error of SQLite its class: what the caller's deadline ended
// is gate.ErrTimeout, everything else is this machine's (disk full, a file that
// was damaged or removed).
func failure(doing string, err error) error {
	if _, ok := gate.Classify(err); !ok {
		err = errors.Join(gate.ErrResource, err)
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(gate.ErrTimeout, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
