// Package redis is the implementation of the store contract on a shared Redis
// (6.2 or later) or Valkey, for any number of processes: one server, a master
// that sentinels watch, or a cluster.
//
// The scheduler (queue, leases, charges, limits, feed) lives in one hash slot
// and is changed by one script for each step, see lua/. A digest's record lives
// in a slot of its own and is changed by compare and set: its rules are those of
// store.Body, its values are signed (see seals). Nothing touches both together.
// The clock is that of the server that holds the scheduler, so that the clocks
// of the replicas do not matter.
//
// What Redis may lose (its last second, or what a replica had not received at a
// failover) is never an allow: see docs/redis.md.
//
// A Store is safe for concurrent use.
package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
	"github.com/digestgate/digestgate/store"
)

var _ store.Store = (*Store)(nil)

// DefaultFeed is how many changes the feed keeps at least unless Options say otherwise.
const DefaultFeed = 100_000

// Options are the settings of a store; the zero value is usable.
type Options struct {
	// Clock replaces the server's clock, in tests.
	Clock func() time.Time
	// Logger gets what no caller can be told: values that are not believed. Nil
	// discards it.
	Logger *slog.Logger
	// Metrics counts for this store; nil counts nothing.
	Metrics *Metrics
	// FeedRetention is how many changes the feed keeps at least, give or take 1,000, see
	// store.FeedFor;
	// 100,000 (about 10 MB) when zero. A reader that is further behind scans
	// everything again.
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

// Store is a store on Redis.
type Store struct {
	options Options
	keys    keys
	client  redis.UniversalClient
	reads   redis.UniversalClient // what admission waits for; see Admission
	cluster bool
	seals   *seals
	marker  store.Marker
	codec   *store.Codec
	copies  *copies.Copies // for admission, see version.go
	metrics *Metrics
	alarms  *alarms
	types   *types
	feed    *store.Broadcast
	limits  atomic.Pointer[claimLimits] // of the latest claim
	unheard unheard
	mend    mends
	untold  untold
	turns   turns
	raised  atomic.Int64 // no epoch at or below it is handed out, see raise
	closed  atomic.Bool
	stop    context.CancelFunc
	work    sync.WaitGroup
	close   func() error
}

// Open connects to the store that the configuration names and brings its layout
// up to date. Errors wrap gate.ErrStoreUnavailable (not reached, refused, of a
// newer version) or gate.ErrInvalid (the configuration).
func Open(ctx context.Context, c store.Config, o Options) (*Store, error) {
	target, err := store.ParseRedis(c.URL)
	if err != nil {
		return nil, fmt.Errorf("store.url: %w", err)
	}
	s := &Store{
		options: o.withDefaults(), keys: keys{c.Prefix}, cluster: target.Kind == store.RedisCluster,
		feed: store.NewBroadcast(), marker: store.NewMarker(), copies: copies.New(time.Now), metrics: o.Metrics, mend: make(mends, 100), untold: make(untold, 10_000), turns: newTurns(),
	}
	s.alarms, s.types = newAlarms(s.options.Logger), newTypes()
	s.limits.Store(&claimLimits{})
	quiet()
	what := fmt.Sprintf("opening the store at %s", gate.Printable(strings.Join(target.Addrs, ", "), 200))
	file, err := openKeyFile(c.MACKeyFile, s.options.Logger)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s.seals = newSeals(file)
	if s.codec, err = store.NewCodec(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s.close = sync.OnceValue(s.release)
	if err := s.connect(ctx, c, target); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", what, err), s.Close())
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.work.Go(func() { s.listen(background) })
	s.work.Go(func() { s.alarms.run(background) })
	s.work.Go(func() { s.watchTypes(background) })
	s.work.Go(func() { s.mendRecords(background) })
	s.work.Go(func() { s.resignValues(background) })
	s.work.Go(func() { s.tellLate(background) })
	return s, nil
}

func (s *Store) connect(ctx context.Context, c store.Config, target store.RedisTarget) error {
	d, err := newDialing(c, target)
	if err != nil {
		return err
	}
	s.client, s.reads = d.client(forWork), d.client(forAdmission)
	s.metrics.show(s.client, s.reads)
	if err := s.examine(ctx); err != nil {
		return err
	}
	return s.migrate(ctx)
}

// Close ends background work and the connections. Calls that wait or come later
// answer gate.ErrStoreUnavailable; closing again does nothing.
func (s *Store) Close() error { return s.close() }

func (s *Store) release() error {
	s.closed.Store(true)
	if s.stop != nil {
		s.stop()
	}
	var errs []error
	for _, c := range []redis.UniversalClient{s.client, s.reads} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	s.work.Wait()
	return errors.Join(append(errs, s.codec.Close())...)
}

// now is the time of the caller's clock in tests, 0 for the server's.
func (s *Store) now() int64 {
	if s.options.Clock == nil {
		return 0
	}
	return s.options.Clock().UnixMicro()
}

// Now is the clock of the server that holds the scheduler.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	_, now, err := s.newestJobs(ctx, s.client, nil)
	if err != nil {
		return time.Time{}, s.failed("reading the clock", err)
	}
	return now, nil
}

// Check looks at the types of keys, writes a value and reads it back. A key that
// another program has written is *store.Damaged.
func (s *Store) Check(ctx context.Context) error {
	const what = "checking the store"
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	if err := s.wholeTypes(ctx); err != nil {
		return s.failed(what, err)
	}
	want := now.UnixMicro()
	if err := s.client.Set(ctx, s.keys.checked(), want, 0).Err(); err != nil {
		return s.failed(what, err)
	}
	got, err := s.client.Get(ctx, s.keys.checked()).Int64()
	if err != nil {
		return s.failed(what, err)
	}
	if got < want && s.options.Clock == nil {
		return fmt.Errorf("%s: what was written cannot be read: %w", what, gate.ErrStoreUnavailable)
	}
	return nil
}
