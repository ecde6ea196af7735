package gate_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// scriptedSource replaces some answers of a registry.
type scriptedSource struct {
	registrysync.Source
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
	return s.Source.Tags(ctx, loc)
}

// dyingStore is the store of a process that was killed.
type dyingStore struct {
	registrysync.Store
	dead func() bool
}

func (d dyingStore) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if d.dead() {
		return 0, gate.ErrStoreUnavailable
	}
	return d.Store.PutSetting(ctx, name, value, version)
}

func TestSyncGoesOnAfterACrash(t *testing.T) {
	s := newSyncSite(t)
	for n, repo := range []string{"a/a", "b/b", "c/c", "d/d"} {
		s.push(repo, "v1", uint64(n))
	}
	dead := false
	first := &scriptedSource{Source: s.Source.(registrysync.Source)}
	first.tags = func(loc gate.Location) (gate.TagList, error) {
		if loc.Repository == "c/c" {
			dead = true
			return gate.TagList{}, gate.ErrStoreUnavailable
		}
		return first.Source.Tags(s.ctx, loc)
	}
	r, _ := s.Registries.ByName(hub)
	if _, err := s.replica(first, dyingStore{s.store, func() bool { return dead }}).Step(s.ctx, r); err == nil {
		t.Fatal("the killed replica ended in order")
	}
	if st := s.status(); st.Phase != registrysync.Running || st.Cursor != "b/b" {
		t.Fatalf("after the crash: %+v", st)
	}
	second := &scriptedSource{Source: s.Source.(registrysync.Source)}
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
	if st := s.status(); st.Phase != registrysync.Done || st.Counts.Queued != 4 || st.Counts.Done != 4 {
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
	source := &scriptedSource{Source: s.Source.(registrysync.Source)}
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
	slow := &scriptedSource{Source: s.Source.(registrysync.Source)}
	slow.tags = func(loc gate.Location) (gate.TagList, error) {
		s.clock.Advance(2 * time.Minute)
		s.step(s.syncer) // the other replica does it all
		return slow.Source.Tags(s.ctx, loc)
	}
	s.step(s.replica(slow, nil))
	if len(slow.listed) != 1 {
		t.Errorf("went on with %v", slow.listed)
	}
	if st := s.status(); st.Phase != registrysync.Done || st.Counts.Done != 2 {
		t.Errorf("at the end: %+v", st)
	}
}
