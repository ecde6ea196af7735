package gate_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// countedBudget counts what is taken from the store's budgets.
type countedBudget struct {
	gate.Budget
	taken atomic.Int64
}

func (b *countedBudget) Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error) {
	ok, err := b.Budget.Spend(ctx, budget, limit, window)
	if ok {
		b.taken.Add(1)
	}
	return ok, err
}

func (s *site) budgeted(limit int) (*gate.Lookup, *countedBudget) {
	b := &countedBudget{Budget: s.store}
	o := gate.LookupOptions{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute, NewDigestsPerHour: limit}
	return gate.NewLookup(s.Pipeline, s.store, b, s.store.Changed, o, nil), b
}

// TestOneDigestTakesOneFromTheBudget: controllers ask again and again while a
// scan is pending or has failed; only new digests count.
func TestOneDigestTakesOneFromTheBudget(t *testing.T) {
	t.Run("resolve_pending", func(t *testing.T) {
		s := newSite(t, month(0))
		l, budget := s.budgeted(3)
		image := s.at("team/app", "@"+string(s.push("team/app", "v1", 1)))
		for range 10 {
			if a := s.ask(l, image); a.Permits() || strings.Contains(a.Text, "within the hour") {
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
