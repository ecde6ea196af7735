package standing

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestChangeDuringASweepCausesAnother: what became active while the stored
// images were gone through is not left to the next interval.
func TestChangeDuringASweepCausesAnother(t *testing.T) {
	for _, what := range []string{"advisories", "policies"} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var mu sync.Mutex
			changed, revision, sweeps := make(chan struct{}), "1", 0
			changes := func() <-chan struct{} { mu.Lock(); defer mu.Unlock(); return changed }
			current := func() string { mu.Lock(); defer mu.Unlock(); return revision }
			repeat(ctx, changes, current, time.Hour, func(context.Context) {
				mu.Lock()
				defer mu.Unlock()
				if sweeps++; sweeps == 2 {
					cancel()
					return
				}
				if what == "policies" {
					revision = "2"
					return
				}
				close(changed)
				changed = make(chan struct{})
			})
			if sweeps != 2 {
				t.Errorf("got %d sweeps, want a second one", sweeps)
			}
		})
	}
}
