package gate_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store/storetest"
)

// stored records n analysed images without findings, at team/app.
func (s *site) stored(n int) listed {
	s.t.Helper()
	var list listed
	for i := range n {
		d := gate.Digest(fmt.Sprintf("sha256:%064x", i+1))
		err := s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: gate.KindImage, Hashed: true})
		if err == nil {
			_, err = s.store.AddLocation(s.ctx, d, gate.Location{Registry: hub, Repository: "team/app"})
		}
		if err == nil {
			inv, _ := s.analyzer.Analyze(s.ctx, gate.AnalyzeRequest{Digest: d, BeforePull: func(context.Context) error { return nil }})
			err = storetest.PutInventory(s.ctx, s.store, 1, inv)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

// TestSweepOrder: what admission was asked for is matched first, the last one first of
// all, and each image once; several workers miss none.
func TestSweepOrder(t *testing.T) {
	s := newSite(t, month(0))
	all := s.stored(540) // two pages
	s.standing.Asked = new(standing.Asked)
	var asked []gate.Digest
	l := s.lookup(lookup.Options{})
	for _, i := range []int{530, 5, 400} {
		s.ask(l, s.at("team/app", "@"+string(all[i])))
		s.clock.Advance(time.Minute)
		asked = append(asked, all[i])
	}
	slices.Reverse(asked)
	var mu sync.Mutex
	var order []gate.Digest
	s.matcher.alter = func(f *gate.Findings) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, f.Digest)
	}
	s.matcher.activate(2)
	sweeper := standing.NewSweeper(s.standing, standing.SweepOptions{
		Digests: all, Scheduler: s.sweeping, Quota: s.Quota,
		Asked: func(context.Context) ([]gate.Digest, error) {
			return append(s.standing.Asked.Lately(), "sha256:"+gate.Digest(pad(0))), nil // not stored
		},
	})
	swept := s.rematch(sweeper)
	if swept.Seen != len(all) || swept.Matched != len(all) || swept.Failed != 0 {
		t.Errorf("swept %+v, want %d matched", swept, len(all))
	}
	// Workers overtake each other by few.
	first := order[:min(len(order), len(asked)+8*runtime.GOMAXPROCS(0))]
	for _, d := range asked {
		if !slices.Contains(first, d) {
			t.Errorf("%s was asked for and is number %d", d.Short(), slices.Index(order, d))
		}
	}
	slices.Sort(order)
	if n := len(slices.Compact(slices.Clone(order))); n != len(all) || len(order) != len(all) {
		t.Errorf("%d matches of %d images, want each once", len(order), n)
	}
	for _, d := range all {
		if r := s.entry(d).Record; r.Generation != 2 {
			t.Fatalf("%s has generation %d", d.Short(), r.Generation)
		}
	}
}

// TestSweepEndsWithoutAdvisories: what no match can do anything about ends the sweep,
// and the workers with it.
func TestSweepEndsWithoutAdvisories(t *testing.T) {
	s := newSite(t, month(0))
	all := s.stored(30)
	var once sync.Once
	s.matcher.alter = func(*gate.Findings) {
		once.Do(func() {
			s.matcher.mu.Lock()
			defer s.matcher.mu.Unlock()
			s.matcher.loaded = false
		})
	}
	swept, err := s.sweeper(all).Rematch(s.ctx)
	if !errors.Is(err, gate.ErrAdvisoriesUnavailable) && swept.Evaluated == 0 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.sweeper(all).Rematch(ctx); !errors.Is(err, gate.ErrTimeout) && !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("a sweep that is stopped: %v", err)
	}
}
