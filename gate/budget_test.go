package gate_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// countedBudget counts what is taken from the store's budgets.
type countedBudget struct {
	lookup.Budget
	taken atomic.Int64
}

func (b *countedBudget) Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error) {
	ok, err := b.Budget.Spend(ctx, budget, limit, window)
	if ok {
		b.taken.Add(1)
	}
	return ok, err
}

func (s *site) budgeted(limit int) (*lookup.Lookup, *countedBudget) {
	b := &countedBudget{Budget: s.store}
	o := lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute, NewDigestsPerHour: limit}
	return s.lookupOn(s.store, b, o, nil), b
}

// TestOneDigestTakesOneFromTheBudget: controllers ask again and again while a
// scan is pending or has failed; only new digests count.
func TestOneDigestTakesOneFromTheBudget(t *testing.T) {
	t.Run("resolve_pending", func(t *testing.T) {
		s := newSite(t, month(0))
		l, budget := s.budgeted(3)
		image := s.at("team/app", "@"+string(s.push("team/app", "v1", 1)))
		for range 10 {
			if a := s.ask(l, image); a.Permits() || strings.Contains(english(a), "newDigestsPerHour") {
				t.Fatalf("the same pending digest again: got %+v", a)
			}
		}
		if n := budget.taken.Load(); n != 1 {
			t.Errorf("ten asks for one digest took %d from the budget, want 1", n)
		}
	})
	t.Run("analysis_failed", func(t *testing.T) {
		s := newSite(t, month(0))
		s.analyzer.fail = func(gate.AnalyzeRequest) error { return fmt.Errorf("child crashed: %w", gate.ErrScanFailed) }
		d := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", d)
		s.work()
		l, budget := s.budgeted(3)
		for range 10 {
			s.ask(l, s.at("team/app", "@"+string(d)))
		}
		if n := budget.taken.Load(); n > 1 {
			t.Errorf("ten asks for one failed digest took %d from the budget, want 1 at most", n)
		}
	})
	t.Run("new_location_of_a_known_digest", func(t *testing.T) {
		s := newSite(t, month(0))
		d := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", d)
		s.work()
		l, budget := s.budgeted(3)
		for range 10 {
			if a := s.ask(l, s.at("team/copy", "@"+string(d))); !a.Permits() {
				t.Fatalf("known digest: got %+v", a)
			}
		}
		if n := budget.taken.Load(); n != 1 {
			t.Errorf("ten admissions at one new location took %d from the budget, want 1", n)
		}
	})
	t.Run("many_at_once", func(t *testing.T) {
		s := newSite(t, month(0))
		l, budget := s.budgeted(3)
		image := s.at("team/app", "@"+string(s.push("team/app", "v1", 1)))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { s.ask(l, image) })
		}
		wg.Wait()
		if n := budget.taken.Load(); n != 1 {
			t.Errorf("twenty asks at once for one digest took %d from the budget, want 1", n)
		}
	})
	t.Run("again_in_the_next_hour", func(t *testing.T) {
		s := newSite(t, month(0))
		l, budget := s.budgeted(3)
		image := s.at("team/app", "@"+string(s.push("team/app", "v1", 1)))
		s.ask(l, image)
		s.clock.Advance(2 * time.Hour)
		s.ask(l, image)
		if n := budget.taken.Load(); n != 2 {
			t.Errorf("asks in two hours took %d, want 2", n)
		}
	})
}

// TestBudgetHoldsAcrossReplicas: what one namespace spends through admission is
// bounded for all replicas together, said in words, and counted.
func TestBudgetHoldsAcrossReplicas(t *testing.T) {
	const limit, asks = 3, 8
	s := newSite(t, month(0))
	reg := prometheus.NewPedanticRegistry()
	metrics := lookup.NewMetrics(reg)
	o := lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute, NewDigestsPerHour: limit}
	var replicas []*lookup.Lookup
	for range 2 {
		replicas = append(replicas, s.lookupOn(s.store, s.store, o, metrics))
	}
	var digests []gate.Digest
	for i := range asks {
		digests = append(digests, s.push("team/app", fmt.Sprint("v", i), uint64(i+1)))
	}
	ask := func(i int, namespace string) gate.Answer {
		t.Helper()
		ref, err := gate.ParseReference(s.at("team/app", "@"+string(digests[i])))
		if err != nil {
			t.Fatal(err)
		}
		return replicas[i%2].Decide(s.ctx, ref, gate.Request{Namespace: namespace, Operation: "CREATE"})
	}
	refused := func(namespace string) (n int) {
		t.Helper()
		for i := range asks {
			a := ask(i, namespace)
			if a.Permits() {
				t.Fatalf("an image that was never scanned: got %+v", a)
			}
			if !strings.Contains(english(a), "newDigestsPerHour") {
				continue
			}
			n++
			ends := s.clock.Now().Truncate(time.Hour).Add(time.Hour).Format("15:04")
			if a.Code != gate.CodeUnscanned || !strings.Contains(english(a), fmt.Sprintf("%q has asked for its %d new images", namespace, limit)) || !strings.Contains(english(a), "from "+ends+" UTC") {
				t.Errorf("over the budget: got %s %q, want the limit and %s", a.Code, english(a), ends)
			}
		}
		return n
	}
	if n := refused("team-a"); n != asks-limit {
		t.Errorf("%d of %d asks were refused, want %d", n, asks, asks-limit)
	}
	if n := len(s.work()); n != 2*limit { // a resolve and an analysis of each
		t.Errorf("%d jobs ran, want %d", n, 2*limit)
	}
	if use := s.used(); use.Used != limit {
		t.Errorf("namespace team-a cost %d charges, want %d", use.Used, limit)
	}
	// What is known is decided whatever the budget, and others have their own.
	if a := ask(0, "team-a"); !a.Permits() {
		t.Errorf("a known image in a namespace without budget: got %+v", a)
	}
	if a := ask(asks-1, "team-b"); !strings.Contains(english(a), "queued now") {
		t.Errorf("another namespace: got %+v", a)
	}
	s.clock.Advance(s.clock.Now().Truncate(time.Hour).Add(time.Hour).Sub(s.clock.Now()))
	if a := ask(asks-2, "team-a"); !strings.Contains(english(a), "queued now") {
		t.Errorf("in the next hour: got %+v", a)
	}
	want := `
# HELP digestgate_admission_misses_total Scans that admission asked for: new, joined, left (it may not restart what ended), over_budget (the namespace's hourly one).
# TYPE digestgate_admission_misses_total counter
digestgate_admission_misses_total{result="new"} 5
digestgate_admission_misses_total{result="over_budget"} 5
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "digestgate_admission_misses_total"); err != nil {
		t.Error(err)
	}
}
