package schedule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Desk shows schedules to people and takes what they want changed. What is in the
// configuration it only shows: the file says it. It is safe for concurrent use; every
// process on the store sees the same, but for lists in the files that differ.
type Desk struct {
	File  []Config // of this process
	Store Store
	Tasks interface {
		Tasks
		// Pause stops a task until Resume. gate.ErrNotFound: there is none with this id any
		// more; gate.ErrConflict: its state does not allow it; those of the store.
		Pause(ctx context.Context, id string) (gate.ScanTask, error)
		// Resume continues a paused task. Errors: those of Pause.
		Resume(ctx context.Context, id string) (gate.ScanTask, error)
		// Cancel ends a task. Errors: those of Pause.
		Cancel(ctx context.Context, id string) (gate.ScanTask, error)
	}
	// Known is what scopes and risks are checked against now.
	Known func() gate.ScanKnown
	Log   *slog.Logger
}

// Status is a schedule as people see it.
type Status struct {
	Config
	Source    string    // SourceFile, SourceAPI
	CreatedAt time.Time // through the API
	Problem   string    // why it is not followed; "" when it is
	// LastTick was dealt with last, zero when none was; LastResult is begun, joined or off.
	LastTick   time.Time
	LastResult string
	// Last is the run that ended last, Live the one that has not; nil for none.
	Last, Live *gate.ScanTask
	// Next are the next five times at which a run begins; none while it is not enabled.
	Next []time.Time
}

// List is every schedule, those of the file first. Errors: those of the store.
func (d *Desk) List(ctx context.Context) ([]Status, error) {
	now, err := d.Store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the store's clock: %w", err)
	}
	api, err := loadMade(ctx, d.Store)
	if err != nil {
		return nil, err
	}
	tasks, err := d.Tasks.List(ctx)
	if err != nil {
		return nil, err
	}
	list := []Status{}
	for _, e := range entries(d.File, api) {
		st, readable, err := readState(ctx, d.Store, e.Name)
		if err != nil {
			return nil, err
		}
		if !readable || st.Tick.Before(e.made) {
			st = state{Tick: now, Anchor: e.firstDay(e.zone, now)}
		}
		last := st.last()
		if st.Timing != "" && st.Timing != e.timing() || st.Tick.Before(e.since) || st.ahead(now) { // as the scheduler will find it
			st.Tick, st.Anchor = now, e.firstDay(e.zone, now)
		}
		list = append(list, e.status(st, last, tasks, now))
	}
	return list, nil
}

// Get is one of them; gate.ErrNotFound when there is none of that name. Of two, the one
// that runs.
func (d *Desk) Get(ctx context.Context, name string) (Status, error) {
	list, err := d.List(ctx)
	if err != nil {
		return Status{}, err
	}
	for _, s := range slices.Backward(list) {
		if s.Name == name {
			return s, nil
		}
	}
	return Status{}, gate.Refuse(gate.ErrNotFound, "there is no schedule %s; \"digestgate schedules list\" lists them", gate.Quoted(name, 80))
}

const nextRuns = 5

func (e entry) status(st state, last time.Time, tasks []gate.ScanTask, now time.Time) Status {
	s := Status{Config: e.Config, Source: e.source, CreatedAt: e.made, Problem: e.problem, Next: []time.Time{}}
	if !last.IsZero() {
		s.LastTick, s.LastResult = last, string(st.Result)
	}
	if e.source == SourceFile && e.problem != "" {
		return s // the runs are those of the other
	}
	for i, t := range tasks { // the newest first
		switch {
		case t.Schedule != e.Name || t.CreatedAt.Before(e.made):
		case t.State.Live():
			s.Live = &tasks[i]
		case s.Last == nil || t.FinishedAt.After(s.Last.FinishedAt):
			s.Last = &tasks[i]
		}
	}
	if e.problem == "" && e.Enabled {
		s.Next = e.next(st, now)
	}
	return s
}

// next are the next times at which runs begin: a tick outside of the window waits for it.
func (e entry) next(st state, now time.Time) []time.Time {
	list := []time.Time{}
	t, _, err := e.ticks(e.zone, st.Anchor)
	if err != nil {
		return list
	}
	window, err := gate.ParseDayWindow(e.Window, e.zone)
	if err != nil {
		return list
	}
	at := t.upcoming(st.Tick, now)
	for steps := 0; !at.IsZero() && len(list) < nextRuns && steps < 100_000; steps++ {
		begins := window.Opens(at)
		if len(list) == 0 || begins.After(list[len(list)-1]) {
			list = append(list, begins)
		}
		at = t.next(at)
	}
	return list
}

// Problems says what is wrong with a schedule.
func (d *Desk) Problems(c Config) []gate.ScanProblem { return c.Problems(d.Known()) }

// Add makes a schedule. gate.ErrInvalid: each problem is a line with its key;
// gate.ErrConflict: the name is taken; gate.ErrTooLarge: there are too many; those of the
// store.
func (d *Desk) Add(ctx context.Context, c Config) (Status, error) {
	if err := gate.ScanProblems("", d.Problems(c)); err != nil {
		return Status{}, err
	}
	if d.inFile(c.Name) {
		return Status{}, gate.Refuse(gate.ErrConflict, "schedule %q is in the configuration file; choose another name, or change that schedule in the file", c.Name)
	}
	now, err := d.Store.Now(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("reading the store's clock: %w", err)
	}
	if c.Every != "" && c.From == "" { // so that the day is seen, and stays
		zone, err := gate.ParseTimeZone(c.TimeZone)
		if err != nil {
			return Status{}, err
		}
		c.From = c.firstDay(zone, now)
	}
	err = changeMade(ctx, d.Store, func(m *made) error {
		switch {
		case m.index(c.Name) >= 0:
			return gate.Refuse(gate.ErrConflict, "schedule %q already exists; choose another name, or change it with \"digestgate schedules set %s\"", c.Name, c.Name)
		case len(m.Schedules) >= maxSchedules:
			return gate.Refuse(gate.ErrConflict, "there are already %d schedules; remove one, or give one schedule several registries and repositories in its scope", maxSchedules)
		}
		m.Schedules = append(m.Schedules, madeConfig{Config: c, CreatedAt: now.UTC(), Since: now.UTC()})
		return nil
	})
	if err != nil {
		return Status{}, err
	}
	d.Log.InfoContext(ctx, "schedule added", "schedule", c.Name, "rescan", c.Kind, "timing", strings.Trim(c.timing(), "|"), "window", c.Window, "enabled", c.Enabled)
	return d.Get(ctx, c.Name)
}

// Remove forgets a schedule that was made through the API, and cancels its run.
// gate.ErrNotFound, gate.ErrConflict for one of the file, those of the store.
func (d *Desk) Remove(ctx context.Context, name string) error {
	err := d.change(ctx, name, func(m *made, i int, _ time.Time) { m.Schedules = slices.Delete(m.Schedules, i, i+1) })
	if err != nil {
		return err
	}
	d.Log.InfoContext(ctx, "schedule removed", "schedule", name)
	if _, err := d.onRun(ctx, name, d.Tasks.Cancel); err != nil && !errors.Is(err, gate.ErrConflict) && !errors.Is(err, gate.ErrNotFound) {
		return fmt.Errorf("schedule %q is removed, but its run is not cancelled: %w", name, err)
	}
	return nil
}

// Enable switches a schedule that was made through the API on or off. Ticks while it is
// off are not made up for. A run that is under way continues. Errors: those of Remove.
func (d *Desk) Enable(ctx context.Context, name string, on bool) (Status, error) {
	err := d.change(ctx, name, func(m *made, i int, now time.Time) {
		c := &m.Schedules[i]
		if on && !c.Enabled {
			c.Since = now
		}
		c.Enabled = on
	})
	if err != nil {
		return Status{}, err
	}
	d.Log.InfoContext(ctx, "schedule switched", "schedule", name, "enabled", on)
	return d.Get(ctx, name)
}

// change changes a schedule that was made through the API.
func (d *Desk) change(ctx context.Context, name string, change func(m *made, i int, now time.Time)) error {
	now, err := d.Store.Now(ctx)
	if err != nil {
		return fmt.Errorf("reading the store's clock: %w", err)
	}
	return changeMade(ctx, d.Store, func(m *made) error {
		i := m.index(name)
		switch {
		case i < 0 && d.inFile(name):
			return gate.Refuse(gate.ErrConflict, "schedule %q is in the configuration file; change it there (enabled: false switches it off)", name)
		case i < 0:
			return gate.Refuse(gate.ErrNotFound, "there is no schedule %s; \"digestgate schedules list\" lists them", gate.Quoted(name, 80))
		}
		change(m, i, now.UTC())
		return nil
	})
}

// inFile reports whether the file of this process has a schedule of that name.
func (d *Desk) inFile(name string) bool {
	return slices.ContainsFunc(d.File, func(c Config) bool { return c.Name == name })
}

// RunNow starts a run, whether the schedule is enabled or not; its window holds.
// gate.ErrConflict: one is under way, or the schedule is not followed; those of Tasks.
func (d *Desk) RunNow(ctx context.Context, name string) (gate.ScanTask, error) {
	s, err := d.Get(ctx, name)
	if err != nil {
		return gate.ScanTask{}, err
	}
	if s.Problem != "" {
		return gate.ScanTask{}, gate.Refuse(gate.ErrConflict, "schedule %q cannot run: %s", name, s.Problem)
	}
	task, err := d.Tasks.Start(ctx, name+"-now-"+strings.ToLower(rand.Text()[:10]), s.Request(time.Time{}))
	if errors.Is(err, gate.ErrConflict) && task.ID != "" {
		return task, gate.Refuse(gate.ErrConflict, "schedule %q is already running, as scan task %s; wait for it, or cancel it with \"digestgate schedules cancel %s\"", name, task.ID, name)
	}
	if err == nil {
		d.Log.InfoContext(ctx, "run of a schedule requested", "schedule", name, "task", task.ID)
	}
	return task, err
}

// Pause stops the run of a schedule until it is resumed. gate.ErrNotFound: there is no
// such schedule; gate.ErrConflict: it has no run under way, or its state does not
// allow it; those of the store.
func (d *Desk) Pause(ctx context.Context, name string) (gate.ScanTask, error) {
	return d.onRun(ctx, name, d.Tasks.Pause)
}

// Resume continues the paused run of a schedule where it was. Errors: those of Pause.
func (d *Desk) Resume(ctx context.Context, name string) (gate.ScanTask, error) {
	return d.onRun(ctx, name, d.Tasks.Resume)
}

// Cancel ends the run of a schedule. Errors: those of Pause.
func (d *Desk) Cancel(ctx context.Context, name string) (gate.ScanTask, error) {
	return d.onRun(ctx, name, d.Tasks.Cancel)
}

func (d *Desk) onRun(ctx context.Context, name string, do func(context.Context, string) (gate.ScanTask, error)) (gate.ScanTask, error) {
	tasks, err := d.Tasks.List(ctx)
	if err != nil {
		return gate.ScanTask{}, err
	}
	for _, t := range tasks {
		if t.Schedule == name && t.State.Live() {
			return do(ctx, t.ID)
		}
	}
	if _, err := d.Get(ctx, name); err != nil {
		return gate.ScanTask{}, err
	}
	return gate.ScanTask{}, gate.Refuse(gate.ErrConflict, "schedule %q has no run under way; \"digestgate schedules run %s\" starts one, \"digestgate schedules disable %s\" stops the next ones", name, name, name)
}
