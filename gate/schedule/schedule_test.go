package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/scantask"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shared is a store that fails on demand.
type shared struct {
	*agree.OwnStore
	mu     sync.Mutex
	err    error
	writes int
}

func newShared() *shared { return &shared{OwnStore: agree.NewOwnStore(time.Now)} }

func (s *shared) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shared) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *shared) Setting(ctx context.Context, name string) ([]byte, int64, error) {
	if err := s.failing(); err != nil {
		return nil, 0, err
	}
	return s.OwnStore.Setting(ctx, name)
}

func (s *shared) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if err := s.failing(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.writes++
	s.mu.Unlock()
	return s.OwnStore.PutSetting(ctx, name, value, version)
}

var quiet = slog.New(slog.DiscardHandler)

// world is a store with replicas that run schedules, and somebody who ends their tasks.
type world struct {
	t     *testing.T
	store *shared
	tasks *scantask.Tasks
}

func newWorld(t *testing.T) *world {
	s := newShared()
	return &world{t, s, scantask.New(s, quiet)}
}

// replica runs schedules until stop.
func (w *world) replica(list ...Config) (stop func()) {
	w.t.Helper()
	s, err := New(list, Options{Store: w.store, Tasks: scantask.New(w.store, quiet), Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	return func() { cancel(); <-done }
}

func (w *world) desk(list ...Config) *Desk {
	return &Desk{File: list, Store: w.store, Tasks: w.tasks, Known: func() gate.ScanKnown { return known }, Log: quiet}
}

// end ends every task that has not, as done tasks do.
func (w *world) end() {
	w.t.Helper()
	list, err := w.tasks.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, task := range list {
		if task.State.Live() {
			if _, err := w.tasks.Cancel(w.t.Context(), task.ID); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// runs are the tasks, the oldest first: when it was made, for which tick.
func (w *world) runs() []string {
	w.t.Helper()
	list, err := w.tasks.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, task := range slices.Backward(list) {
		out = append(out, task.CreatedAt.Format("02 15:04:05 ")+task.Schedule+" "+string(task.Kind)+" "+task.Tick.Format("02 15:04"))
	}
	return out
}

func (w *world) want(doing string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), w.runs()); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", doing, diff)
	}
}

// In a bubble the time is midnight UTC on 1 January 2000.
func hourly() Config {
	return Config{Name: "hourly", Cron: "0 * * * *", Kind: gate.ScanMatch, Enabled: true}
}

func TestOneRunForAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var stops []func()
		for range 3 {
			stops = append(stops, w.replica(hourly()))
		}
		for range 3 {
			time.Sleep(70 * time.Minute)
			w.end()
		}
		for _, stop := range stops {
			stop()
		}
		w.want("three replicas", "01 01:00:00 hourly match 01 01:00", "01 02:00:00 hourly match 01 02:00", "01 03:00:00 hourly match 01 03:00")
	})
}

// TestKilledBetweenTaskAndTick: a replica makes the task and dies before it has recorded
// the tick; the next one makes no second task.
func TestKilledBetweenTaskAndTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(hourly())
		time.Sleep(30 * time.Minute)
		stop()
		tick := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
		time.Sleep(30*time.Minute + time.Second)
		if _, err := w.tasks.Start(t.Context(), runID("hourly", tick), hourly().Request(tick)); err != nil {
			t.Fatal(err)
		}
		stop = w.replica(hourly())
		time.Sleep(10 * time.Minute)
		stop()
		w.want("after the kill", "01 01:00:01 hourly match 01 01:00")
	})
}

func TestMissedRunsAreMadeUpForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(hourly())
		time.Sleep(90 * time.Minute)
		stop()
		w.end()
		time.Sleep(24 * time.Hour) // down for 24 ticks
		stop = w.replica(hourly())
		time.Sleep(20 * time.Minute)
		stop()
		w.want("after a day of absence", "01 01:00:00 hourly match 01 01:00", "02 01:30:00 hourly match 02 01:00")
	})
}

// wrong is a store whose clock is wrong.
type wrong struct {
	*shared
	by time.Duration
}

func (w wrong) Now(ctx context.Context) (time.Time, error) {
	now, err := w.shared.Now(ctx)
	return now.Add(w.by), err
}

// TestClockThatWasWrong: a store whose clock was years ahead for a minute does not keep a
// schedule from running until then, and one that is set back repeats no tick.
func TestClockThatWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(hourly())
		time.Sleep(61 * time.Minute)
		stop()
		w.end()
		for _, by := range []time.Duration{10 * 366 * 24 * time.Hour, 0} {
			c := hourly()
			st, err := New([]Config{c}, Options{Store: wrong{w.store, by}, Tasks: w.tasks, Log: quiet})
			if err != nil {
				t.Fatal(err)
			}
			st.round(t.Context())
			w.end()
		}
		s, err := w.desk(hourly()).Get(t.Context(), "hourly")
		if err != nil || len(s.Next) == 0 || s.Next[0].Sub(time.Now()) > time.Hour {
			t.Errorf("it runs next at %v, %v", s.Next, err)
		}
		stop = w.replica(hourly())
		time.Sleep(time.Hour)
		stop()
		if runs := w.runs(); len(runs) != 3 || !strings.HasSuffix(runs[2], "match 01 02:00") {
			t.Errorf("got %q", runs)
		}
	})
}

func TestRestartDoesNotRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 10 {
			stop := w.replica(hourly())
			time.Sleep(7 * time.Minute)
			w.end()
			stop()
		}
		w.want("ten starts in 70 minutes", "01 01:00:00 hourly match 01 01:00")
	})
}

// TestLongRunStandsForItsTicks: a run that takes longer than the interval is not joined by
// a second one, and the ticks in it are not made up for.
func TestLongRunStandsForItsTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.replica(hourly()), w.replica(hourly())
		time.Sleep(210 * time.Minute) // begun at 1, ends at 3:30
		s, err := w.desk(hourly()).Get(t.Context(), "hourly")
		if err != nil || s.LastResult != "joined" || s.LastTick.Hour() != 3 || s.Live == nil || s.Live.Tick.Hour() != 1 {
			t.Errorf("while it runs: got %+v, %v", s, err)
		}
		w.end()
		time.Sleep(time.Hour)
		a()
		b()
		w.want("longer than the interval", "01 01:00:00 hourly match 01 01:00", "01 04:00:00 hourly match 01 04:00")
	})
}

func TestStoreOutageDelaysAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(hourly())
		time.Sleep(50 * time.Minute)
		w.store.fail(gate.ErrStoreUnavailable)
		time.Sleep(25 * time.Minute)
		w.store.fail(nil)
		time.Sleep(time.Minute)
		stop()
		if got := w.runs(); len(got) != 1 || !strings.HasSuffix(got[0], "match 01 01:00") || got[0] > "01 01:15:11" {
			t.Errorf("the store was away at the tick: got %q", got)
		}
	})
}

// TestStateOfAVersionBefore: a tick that was begun there and not ended is begun again, and
// one that was ended is not.
func TestStateOfAVersionBefore(t *testing.T) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		state string
		want  []string
	}{
		"not_ended":  {`{"tick":"2000-01-01T00:00:00Z","done":false,"attempt":1,"until":"2000-01-01T00:01:00Z"}`, []string{"01 00:30:00 hourly match 01 00:00"}},
		"ended":      {`{"tick":"2000-01-01T00:00:00Z","done":true,"attempt":1,"doneAt":"2000-01-01T00:01:00Z"}`, []string{}},
		"unreadable": {`{`, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if _, err := w.store.PutSetting(t.Context(), agree.SettingSchedule("hourly"), []byte(c.state), 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(at.Add(30 * time.Minute)))
				stop := w.replica(hourly())
				time.Sleep(10 * time.Minute)
				w.want("of a version before", c.want...)
				w.end()
				time.Sleep(30 * time.Minute)
				stop()
				w.want("the next tick", append(c.want, "01 01:00:00 hourly match 01 01:00")...)
			})
		})
	}
}

func TestKindsAndEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(Config{Name: "often", Cron: "@every 25m", Kind: gate.ScanContent, Enabled: true})
		time.Sleep(30 * time.Minute)
		w.end()
		time.Sleep(25 * time.Minute)
		stop()
		w.want("every 25 minutes", "01 00:25:00 often content 01 00:25", "01 00:50:00 often content 01 00:50")
		if w.store.writes > 8 {
			t.Errorf("%d writes for two ticks", w.store.writes)
		}
		list, err := w.tasks.List(t.Context())
		if err != nil || !list[0].Force {
			t.Errorf("content is not analysed again: %+v, %v", list, err)
		}
	})
}

// TestOff: ticks of a schedule that is not enabled are left out, and are not made up for
// when it is enabled again.
func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := hourly()
		c.Enabled = false
		stop := w.replica(c)
		time.Sleep(150 * time.Minute)
		s, err := w.desk(c).Get(t.Context(), "hourly")
		if err != nil || s.LastResult != "off" || len(s.Next) != 0 {
			t.Errorf("while it is off: got %+v, %v", s, err)
		}
		stop()
		stop = w.replica(hourly())
		time.Sleep(20 * time.Minute)
		w.want("just enabled")
		time.Sleep(20 * time.Minute)
		stop()
		w.want("enabled", "01 03:00:00 hourly match 01 03:00")
	})
}

// TestOtherTiming: a schedule whose times change has missed nothing by the new ones.
func TestOtherTiming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := w.replica(Config{Name: "hourly", Cron: "0 0 1 1 *", Kind: gate.ScanMatch, Enabled: true})
		time.Sleep(150 * time.Minute)
		stop()
		stop = w.replica(hourly())
		time.Sleep(40 * time.Minute)
		stop()
		w.want("now every hour", "01 03:00:00 hourly match 01 03:00")
	})
}

// TestEveryDays: days are counted from a day on, also over the end of a month, where
// cron's */3 would begin again.
func TestEveryDays(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for name, c := range map[string]struct {
		config Config
		from   time.Time
		want   []string
	}{
		"3d_over_a_month":   {Config{Every: "3d", At: "01:00", From: "2026-11-27", TimeZone: "Europe/Berlin"}, time.Date(2026, 11, 27, 12, 0, 0, 0, berlin), []string{"2026-11-30 01:00 CET", "2026-12-03 01:00 CET", "2026-12-06 01:00 CET"}},
		"15d":               {Config{Every: "15d", From: "2026-12-01", TimeZone: "Europe/Berlin"}, time.Date(2026, 11, 1, 0, 0, 0, 0, berlin), []string{"2026-12-01 00:00 CET", "2026-12-16 00:00 CET", "2026-12-31 00:00 CET"}},
		"daily_into_a_gap":  {Config{Every: "1d", At: "02:30", From: "2026-01-01", TimeZone: "Europe/Berlin"}, time.Date(2026, 3, 28, 12, 0, 0, 0, berlin), []string{"2026-03-29 03:30 CEST", "2026-03-30 02:30 CEST"}},
		"repeated_is_once":  {Config{Every: "1d", At: "02:30", From: "2026-01-01", TimeZone: "Europe/Berlin"}, time.Date(2026, 10, 24, 12, 0, 0, 0, berlin), []string{"2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"}},
		"30d_from_long_ago": {Config{Every: "30d", From: "2000-01-01", TimeZone: "Europe/Berlin"}, time.Date(2026, 11, 1, 0, 0, 0, 0, berlin), []string{"2026-11-10 00:00 CET", "2026-12-10 00:00 CET"}},
	} {
		t.Run(name, func(t *testing.T) {
			tk, key, err := c.config.ticks(berlin, "")
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			at := c.from
			var got []string
			for range c.want {
				at = tk.next(at)
				got = append(got, at.In(berlin).Format("2006-01-02 15:04 MST"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryIsCountedFromTheFirstDay: without a day, the first run is within a day, and a
// restart does not begin the count again.
func TestEveryIsCountedFromTheFirstDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := Config{Name: "third", Every: "3d", At: "06:00", Kind: gate.ScanMatch, Enabled: true}
		for range 8 {
			stop := w.replica(c)
			time.Sleep(24 * time.Hour)
			w.end()
			stop()
			time.Sleep(time.Minute)
		}
		w.want("every three days", "01 06:00:00 third match 01 06:00", "04 06:00:00 third match 04 06:00", "07 06:00:00 third match 07 06:00")
	})
}

func TestDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(t), t.Context()
		d := w.desk(hourly())
		stop := w.replica(hourly())
		defer func() { stop() }()
		made := Config{Name: "made", Every: "7d", At: "03:00", Kind: gate.ScanMatch, Window: "04:00-05:00", Enabled: true}
		s, err := d.Add(ctx, made)
		if err != nil || s.Source != SourceAPI || s.From != "2000-01-01" {
			t.Fatalf("Add: got %+v, %v", s, err)
		}
		var next []string
		for _, at := range s.Next {
			next = append(next, at.Format("02 15:04"))
		}
		if diff := cmp.Diff([]string{"01 04:00", "08 04:00", "15 04:00", "22 04:00", "29 04:00"}, next); diff != "" {
			t.Errorf("the next five runs, in the window (-want +got):\n%s", diff)
		}
		for what, c := range map[string]struct {
			err   error
			class error
			text  string
		}{
			"of_the_file":     {second(d.Add(ctx, hourly())), gate.ErrConflict, `schedule "hourly" is in the configuration file; choose another name`},
			"twice":           {second(d.Add(ctx, made)), gate.ErrConflict, `schedule "made" already exists; choose another name, or change it with "digestgate schedules set made"`},
			"invalid":         {second(d.Add(ctx, Config{Name: "x", Cron: "61 * * * *", Kind: gate.ScanMatch, Enabled: true})), gate.ErrInvalid, "cron: "},
			"remove_file":     {d.Remove(ctx, "hourly"), gate.ErrConflict, "change it there"},
			"disable_file":    {second(d.Enable(ctx, "hourly", false)), gate.ErrConflict, "enabled: false"},
			"remove_unknown":  {d.Remove(ctx, "other"), gate.ErrNotFound, `there is no schedule "other"; "digestgate schedules list" lists them`},
			"pause_nothing":   {second(d.Pause(ctx, "made")), gate.ErrConflict, `schedule "made" has no run under way`},
			"run_of_unknown":  {second(d.RunNow(ctx, "other")), gate.ErrNotFound, "there is no schedule"},
			"pause_of_nobody": {second(d.Pause(ctx, "other")), gate.ErrNotFound, "there is no schedule"},
		} {
			if !errors.Is(c.err, c.class) || !strings.Contains(c.err.Error(), c.text) {
				t.Errorf("%s: got %v, want %v with %q", what, c.err, c.class, c.text)
			}
		}
		task, err := d.RunNow(ctx, "made")
		if err != nil || task.Schedule != "made" || !task.Tick.IsZero() || task.Window != "04:00-05:00" {
			t.Fatalf("RunNow: got %+v, %v", task, err)
		}
		if _, err := d.RunNow(ctx, "made"); !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), "is already running, as scan task "+task.ID) {
			t.Errorf("RunNow twice: %v", err)
		}
		for _, step := range []struct {
			do   func(context.Context, string) (gate.ScanTask, error)
			want gate.ScanState
		}{{d.Pause, gate.ScanPaused}, {d.Resume, gate.ScanQueued}, {d.Cancel, gate.ScanCancelled}} {
			if got, err := step.do(ctx, "made"); err != nil || got.State != step.want {
				t.Errorf("got %s, %v, want %s", got.State, err, step.want)
			}
		}
		time.Sleep(3*time.Hour + time.Minute)
		s, err = d.Get(ctx, "made")
		if err != nil || s.Live == nil || s.Live.Tick.Hour() != 3 || s.Last == nil || s.Last.ID != task.ID || s.LastResult != "begun" {
			t.Errorf("after its tick: got %+v, %v", s, err)
		}
		if err := d.Remove(ctx, "made"); err != nil {
			t.Fatal(err)
		}
		if got, err := w.tasks.Get(ctx, s.Live.ID); err != nil || got.State != gate.ScanCancelled {
			t.Errorf("the run of a schedule that was removed: got %s, %v", got.State, err)
		}
		time.Sleep(time.Hour)
		if s, err = d.Add(ctx, made); err != nil || s.Last != nil || !s.LastTick.IsZero() {
			t.Errorf("made again: got %+v, %v; want nothing of the former one", s, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestEnable: ticks while it was off are not made up for, whichever way it is enabled.
func TestEnable(t *testing.T) {
	on := hourly()
	on.Rate = 50
	for name, enable := range map[string]func(*Desk) (Status, error){
		"enabled":  func(d *Desk) (Status, error) { return d.Enable(t.Context(), "hourly", true) },
		"replaced": func(d *Desk) (Status, error) { return d.Replace(t.Context(), on) },
	} {
		t.Run(name, func(t *testing.T) { testEnable(t, enable) })
	}
}

func testEnable(t *testing.T, enable func(*Desk) (Status, error)) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(t), t.Context()
		d := w.desk()
		stop := w.replica()
		if _, err := d.Add(ctx, hourly()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(70 * time.Minute)
		w.end()
		if s, err := d.Enable(ctx, "hourly", false); err != nil || s.Enabled || len(s.Next) != 0 {
			t.Errorf("off: got %+v, %v", s, err)
		}
		stop() // nobody sees the tick of 02:00
		time.Sleep(time.Hour)
		if s, err := enable(d); err != nil || !s.Enabled || s.LastTick.Hour() != 1 {
			t.Errorf("on: got %+v, %v", s, err)
		}
		stop = w.replica()
		time.Sleep(time.Hour)
		stop()
		w.want("enabled again", "01 01:00:00 hourly match 01 01:00", "01 03:00:00 hourly match 01 03:00")
	})
}

// TestReplace: a schedule that is replaced keeps its name, its day and what ran; it is due
// at its new times from then on, and its run ends as it began.
func TestReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(t), t.Context()
		d := w.desk(hourly())
		stop := w.replica(hourly())
		defer func() { stop() }()
		made := Config{Name: "made", Every: "2d", At: "03:00", Kind: gate.ScanMatch, Enabled: true}
		first, err := d.Add(ctx, made)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Hour + time.Minute)
		run, err := d.Get(ctx, "made")
		if err != nil || run.Live == nil {
			t.Fatalf("it does not run: %+v, %v", run, err)
		}
		made.Rate = 100
		s, err := d.Replace(ctx, made)
		if err != nil || s.Rate != 100 || s.From != first.From || !s.CreatedAt.Equal(first.CreatedAt) || s.Live == nil || s.Live.ID != run.Live.ID || s.Live.Rate != 0 {
			t.Errorf("another rate: got %+v, %v", s, err)
		}
		made.Every, made.At, made.Cron = "", "", "30 2 * * *" // 02:30 is over today
		if s, err = d.Replace(ctx, made); err != nil || s.From != "" || s.Every != "" || len(s.Next) == 0 || s.Next[0].Format("02 15:04") != "02 02:30" {
			t.Errorf("other times: got %+v, %v", s, err)
		}
		made.Enabled = false
		if s, err = d.Replace(ctx, made); err != nil || s.Enabled || len(s.Next) != 0 {
			t.Errorf("off: got %+v, %v", s, err)
		}
		other := made
		other.Name = "other"
		for what, c := range map[string]struct {
			err   error
			class error
			text  string
		}{
			"of_the_file": {second(d.Replace(ctx, hourly())), gate.ErrConflict, "change it there"},
			"unknown":     {second(d.Replace(ctx, other)), gate.ErrNotFound, `there is no schedule "other"`},
			"invalid":     {second(d.Replace(ctx, Config{Name: "made", Every: "3", Kind: gate.ScanMatch})), gate.ErrInvalid, `every: "3" is not a number of days from 1d to 366d; write 3d for 3 days`},
		} {
			if !errors.Is(c.err, c.class) || !strings.Contains(c.err.Error(), c.text) {
				t.Errorf("%s: got %v, want %v with %q", what, c.err, c.class, c.text)
			}
		}
	})
}

// TestOneNameInBothLists: the file's is refused plainly, and the other runs.
func TestOneNameInBothLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(t), t.Context()
		if _, err := w.desk().Add(ctx, hourly()); err != nil {
			t.Fatal(err)
		}
		file := hourly()
		file.Kind = gate.ScanContent
		stop := w.replica(file)
		time.Sleep(70 * time.Minute)
		stop()
		w.want("both lists", "01 01:00:00 hourly match 01 01:00")
		list, err := w.desk(file).List(ctx)
		if err != nil || len(list) != 2 || !strings.Contains(list[0].Problem, `rename this one in the file, or remove the other with "digestgate schedules remove hourly"`) || list[0].Source != SourceFile || list[1].Problem != "" {
			t.Errorf("List: got %+v, %v", list, err)
		}
	})
}

// TestMadeByALaterVersion: what this version cannot read is not overwritten, and the
// file's schedules run.
func TestMadeByALaterVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ctx := newWorld(t), t.Context()
		later, _ := json.Marshal(made{Format: madeFormat + 1})
		if _, err := w.store.PutSetting(ctx, agree.SettingSchedules, later, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.desk().Add(ctx, hourly()); !errors.Is(err, gate.ErrStoreUnavailable) || !strings.Contains(err.Error(), "run the version of digestgate that wrote it") {
			t.Errorf("Add: %v", err)
		}
		stop := w.replica(hourly())
		time.Sleep(70 * time.Minute)
		stop()
		w.want("the file's", "01 01:00:00 hourly match 01 01:00")
		if value, _, err := w.store.Setting(ctx, agree.SettingSchedules); err != nil || string(value) != string(later) {
			t.Errorf("the list is %s now, %v", value, err)
		}
	})
}
