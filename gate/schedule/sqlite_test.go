package schedule

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestRoundsRaceOnSQLite: however many processes look at a schedule, and however often,
// each tick has one task, by the real store.
func TestRoundsRaceOnSQLite(t *testing.T) {
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
	tasks := scantask.New(st, quiet)
	for range 5 { // at 00:30, 01:30, …
		var wg sync.WaitGroup
		for range 8 {
			s, err := New([]Config{hourly()}, Options{Store: st, Tasks: scantask.New(st, quiet), Log: quiet}) // as after a restart
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				for range 3 {
					s.round(t.Context())
				}
			})
		}
		wg.Wait()
		mu.Lock()
		clock = clock.Add(time.Hour)
		mu.Unlock()
		list, err := tasks.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range list {
			if task.State.Live() {
				if _, err := tasks.Cancel(t.Context(), task.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	list, err := tasks.List(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatalf("got %d tasks, %v, want those of 01:00 to 04:00", len(list), err)
	}
	for i, task := range list {
		if want := 4 - i; task.Tick.Hour() != want || task.Tick.Minute() != 0 {
			t.Errorf("task %d: got the tick %s, want %d:00", i, task.Tick, want)
		}
	}
}
