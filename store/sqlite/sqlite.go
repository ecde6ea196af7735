// Package sqlite is the embedded implementation of the store contract: one
// SQLite file on a local disk, used by one process.
//
// All writes go through one goroutine on one connection that commits them in
// groups, with WAL and synchronous=FULL: a call that has returned is on disk.
// Reads have a pool of their own and never wait for writes. Like every store,
// this one touches scheduler state and a record, or two digests, in separate
// transactions only, although it could do otherwise: what works here works on
// Redis Cluster.
//
// A Store is safe for concurrent use. A second process on the same file is
// refused; the lock goes with the process, however it ends.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the database driver "sqlite"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
	"github.com/digestgate/digestgate/store"
)

var _ store.Store = (*Store)(nil)

// DefaultFeed is how many changes the feed keeps at least unless Options say otherwise.
const DefaultFeed = 200_000

// Options are the settings of a store; the zero value is usable.
type Options struct {
	// Clock is the store's clock; time.Now when nil.
	Clock func() time.Time
	// Logger gets what no caller can be told: values that cannot be read. Nil
	// discards it.
	Logger *slog.Logger
	// FeedRetention is how many changes the feed keeps at least, see store.FeedFor;
	// 200,000 (about 20 MB)
	// when zero. A reader that is further behind scans everything again.
	FeedRetention int64
	// JobRetention is how long a job that was superseded, or is done, can be
	// read by its id; 7 days when zero. The newest failed or cancelled job of a
	// key is kept for ever, it is the state of its image.
	JobRetention time.Duration
	// HistoryRetention is how long an entry of a history is shown; it is removed when a
	// later one is written. No limit when zero.
	HistoryRetention time.Duration
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.FeedRetention <= 0 {
		o.FeedRetention = DefaultFeed
	}
	if o.JobRetention <= 0 {
		o.JobRetention = 7 * 24 * time.Hour
	}
	return o
}

// Store is a store in one SQLite file.
type Store struct {
	options Options
	path    string
	lock    *os.File
	reads   *sql.DB
	queries queries
	writer  *writer
	feed    *store.Broadcast
	codec   *store.Codec
	marker  store.Marker
	files   files
	copies  *copies.Copies // for reviews, see reader
	close   func() error
}

// Open opens or creates the store at path, which may also be a sqlite:// URL. Missing
// directories are made. It refuses a file that another process uses, that is not a
// store, or that a newer version has written; such errors wrap
// gate.ErrStoreUnavailable, a wrong path gate.ErrInvalid.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if strings.Contains(path, "://") {
		var err error
		if path, err = store.SQLitePath(path); err != nil {
			return nil, err
		}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the store %q: %w: %w", path, gate.ErrInvalid, err)
	}
	s := &Store{options: o.withDefaults(), path: abs, feed: store.NewBroadcast(), marker: store.NewMarker()}
	s.copies = copies.New(s.now)
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the store %q: %w", path, errors.Join(err, s.release()))
	}
	s.close = sync.OnceValue(s.release)
	return s, nil
}

const (
	// readers is how many reads run at once; more would only compete for the same cores, as
	// a read takes microseconds.
	readers = 8
	// readCache is what each of them keeps of the file, 2 MB: enough for the inner pages of
	// all indices of 100,000 images. The kernel has the others, at 2 µs each; large values
	// would only push out what is read again. It is memory of the process that no collector
	// gives back.
	readCache = "cache_size(-2000)"
	// writeCache is what the connection that writes keeps, 8 MB: a group of 256 operations
	// changes 2 MB at most (large values go past it).
	writeCache = "cache_size(-8000)"
)

func (s *Store) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
		return fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
	}
	if s.lock, err = acquire(s.path + ".lock"); err != nil {
		return err
	}
	// The store holds the admin token: its file, from which SQLite takes the
	// mode of its companions, is for its owner only, and so are companions that
	// an earlier process has left.
	if err := gate.PrivateFile(s.path, "-wal", "-shm"); err != nil {
		return fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
	}
	if s.codec, err = store.NewCodec(); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, s); err != nil {
		return err
	}
	s.reads, err = sql.Open("sqlite", dsn(s.path, "query_only(1)", readCache))
	if err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	if err := s.queries.prepare(ctx, s.reads); err != nil {
		return storeError("preparing queries", err)
	}
	if err := s.files.remember(s.path); err != nil {
		return err
	}
	s.writer.start()
	return nil
}

// dsn names the file to the driver. Characters that end a path in a URI are
// escaped; the pragmas are applied to each new connection.
func dsn(path string, pragmas ...string) string {
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return "file:" + path + "?" + q.Encode()
}

// Close ends background work and releases the file. Calls that are waiting
// answer gate.ErrStoreUnavailable. Closing again does nothing.
func (s *Store) Close() error { return s.close() }

func (s *Store) release() error {
	var errs []error
	s.copies.Close()
	if s.queries != nil {
		errs = append(errs, s.queries.close())
	}
	if s.reads != nil {
		errs = append(errs, s.reads.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.codec != nil {
		errs = append(errs, s.codec.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close()) // which also unlocks it
	}
	return errors.Join(errs...)
}

// Now is the clock of this process: it is the only one that uses the store.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, storeError("reading the clock", err)
	}
	return s.now(), nil
}

func (s *Store) now() time.Time { return s.options.Clock().UTC().Round(0) }

// Check writes a row durably and reads it back through the reading side. A file
// that has vanished is *store.Damaged.
func (s *Store) Check(ctx context.Context) error {
	const what = "checking the store"
	at, err := write(ctx, s, what, func(t *tx) (int64, error) {
		return t.now, t.exec(`INSERT INTO counters(name, value) VALUES ('checked', ?1) ON CONFLICT(name) DO UPDATE SET value = ?1`, t.now)
	})
	if err != nil {
		return err
	}
	var seen int64
	if err := s.queries.row(ctx, queryChecked).Scan(&seen); err != nil {
		return storeError(what, err)
	}
	if seen < at && s.now().UnixNano() >= at {
		return fmt.Errorf("%s: a committed row is not visible to readers: %w", what, gate.ErrStoreUnavailable)
	}
	return nil
}
