package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a store of settings with the contract of store.Settings.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	ver    map[string]int64
	err    error
	writes int
}

func newMemory() *memory { return &memory{values: map[string][]byte{}, ver: map[string]int64{}} }

func (m *memory) Setting(_ context.Context, name string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return nil, 0, m.err
	case m.ver[name] == 0:
		return nil, 0, gate.ErrNotFound
	}
	return m.values[name], m.ver[name], nil
}

func (m *memory) PutSetting(_ context.Context, name string, value []byte, version int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return 0, m.err
	case m.ver[name] != version:
		return 0, gate.ErrConflict
	}
	m.writes++
	m.values[name] = value
	m.ver[name]++
	return m.ver[name], nil
}

func (m *memory) Now(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now(), m.err
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// recorder is a Rescanner that notes its calls and then does what it is told.
type recorder struct {
	mu    sync.Mutex
	calls []string // "HH:MM kind tick"
	do    func(ctx context.Context, call int) error
}

func (r *recorder) Rescan(ctx context.Context, kind Kind, tick time.Time) error {
	r.mu.Lock()
	r.calls = append(r.calls, fmt.Sprintf("%s %s %s", time.Now().UTC().Format("02 15:04"), kind, tick.Format("02 15:04")))
	n := len(r.calls)
	r.mu.Unlock()
	if r.do == nil {
		return nil
	}
	return r.do(ctx, n)
}

func (r *recorder) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.calls...)
}

// replica starts a scheduler; stop ends it and waits.
func replica(t *testing.T, list []Config, store Store, work Rescanner) (stop func()) {
	t.Helper()
	s, err := New(list, store, work, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	return func() { cancel(); <-done }
}

func hourly() []Config { return []Config{{Name: "hourly", Cron: "0 * * * *", Kind: KindMatch}} }

func check(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Bubbles of synctest begin at midnight UTC on 1 January 2000.

func TestRunsEachTickOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		var stops []func()
		for range 5 {
			stops = append(stops, replica(t, hourly(), store, work))
		}
		time.Sleep(150 * time.Minute)
		synctest.Wait()
		for _, stop := range stops {
			stop()
		}
		check(t, "five replicas, 150 minutes", work.got(), []string{"01 01:00 match 01 01:00", "01 02:00 match 01 02:00"})
	})
}

func TestFirstStartRunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		time.Sleep(30 * 24 * time.Hour)
		stop := replica(t, hourly(), store, work)
		time.Sleep(59 * time.Minute)
		stop()
		check(t, "before the first tick", work.got(), []string{})
	})
}

func TestMissedTicksRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		stop := replica(t, hourly(), store, work)
		time.Sleep(90 * time.Minute)
		stop()
		time.Sleep(24 * time.Hour) // down for 24 ticks
		stop = replica(t, hourly(), store, work)
		time.Sleep(20 * time.Minute)
		stop()
		check(t, "after a day of absence", work.got(), []string{"01 01:00 match 01 01:00", "02 01:30 match 02 01:00"})
	})
}

func TestRestartDoesNotRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		for range 10 {
			stop := replica(t, hourly(), store, work)
			time.Sleep(7 * time.Minute)
			stop()
		}
		check(t, "ten starts in 70 minutes", work.got(), []string{"01 01:00 match 01 01:00"})
	})
}

func TestDeadReplicasTickIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		// A replica that died holds the tick of 01:00 until 01:01.
		at := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		value, _ := json.Marshal(state{Tick: at, Attempt: 1, Until: at.Add(lease)})
		if _, err := store.PutSetting(t.Context(), "schedule/hourly", value, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		work := &recorder{}
		stop := replica(t, hourly(), store, work)
		time.Sleep(10 * time.Minute)
		stop()
		check(t, "the tick of a dead replica", work.got(), []string{"01 01:01 match 01 01:00"})
	})
}

func TestLongRescanKeepsItsTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		work := &recorder{do: func(ctx context.Context, _ int) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(150 * time.Minute):
				return nil
			}
		}}
		stopA, stopB := replica(t, hourly(), store, work), replica(t, hourly(), store, work)
		time.Sleep(5 * time.Hour)
		stopA()
		stopB()
		// Begun at 1, ends at 3:30; the ticks of 2 and 3 were missed: one run.
		check(t, "rescans longer than the interval", work.got(), []string{"01 01:00 match 01 01:00", "01 03:30 match 01 03:00"})
	})
}

func TestErrorIsRetriedWithRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		work := &recorder{do: func(_ context.Context, call int) error {
			if call < 4 {
				return gate.ErrAdvisoriesUnavailable
			}
			return nil
		}}
		s, err := New(hourly(), store, work, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		stop := replica(t, hourly(), store, work)
		time.Sleep(time.Hour + 2*time.Minute)
		synctest.Wait()
		status, err := s.Status(t.Context())
		if err != nil || status[0].Error == "" || !status[0].DoneAt.IsZero() {
			t.Errorf("Status between attempts: got %+v, %v", status, err)
		}
		time.Sleep(30 * time.Minute)
		stop()
		check(t, "a rescan that fails three times", work.got(), []string{
			"01 01:00 match 01 01:00", "01 01:01 match 01 01:00", "01 01:03 match 01 01:00", "01 01:07 match 01 01:00",
		})
		status, err = s.Status(t.Context())
		tick := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		want := []Status{{Name: "hourly", Cron: "0 * * * *", TimeZone: "UTC", Kind: KindMatch, LastTick: tick, DoneAt: tick.Add(7 * time.Minute), Next: tick.Add(time.Hour)}}
		if diff := cmp.Diff(want, status); err != nil || diff != "" {
			t.Errorf("Status (-want +got), error %v:\n%s", err, diff)
		}
	})
}

func TestNewerTickReplacesAFailedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := &recorder{do: func(_ context.Context, call int) error {
			if call <= 8 {
				return errors.New("still broken")
			}
			return nil
		}}
		stop := replica(t, hourly(), newMemory(), work)
		time.Sleep(2*time.Hour + 30*time.Minute)
		stop()
		got := work.got()
		if len(got) != 9 || got[8] != "01 02:01 match 01 02:00" {
			t.Errorf("calls: got %q, want the ninth to be the tick of 02:00 at its second attempt", got)
		}
	})
}

func TestStopHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		work := &recorder{do: func(ctx context.Context, call int) error {
			if call == 1 {
				<-ctx.Done() // stopped in the middle
				return ctx.Err()
			}
			return nil
		}}
		stop := replica(t, hourly(), store, work)
		time.Sleep(time.Hour + 10*time.Second)
		stop()
		stop = replica(t, hourly(), store, work)
		time.Sleep(time.Second)
		stop()
		check(t, "stopped in a rescan", work.got(), []string{"01 01:00 match 01 01:00", "01 01:00 match 01 01:00"})
	})
}

func TestLostClaimStopsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cause := make(chan error, 1)
		work := &recorder{do: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return ctx.Err()
		}}
		stop := replica(t, hourly(), store, work)
		defer stop()
		time.Sleep(time.Hour + time.Second)
		store.fail(gate.ErrStoreUnavailable)
		time.Sleep(2 * lease)
		select {
		case got := <-cause:
			if !errors.Is(got, gate.ErrFenced) {
				t.Errorf("cause of the end: got %v, want ErrFenced", got)
			}
		default:
			t.Error("the rescan goes on although its claim cannot be renewed")
		}
		store.fail(nil)
	})
}

func TestStoreOutageDelaysAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		stop := replica(t, hourly(), store, work)
		time.Sleep(50 * time.Minute)
		store.fail(gate.ErrStoreUnavailable)
		time.Sleep(25 * time.Minute)
		store.fail(nil)
		time.Sleep(5 * time.Minute)
		stop()
		check(t, "the store was away at the tick", work.got(), []string{"01 01:15 match 01 01:00"})
	})
}

func TestUnreadableStateGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		if _, err := store.PutSetting(t.Context(), "schedule/hourly", []byte("{"), 0); err != nil {
			t.Fatal(err)
		}
		stop := replica(t, hourly(), store, work)
		time.Sleep(61 * time.Minute)
		stop()
		check(t, "after an unreadable state", work.got(), []string{"01 01:00 match 01 01:00"})
	})
}

func TestKindsAndEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, work := newMemory(), &recorder{}
		list := []Config{{Name: "often", Cron: "@every 25m", Kind: KindContent}}
		stop := replica(t, list, store, work)
		time.Sleep(55 * time.Minute)
		stop()
		check(t, "every 25 minutes", work.got(), []string{"01 00:25 content 01 00:25", "01 00:50 content 01 00:50"})
		if store.writes > 8 {
			t.Errorf("%d writes for two ticks", store.writes)
		}
	})
}
