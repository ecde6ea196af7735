package schedule

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store/sqlite"
)

// counter is a Rescanner that counts the runs of each tick.
type counter struct {
	mu   sync.Mutex
	runs map[string]int
}

func (c *counter) Rescan(_ context.Context, _ Kind, tick time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[tick.Format("15:04")]++
	return nil
}

// TestStepsRaceOnSQLite: whoever looks at a schedule how often, each tick runs
// once, by the real store.
func TestStepsRaceOnSQLite(t *testing.T) {
	var mu sync.Mutex
	clock := time.Date(2026, 11, 7, 0, 30, 0, 0, time.UTC)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "digestgate.db"), sqlite.Options{Clock: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	work := &counter{runs: map[string]int{}}
	for range 5 { // at 00:30, 01:30, …
		var wg sync.WaitGroup
		for range 8 {
			s, err := New(hourly(), st, work, slog.New(slog.DiscardHandler)) // as after a restart
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				for range 3 {
					if _, err := s.step(t.Context(), s.entries[0]); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		mu.Lock()
		clock = clock.Add(time.Hour)
		mu.Unlock()
	}
	if len(work.runs) != 4 {
		t.Errorf("ticks: got %v, want those of 01:00 to 04:00", work.runs)
	}
	for tick, n := range work.runs {
		if n != 1 {
			t.Errorf("tick %s ran %d times", tick, n)
		}
	}
}
