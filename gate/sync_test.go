package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/scanner/registry/registrytest"
)

// syncSite is a site with its catalog and a synchronisation of the registry.
type syncSite struct {
	*site
	catalog *catalog.Catalog
	syncer  *gate.Syncer
	stats   *gate.Metrics
	metrics *prometheus.Registry
}

var everyQuarter = gate.SyncPlan{Tags: 15 * time.Minute, Full: 24 * time.Hour}

func newSyncSite(t *testing.T) *syncSite {
	t.Helper()
	s := &syncSite{site: newSite(t, gate.DefaultQuota()), metrics: prometheus.NewRegistry()}
	s.stats = gate.NewMetrics(s.metrics)
	c, err := catalog.Open(t.Context(), t.TempDir(), s.store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s.catalog = c
	s.syncer = s.replica(nil, nil)
	return s
}

// replica is another process that shares the store.
func (s *syncSite) replica(source gate.SyncSource, store gate.SyncStore) *gate.Syncer {
	if source == nil {
		source = s.Source.(gate.SyncSource)
	}
	if store == nil {
		store = s.store
	}
	plans := map[string]gate.SyncPlan{hub: everyQuarter}
	return gate.NewSyncer(s.Registries, plans, source, s.catalog, store, s.stats, slog.New(slog.DiscardHandler))
}

func (s *syncSite) step(syncer *gate.Syncer) {
	s.t.Helper()
	if err := s.catalog.CatchUp(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	r, _ := s.Registries.ByName(hub)
	if _, err := syncer.Step(s.ctx, r); err != nil {
		s.t.Fatalf("step: %v", err)
	}
}

// sync runs what is due and returns how it ended.
func (s *syncSite) sync() gate.SyncStatus {
	s.t.Helper()
	s.step(s.syncer)
	return s.status()
}

func (s *syncSite) status() gate.SyncStatus {
	s.t.Helper()
	st, err := s.syncer.Status(s.ctx, hub)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *syncSite) mapping(repo, tag string) gate.TagMapping {
	s.t.Helper()
	key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: repo}, Tag: tag}
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
	if err != nil {
		s.t.Fatal(err)
	}
	return res.Tags[key]
}

func (s *syncSite) delete(repo, tag string) {
	s.t.Helper()
	if err := s.registry.Delete(repo, tag); err != nil {
		s.t.Fatal(err)
	}
}

func TestSyncFindsWhatNoEventTold(t *testing.T) {
	s := newSyncSite(t)
	d1 := s.push("team/app", "v1", 1)
	s.push("team/app", "v2", 2)
	s.push("other/tool", "latest", 3)
	st := s.sync()
	if st.Phase != gate.SyncDone || !st.Full || st.Counts != (gate.SyncCounts{Repositories: 2, Done: 2, Tags: 3, Checked: 3, Queued: 3}) {
		t.Errorf("first run: %+v", st)
	}
	if pulled := s.registry.Count(http.MethodGet, "/blobs/") + s.registry.Count(http.MethodGet, "/manifests/"); pulled != 0 {
		t.Errorf("%d manifests and blobs were pulled, want none", pulled)
	}
	for key, job := range s.work() {
		if job.Priority != gate.PrioritySync || job.Trigger != gate.TriggerSync || job.State != gate.JobDone {
			t.Errorf("job %s: %+v", key, job)
		}
	}
	if s.entry(d1).State() != gate.StateScanned || s.mapping("team/app", "v1").Digest != d1 {
		t.Errorf("after the run: %s, %+v", s.entry(d1).State(), s.mapping("team/app", "v1"))
	}

	// Nothing is due before its time, and nothing is found when nothing changed.
	s.clock.Advance(14 * time.Minute)
	s.registry.Reset()
	s.sync()
	if n := len(s.registry.Requests()); n != 0 {
		t.Errorf("%d requests before the interval", n)
	}
	s.clock.Advance(time.Minute)
	if st := s.sync(); st.Full || st.Counts.Queued != 0 || st.Counts.Done != 2 || st.Counts.Checked != 3 {
		t.Errorf("second run: %+v", st)
	}

	// Lost events: a moved tag, a new one, and a new repository.
	moved := s.push("other/tool", "latest", 4)
	s.push("team/app", "v3", 5)
	s.push("fresh/one", "v1", 6)
	s.clock.Advance(15 * time.Minute)
	if st := s.sync(); st.Counts.Queued != 3 || st.Counts.Gone != 0 {
		t.Errorf("run after lost pushes: %+v", st)
	}
	if m := s.mapping("other/tool", "latest"); !m.Dirty {
		t.Errorf("a tag that seems moved is used at admission: %+v", m)
	}
	s.work()
	if m := s.mapping("other/tool", "latest"); m.Digest != moved || m.Dirty {
		t.Errorf("moved tag: %+v, want %s", m, moved)
	}
	if use := s.used(); use.Used != 6 {
		t.Errorf("charged %d digests, want 6", use.Used)
	}
}

func TestSyncMarksWhatVanished(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	s.push("team/app", "v2", 2)
	s.push("other/tool", "v1", 3)
	s.sync()
	s.work()
	s.delete("team/app", "v1")
	s.delete("other/tool", "v1") // the repository goes with its last tag
	s.clock.Advance(15 * time.Minute)
	if st := s.sync(); st.Counts.Gone != 2 || st.Counts.Queued != 0 || st.Counts.Problems != 0 {
		t.Errorf("run after deletions: %+v", st)
	}
	s.work()
	for _, repo := range []string{"team/app", "other/tool"} {
		if m := s.mapping(repo, "v1"); !m.Gone || m.Dirty {
			t.Errorf("%s: %+v, want it gone", repo, m)
		}
	}
	if m := s.mapping("team/app", "v2"); m.Gone {
		t.Errorf("a tag that is there: %+v", m)
	}
	s.clock.Advance(15 * time.Minute)
	if st := s.sync(); st.Counts.Gone != 0 {
		t.Errorf("gone tags are looked at again: %+v", st)
	}
}

// TestSyncBelievesNoShortList: a list that stopped at a limit says nothing
// about what it lacks, and a wrong list only costs a resolve.
func TestSyncBelievesNoShortList(t *testing.T) {
	s := newSyncSite(t)
	d := s.push("team/app", "v1", 1)
	s.sync()
	s.work()
	lying := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	for _, complete := range []bool{false, true} {
		lying.tags = func(gate.Location) (gate.TagList, error) { return gate.TagList{Complete: complete}, nil }
		s.clock.Advance(15 * time.Minute)
		s.step(s.replica(lying, nil))
		want := 0
		if complete {
			want = 1
		}
		if got := s.status().Counts.Gone; got != want {
			t.Errorf("complete %t: %d tags taken for gone, want %d", complete, got, want)
		}
	}
	s.work()
	if m := s.mapping("team/app", "v1"); m.Digest != d || m.Gone || m.Dirty {
		t.Errorf("after the resolve: %+v", m)
	}
}

// TestSyncTakesDigestsFromTheList: where the list says digests, no tag costs a
// request.
func TestSyncTakesDigestsFromTheList(t *testing.T) {
	s := newSyncSite(t)
	d := s.push("team/app", "v1", 1)
	s.sync()
	s.work()
	s.registry.Reset()
	source := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	source.tags = func(gate.Location) (gate.TagList, error) {
		return gate.TagList{Complete: true, Tags: []gate.ListedTag{{Tag: "v1", Digest: d}, {Tag: "v2", Digest: d}}}, nil
	}
	s.clock.Advance(15 * time.Minute)
	s.step(s.replica(source, nil))
	if st := s.status(); st.Counts.Checked != 0 || st.Counts.Queued != 1 {
		t.Errorf("run: %+v, want one resolve and no question", st)
	}
	if n := s.registry.Count(http.MethodHead, ""); n != 0 {
		t.Errorf("%d HEAD requests", n)
	}
}

func TestSyncConfirmsByRotation(t *testing.T) {
	s := newSyncSite(t)
	const tags = 45
	for n := range tags {
		s.push("team/app", fmt.Sprintf("v%02d", n), 7) // one digest
	}
	s.sync()
	s.work()
	for _, want := range []int{20, 20, 20} {
		s.clock.Advance(15 * time.Minute)
		if st := s.sync(); st.Counts.Checked != want || st.Counts.Queued != 0 {
			t.Errorf("run: %+v, want %d tags confirmed", st, want)
		}
	}
	oldest := s.clock.Now().Add(-31 * time.Minute)
	for n := range tags {
		if m := s.mapping("team/app", fmt.Sprintf("v%02d", n)); m.ReadAt.Before(oldest) {
			t.Errorf("tag v%02d was not confirmed in three runs: %s", n, m.ReadAt)
		}
	}
}

// scriptedSource replaces some answers of a registry.
type scriptedSource struct {
	gate.SyncSource
	tags func(gate.Location) (gate.TagList, error)

	mu     sync.Mutex
	listed []string
}

func (s *scriptedSource) Tags(ctx context.Context, loc gate.Location) (gate.TagList, error) {
	s.mu.Lock()
	s.listed = append(s.listed, loc.Repository)
	s.mu.Unlock()
	if s.tags != nil {
		return s.tags(loc)
	}
	return s.SyncSource.Tags(ctx, loc)
}

// dyingStore is the store of a process that was killed.
type dyingStore struct {
	gate.SyncStore
	dead func() bool
}

func (d dyingStore) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if d.dead() {
		return 0, gate.ErrStoreUnavailable
	}
	return d.SyncStore.PutSetting(ctx, name, value, version)
}

func TestSyncGoesOnAfterACrash(t *testing.T) {
	s := newSyncSite(t)
	for n, repo := range []string{"a/a", "b/b", "c/c", "d/d"} {
		s.push(repo, "v1", uint64(n))
	}
	dead := false
	first := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	first.tags = func(loc gate.Location) (gate.TagList, error) {
		if loc.Repository == "c/c" {
			dead = true
			return gate.TagList{}, gate.ErrStoreUnavailable
		}
		return first.SyncSource.Tags(s.ctx, loc)
	}
	r, _ := s.Registries.ByName(hub)
	if _, err := s.replica(first, dyingStore{s.store, func() bool { return dead }}).Step(s.ctx, r); err == nil {
		t.Fatal("the killed replica ended in order")
	}
	if st := s.status(); st.Phase != gate.SyncRunning || st.Cursor != "b/b" {
		t.Fatalf("after the crash: %+v", st)
	}
	second := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	s.clock.Advance(59 * time.Second)
	s.step(s.replica(second, nil))
	if len(second.listed) != 0 {
		t.Errorf("taken over within the lease: %v", second.listed)
	}
	s.clock.Advance(2 * time.Second)
	s.step(s.replica(second, nil))
	if diff := cmp.Diff([]string{"c/c", "d/d"}, second.listed); diff != "" {
		t.Errorf("compared after the crash (-want +got):\n%s", diff)
	}
	if st := s.status(); st.Phase != gate.SyncDone || st.Counts.Queued != 4 || st.Counts.Done != 4 {
		t.Errorf("at the end: %+v", st)
	}
}

func TestSyncRunsOnceOnManyReplicas(t *testing.T) {
	s := newSyncSite(t)
	var want []string
	for n := range 10 {
		repo := fmt.Sprintf("team/app%d", n)
		want = append(want, repo)
		s.push(repo, "v1", uint64(n))
	}
	source := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	r, _ := s.Registries.ByName(hub)
	var wg sync.WaitGroup
	for range 6 {
		replica := s.replica(source, nil)
		wg.Go(func() {
			for range 3 {
				if _, err := replica.Step(s.ctx, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(source.listed)
	if diff := cmp.Diff(want, source.listed); diff != "" {
		t.Errorf("repositories compared (-want +got):\n%s", diff)
	}
}

// TestSyncStopsWhenItsRunIsTaken: a replica that slept through its lease finds
// the run in other hands and changes nothing of it.
func TestSyncStopsWhenItsRunIsTaken(t *testing.T) {
	s := newSyncSite(t)
	s.push("a/a", "v1", 1)
	s.push("b/b", "v1", 2)
	slow := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	slow.tags = func(loc gate.Location) (gate.TagList, error) {
		s.clock.Advance(2 * time.Minute)
		s.step(s.syncer) // the other replica does it all
		return slow.SyncSource.Tags(s.ctx, loc)
	}
	s.step(s.replica(slow, nil))
	if len(slow.listed) != 1 {
		t.Errorf("went on with %v", slow.listed)
	}
	if st := s.status(); st.Phase != gate.SyncDone || st.Counts.Done != 2 {
		t.Errorf("at the end: %+v", st)
	}
}

func TestSyncOfAFailingRegistry(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	s.registry.Fail(registrytest.Fault{Path: "/v2/**", Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"120"}}})
	st := s.sync()
	if wait := st.NextTry.Sub(s.clock.Now()); st.Phase != gate.SyncWaiting || wait < 100*time.Second || wait > 121*time.Second || !strings.Contains(st.Error, "429") {
		t.Errorf("while the registry asks to wait: %+v", st)
	}
	s.registry.Reset()
	s.clock.Advance(time.Minute)
	s.sync()
	if n := len(s.registry.Requests()); n != 0 {
		t.Errorf("%d requests during the pause", n)
	}

	// Without a stated wait it grows.
	down := &scriptedSource{SyncSource: unlisted{s.Source.(gate.SyncSource)}}
	replica := s.replica(down, nil)
	s.clock.Advance(2 * time.Minute)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		s.step(replica)
		if got := s.status().NextTry.Sub(s.clock.Now()); got != want {
			t.Errorf("rests %s, want %s", got, want)
		}
		s.clock.Advance(want)
	}
	source := &scriptedSource{SyncSource: up{s.Source.(gate.SyncSource)}}
	s.step(s.replica(source, nil))
	if st := s.status(); st.Phase != gate.SyncDone || st.Error != "" || st.Counts.Queued != 1 {
		t.Errorf("after the outage: %+v", st)
	}
}

// unlisted is a registry that is down.
type unlisted struct{ gate.SyncSource }

func (unlisted) Repositories(context.Context, string) (gate.RepositoryList, error) {
	return gate.RepositoryList{}, fmt.Errorf("connection refused: %w", gate.ErrRegistryUnavailable)
}

// up names one repository and says its tag, whatever the client's pauses.
type up struct{ gate.SyncSource }

func (up) Repositories(context.Context, string) (gate.RepositoryList, error) {
	return gate.RepositoryList{Names: []string{"team/app"}, Complete: true}, nil
}

func (up) Tags(context.Context, gate.Location) (gate.TagList, error) {
	return gate.TagList{Complete: true, Tags: []gate.ListedTag{{Tag: "v1", Digest: registrytest.DigestOf([]byte("x"))}}}, nil
}

func TestSyncPassesBrokenRepositories(t *testing.T) {
	for name, err := range map[string]error{
		"refused": gate.ErrRegistryAuth, "failing": gate.ErrRegistryUnavailable, "oversize": gate.ErrTooLarge,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSyncSite(t)
			for n, repo := range []string{"a/a", "b/b", "c/c"} {
				s.push(repo, "v1", uint64(n))
			}
			source := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
			source.tags = func(loc gate.Location) (gate.TagList, error) {
				if loc.Repository == "b/b" {
					return gate.TagList{}, err
				}
				return source.SyncSource.Tags(s.ctx, loc)
			}
			s.step(s.replica(source, nil))
			st := s.status()
			if st.Phase != gate.SyncDone || st.Counts.Problems != 1 || st.Counts.Queued != 2 || !strings.Contains(st.Error, "b/b") {
				t.Errorf("run: %+v", st)
			}
			// What did not answer is looked at again before the next full run.
			s.clock.Advance(time.Hour + time.Second)
			s.step(s.syncer)
			if again := s.status().Full; again != errors.Is(err, gate.ErrRegistryUnavailable) {
				t.Errorf("full again after an hour: %t", again)
			}
		})
	}
	t.Run("all_of_them", func(t *testing.T) {
		s := newSyncSite(t)
		s.push("a/a", "v1", 1)
		source := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
		source.tags = func(gate.Location) (gate.TagList, error) { return gate.TagList{}, gate.ErrRegistryUnavailable }
		for range 8 {
			s.step(s.replica(source, nil))
			if st := s.status(); st.Phase != gate.SyncWaiting {
				t.Fatalf("a registry that answers for nothing counts as compared: %+v", st)
			}
			s.clock.Advance(15 * time.Minute)
		}
	})
}

func TestSyncWhenAsked(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	s.sync()
	s.work()
	ask := func(full bool) gate.SyncStatus {
		t.Helper()
		st, err := s.syncer.Ask(s.ctx, hub, full)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := ask(true); st.Phase != gate.SyncWaiting {
		t.Errorf("asked: %+v", st)
	}
	ask(false) // does not make the waiting one smaller
	if st := s.sync(); st.Phase != gate.SyncDone || !st.Full {
		t.Errorf("after the ask: %+v", st)
	}
	before := s.status().Started
	s.clock.Advance(time.Second)
	if s.sync(); !s.status().Started.Equal(before) {
		t.Error("one ask is served twice")
	}
	s.push("team/app", "v2", 2)
	ask(false)
	if st := s.sync(); st.Full || st.Counts.Queued != 1 {
		t.Errorf("second ask: %+v", st)
	}

	// An ask during a run is served after it.
	during := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	during.tags = func(loc gate.Location) (gate.TagList, error) {
		during.tags = nil
		ask(true)
		return during.SyncSource.Tags(s.ctx, loc)
	}
	replica := s.replica(during, nil)
	s.clock.Advance(15 * time.Minute)
	s.step(replica)
	if st := s.status(); st.Full || st.Phase != gate.SyncWaiting {
		t.Errorf("after the run with an ask inside: %+v", st)
	}
	s.step(replica)
	if st := s.status(); !st.Full || st.Phase != gate.SyncDone {
		t.Errorf("after the ask's own run: %+v", st)
	}
	if _, err := s.syncer.Ask(s.ctx, "nobody", true); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("ask for an unknown registry: %v", err)
	}
	if _, err := s.syncer.Status(s.ctx, "nobody"); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("status of an unknown registry: %v", err)
	}
}

func TestSyncRunStops(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	ctx, cancel := context.WithCancel(s.ctx)
	source := &scriptedSource{SyncSource: s.Source.(gate.SyncSource)}
	source.tags = func(loc gate.Location) (gate.TagList, error) {
		if loc.Registry == hub {
			cancel()
		}
		<-ctx.Done()
		return gate.TagList{}, gate.ErrTimeout
	}
	s.replica(source, nil).Run(ctx)
	st := s.status()
	if st.Phase != gate.SyncWaiting || st.NextTry.After(s.clock.Now()) || st.Error != "" {
		t.Errorf("a stopped run: %+v, want it free at once", st)
	}
	s.step(s.syncer)
	if st := s.status(); st.Phase != gate.SyncDone {
		t.Errorf("after the restart: %+v", st)
	}
}
