package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/catalog"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// syncSite is a site with its catalog and a synchronisation of the registry.
type syncSite struct {
	*site
	catalog *catalog.Catalog
	syncer  *registrysync.Syncer
	stats   *registrysync.Metrics
	metrics *prometheus.Registry
}

var everyQuarter = registrysync.Config{Tags: 15 * time.Minute, Full: 24 * time.Hour}

func newSyncSite(t *testing.T) *syncSite {
	t.Helper()
	s := &syncSite{site: newSite(t, gate.DefaultQuota()), metrics: prometheus.NewRegistry()}
	s.stats = registrysync.NewMetrics(s.metrics)
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
func (s *syncSite) replica(source registrysync.Source, store registrysync.Store) *registrysync.Syncer {
	if source == nil {
		source = s.Source.(registrysync.Source)
	}
	if store == nil {
		store = s.store
	}
	plans := map[string]registrysync.Config{hub: everyQuarter}
	return registrysync.New(s.Registries, plans, source, s.catalog, store, s.stats, slog.New(slog.DiscardHandler))
}

func (s *syncSite) step(syncer *registrysync.Syncer) {
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
func (s *syncSite) sync() registrysync.SyncStatus {
	s.t.Helper()
	s.step(s.syncer)
	return s.status()
}

func (s *syncSite) status() registrysync.SyncStatus {
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
	if st.Phase != registrysync.Done || !st.Full || st.Counts != (registrysync.SyncCounts{Repositories: 2, Done: 2, Tags: 3, Checked: 3, Queued: 3}) {
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
	lying := &scriptedSource{Source: s.Source.(registrysync.Source)}
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
	source := &scriptedSource{Source: s.Source.(registrysync.Source)}
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
func TestSyncWhenAsked(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	s.sync()
	s.work()
	ask := func(full bool) registrysync.SyncStatus {
		t.Helper()
		st, err := s.syncer.Request(s.ctx, hub, full)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := ask(true); st.Phase != registrysync.Waiting {
		t.Errorf("asked: %+v", st)
	}
	ask(false) // does not make the waiting one smaller
	if st := s.sync(); st.Phase != registrysync.Done || !st.Full {
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
	during := &scriptedSource{Source: s.Source.(registrysync.Source)}
	during.tags = func(loc gate.Location) (gate.TagList, error) {
		during.tags = nil
		ask(true)
		return during.Source.Tags(s.ctx, loc)
	}
	replica := s.replica(during, nil)
	s.clock.Advance(15 * time.Minute)
	s.step(replica)
	if st := s.status(); st.Full || st.Phase != registrysync.Waiting {
		t.Errorf("after the run with an ask inside: %+v", st)
	}
	s.step(replica)
	if st := s.status(); !st.Full || st.Phase != registrysync.Done {
		t.Errorf("after the ask's own run: %+v", st)
	}
	if _, err := s.syncer.Request(s.ctx, "nobody", true); !errors.Is(err, gate.ErrNotFound) {
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
	source := &scriptedSource{Source: s.Source.(registrysync.Source)}
	source.tags = func(loc gate.Location) (gate.TagList, error) {
		if loc.Registry == hub {
			cancel()
		}
		<-ctx.Done()
		return gate.TagList{}, gate.ErrTimeout
	}
	s.replica(source, nil).Run(ctx)
	st := s.status()
	if st.Phase != registrysync.Waiting || st.NextTry.After(s.clock.Now()) || st.Error != "" {
		t.Errorf("a stopped run: %+v, want it free at once", st)
	}
	s.step(s.syncer)
	if st := s.status(); st.Phase != registrysync.Done {
		t.Errorf("after the restart: %+v", st)
	}
}

// TestSyncReplace: a registry that comes while the synchronisation runs is
// synchronised by the plan that comes with it.
func TestSyncReplace(t *testing.T) {
	s := newSyncSite(t)
	s.push("team/app", "v1", 1)
	back, err := gate.NewRegistries(s.Registries.All())
	if err != nil {
		t.Fatal(err)
	}
	none, err := gate.NewRegistries(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Registries.Replace(none)
	ctx, cancel := context.WithCancel(s.ctx)
	entered := make(chan struct{})
	source := &scriptedSource{Source: s.Source.(registrysync.Source)}
	source.tags = func(gate.Location) (gate.TagList, error) {
		close(entered)
		<-ctx.Done()
		return gate.TagList{}, gate.ErrTimeout
	}
	syncer := s.replica(source, nil)
	syncer.Replace(nil)
	done := make(chan struct{})
	go func() { defer close(done); syncer.Run(ctx) }()
	if _, err := syncer.Request(s.ctx, hub, false); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("asking for a registry that is not there: %v", err)
	}
	s.Registries.Replace(back)
	syncer.Replace(map[string]registrysync.Config{hub: everyQuarter})
	<-entered
	if st, err := syncer.Status(s.ctx, hub); err != nil || st.Plan != everyQuarter || st.Phase != registrysync.Running {
		t.Errorf("the registry that came: %+v, %v", st, err)
	}
	cancel()
	<-done
}
