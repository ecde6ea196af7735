// Package sync compares what registries hold with what is known, for the pushes that no
// event has told.
package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Source lists what a registry holds; scanner/registry implements it.
// Errors: those of Source.
type Source interface {
	// Repositories lists those of a registry that include and exclude take.
	Repositories(ctx context.Context, registry string) (gate.RepositoryList, error)
	// Tags lists the tags of a repository, with digests where the registry gives them.
	// gate.ErrNotFound: the repository is gone.
	Tags(ctx context.Context, loc gate.Location) (gate.TagList, error)
	// Head is the digest that a tag names. gate.ErrNotFound: none.
	Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error)
}

// Known lists what is known already; gate/catalog implements it. It may lag
// behind the store.
type Known interface {
	// Repositories are those of a registry in which a tag is known.
	Repositories(ctx context.Context, registry string) ([]string, error)
	// RepositoryTags are the known tags of a repository.
	RepositoryTags(ctx context.Context, loc gate.Location) ([]string, error)
}

// Store is the part of the store that a synchronisation reads and writes;
// see store.Store for the methods and their errors.
type Store interface {
	Asks
	agree.TimedSettings
	// Read returns the known tags and records. gate.ErrStoreUnavailable: the run waits.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
}

// Asks is how found changes are handed on.
type Asks interface {
	// Enqueue queues the resolve of a tag, or joins the live job. gate.ErrBusy: the
	// job has too many tags, the next run finds it again.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	// MarkDirty says that a tag may have moved, so that admission reads it again.
	MarkDirty(ctx context.Context, key gate.TagKey) error
	// PutTag confirms a tag that names what is recorded, and returns the mapping that
	// stands.
	PutTag(ctx context.Context, key gate.TagKey, digest gate.Digest, readAt time.Time, host string) (gate.TagMapping, error)
}

const (
	// syncLease is how long a run stays with a replica that is not heard of
	// any more; it is renewed three times in that time.
	syncLease = time.Minute
	// syncPoll is how often a registry is looked at when nothing is due, to
	// see what other replicas were asked for.
	syncPoll = 5 * time.Second
	// A run that met an unavailable registry rests this long, doubled for each
	// further time without progress.
	syncFirstRest, syncLongestRest = 30 * time.Second, 15 * time.Minute
	// syncFullAgain is when a full run is repeated that gave repositories up
	// because the registry did not answer for them.
	syncFullAgain = time.Hour
	// syncRecheck is how many known tags of a repository a comparison of tag
	// lists confirms, the longest unconfirmed first: a moved "latest" in a
	// repository of up to 20 tags is found by the next run.
	syncRecheck = 20
	// syncBatch is how many tags are read from the store at once.
	syncBatch = 200
	// syncFailing is how many repositories in a row may be unreadable before
	// the registry itself is taken to be the cause.
	syncFailing = 3
)

// Syncer finds what events did not tell: it compares the tags of registries
// with those that are known, and queues a resolve at low priority for each
// that is new, moved or gone. It pulls nothing and analyses nothing; of
// manifests it asks for the digest only (HEAD). A tag counts as moved or gone
// only when the resolve has read it.
//
// One run of a registry is under way at a time, whatever the number of replicas. It
// continues where it stopped after a crash, a stop or a time in which the registry did
// not answer. A Syncer is safe for concurrent use.
type Syncer struct {
	registries *gate.Registries
	source     Source
	known      Known
	store      Store
	metrics    *Metrics
	log        *slog.Logger
	holder     string        // this replica, among those that share the store
	saveEvery  time.Duration // at most so often is progress written

	mu       sync.Mutex
	plans    map[string]Config
	wake     map[string]chan struct{} // made when first needed
	replaced chan struct{}            // closed when registries and plans have changed
}

// New builds the synchronisation of the configured registries; plans are
// by name and not modified. A registry without a plan is synchronised when
// asked.
func New(registries *gate.Registries, plans map[string]Config, source Source, known Known, store Store, metrics *Metrics, log *slog.Logger) *Syncer {
	return &Syncer{
		registries: registries, plans: plans, source: source, known: known, store: store, metrics: metrics, log: log,
		holder: rand.Text(), saveEvery: time.Second, wake: map[string]chan struct{}{}, replaced: make(chan struct{}),
	}
}

// Replace puts other plans in force, and serves the registries that the table
// has by now.
func (s *Syncer) Replace(plans map[string]Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans = plans
	close(s.replaced)
	s.replaced = make(chan struct{})
}

func (s *Syncer) plan(registry string) Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plans[registry]
}

// waker wakes the loop of a registry; it holds one signal.
func (s *Syncer) waker(registry string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake[registry] == nil {
		s.wake[registry] = make(chan struct{}, 1)
	}
	return s.wake[registry]
}

// Run serves all registries until ctx ends. A run in progress stops and is
// taken up again by the next caller; so it is when registries are replaced.
func (s *Syncer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		replaced := s.replaced
		s.mu.Unlock()
		s.runUntil(ctx, replaced)
	}
}

func (s *Syncer) runUntil(ctx context.Context, replaced <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, r := range s.registries.All() {
		wg.Go(func() {
			for ctx.Err() == nil {
				wait, err := s.step(ctx, r)
				if err != nil && ctx.Err() == nil {
					s.log.Error("registry cannot be synchronised", "registry", r.Name, "error", err)
				}
				s.sleep(ctx, r.Name, wait)
			}
		})
	}
	select {
	case <-ctx.Done():
	case <-replaced:
	}
	cancel()
	wg.Wait()
}

func (s *Syncer) sleep(ctx context.Context, registry string, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-s.waker(registry):
	}
}

// Request has a registry synchronised as soon as a scheduler can, also where no
// plan says so; full confirms every tag. While a run is under way it is
// remembered and served by a run of its own, because the present one may have
// passed what the caller means. Errors: ErrNotFound for an unknown registry,
// ErrBusy when many ask at once, ErrStoreUnavailable.
func (s *Syncer) Request(ctx context.Context, registry string, full bool) (SyncStatus, error) {
	if _, ok := s.registries.ByName(registry); !ok {
		return SyncStatus{}, unknownRegistry(registry)
	}
	if err := s.ask(ctx, registry, full); err != nil {
		return SyncStatus{}, fmt.Errorf("asking for a synchronisation of %q: %w", registry, err)
	}
	select {
	case s.waker(registry) <- struct{}{}:
	default: // a signal is waiting already
	}
	return s.Status(ctx, registry)
}

func unknownRegistry(name string) error {
	return fmt.Errorf("registry %s is not configured: %w", gate.Quoted(name, 80), gate.ErrNotFound)
}

// step runs what is due and says when to look again.
func (s *Syncer) step(ctx context.Context, r gate.Registry) (time.Duration, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return syncPoll, fmt.Errorf("reading the store's clock: %w", err)
	}
	st, err := s.load(ctx, r.Name)
	if err != nil {
		return syncPoll, err
	}
	ask, err := s.asked(ctx, r.Name)
	if err != nil {
		return syncPoll, err
	}
	// Whoever made the run: after a restart too the figure is true.
	s.metrics.synced(r.Name, st.LastTags, st.LastFull)
	if !st.Done && now.Before(st.Until) {
		return min(syncPoll, st.Until.Sub(now)), nil
	}
	next, due := st.next(now, s.plan(r.Name), ask)
	if !due {
		return min(syncPoll, max(next.Until.Sub(now), time.Second)), nil
	}
	next.Holder, next.Until, next.Updated = s.holder, now.Add(syncLease), now
	err = s.save(ctx, r.Name, &next)
	if errors.Is(err, gate.ErrConflict) {
		return 0, nil // another replica was first; look again
	}
	if err != nil {
		return syncPoll, err
	}
	return 0, s.serve(ctx, r, next)
}

// serve does one attempt at a run that this replica holds.
func (s *Syncer) serve(ctx context.Context, r gate.Registry, st syncState) error {
	s.log.Info("synchronisation begins", "registry", r.Name, "full", st.Full, "attempt", st.Attempt)
	run := &syncRun{Syncer: s, registry: r, state: st, renewed: time.Now()}
	err := agree.HoldLease(ctx, syncLease, run.write, run.all)
	if errors.Is(err, gate.ErrFenced) {
		s.metrics.syncAttempt(r.Name, syncTaken)
		s.log.Warn("synchronisation was taken over by another replica", "registry", r.Name)
		return nil
	}
	return run.finish(ctx, err)
}

// Step does what is due for one registry and writes its progress after each
// repository. Run does so for all registries; this is for who holds the clock.
func (s *Syncer) Step(ctx context.Context, r gate.Registry) (time.Duration, error) {
	s.saveEvery = 0
	return s.step(ctx, r)
}
