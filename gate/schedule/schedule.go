// Package schedule makes a scan task at each tick of a schedule, once for all replicas.
//
// A schedule is in the configuration's list, or was made through the API, which keeps it
// in a setting of the store. A tick is the time at which a schedule should run. The
// setting "schedule/NAME" holds the last tick that was dealt with, whatever the number of
// replicas and restarts. One run makes up for all ticks at which no process ran. The name
// of the task of a tick follows from the tick, so that two replicas make one.
//
// What a run does, when it stops and how far it is are the task's: see gate/scantask. The
// package holds no work that has to happen more often than by the minute.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Store is the part of the store that replicas agree through; see
// store.Settings and store.Store for the errors.
type Store interface {
	agree.Settings
	// Now is the store's clock. gate.ErrStoreUnavailable: the tick waits.
	Now(ctx context.Context) (time.Time, error)
}

// Tasks makes and lists scan tasks; scantask.Tasks implements it.
type Tasks interface {
	// Start makes a task with an id, or returns the one that has it. gate.ErrConflict: the
	// run of the schedule before has not ended, and is returned; with the zero task, too
	// many tasks have not ended; those of the store.
	Start(ctx context.Context, id string, r gate.ScanRequest) (gate.ScanTask, error)
	// List is all tasks, the newest first. Errors: those of the store.
	List(ctx context.Context) ([]gate.ScanTask, error)
}

// poll is how often schedules are looked at when nothing is due: to see what was made
// through the API, and the ticks of replicas that died.
const poll = 10 * time.Second

// Options are the parts of a scheduler; all but Metrics are needed.
type Options struct {
	Store   Store
	Tasks   Tasks
	Metrics *Metrics // nil counts nothing
	Log     *slog.Logger
}

// Scheduler runs the schedules. It is safe for concurrent use.
type Scheduler struct {
	file []Config
	o    Options
	told map[string]string // the problem of each schedule that was logged last
}

// New builds the scheduler of the configuration's list, and of what the API makes.
// ErrInvalid for a list that [Validate] refuses.
func New(list []Config, o Options) (*Scheduler, error) {
	if err := Validate(list, gate.ScanKnown{}); err != nil {
		return nil, err
	}
	return &Scheduler{file: list, o: o, told: map[string]string{}}, nil
}

// Run follows all schedules until ctx ends.
func (s *Scheduler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, s.round(ctx))
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// round looks at each schedule and says when to look again.
func (s *Scheduler) round(ctx context.Context) time.Duration {
	api, err := loadMade(ctx, s.o.Store)
	if err != nil {
		s.failed(ctx, "", err)
	}
	wait := poll
	for _, e := range entries(s.file, api) {
		if s.refused(e) {
			continue
		}
		next, err := s.step(ctx, e)
		if err != nil {
			s.failed(ctx, e.Name, err)
		}
		wait = min(wait, next)
	}
	return max(wait, time.Millisecond)
}

func (s *Scheduler) failed(ctx context.Context, name string, err error) {
	if ctx.Err() == nil {
		s.o.Log.Error("schedule cannot be followed", "schedule", name, "error", err)
	}
}

// refused reports whether a schedule is not followed; why is logged when it becomes so.
func (s *Scheduler) refused(e entry) bool {
	key := e.source + " " + e.Name
	if s.told[key] != e.problem {
		s.told[key] = e.problem
		if e.problem != "" {
			s.o.Log.Error("schedule is not followed", "schedule", e.Name, "source", e.source, "error", e.problem)
		}
	}
	return e.problem != ""
}

// step runs what is due and says when to look again.
func (s *Scheduler) step(ctx context.Context, e entry) (time.Duration, error) {
	now, err := s.o.Store.Now(ctx)
	if err != nil {
		return poll, fmt.Errorf("reading the store's clock: %w", err)
	}
	st, err := s.load(ctx, e, now)
	if errors.Is(err, gate.ErrConflict) {
		return 0, nil // another replica was first; look again
	}
	if err != nil {
		return poll, err
	}
	t, _, err := e.ticks(e.zone, st.Anchor)
	if err != nil {
		return poll, err
	}
	due := t.due(st.Tick, now)
	if due.IsZero() && !st.Done {
		due = st.Tick // begun and not ended by a version before
	}
	if !due.IsZero() {
		if err := s.deal(ctx, e, st, due, now); err != nil {
			return poll, err
		}
		st.Tick = due
	}
	if next := t.upcoming(st.Tick, now); !next.IsZero() {
		return min(poll, next.Sub(now)), nil
	}
	return poll, nil
}

// deal makes the task of a tick and records the tick. A crash between the two repeats the
// first, which changes nothing then.
func (s *Scheduler) deal(ctx context.Context, e entry, st state, due, now time.Time) error {
	next := st
	next.Tick, next.Last, next.Done, next.DoneAt, next.Attempt, next.Result = due, due, true, now, st.Attempt+1, outcomeOff
	if e.Enabled {
		task, err := s.o.Tasks.Start(ctx, runID(e.Name, due), e.Request(due))
		next.Result = outcomeBegun
		if errors.Is(err, gate.ErrConflict) && task.ID != "" {
			next.Result, err = outcomeJoined, nil
		}
		if err != nil {
			return fmt.Errorf("starting the run of tick %s: %w", due.Format(time.RFC3339), err)
		}
		next.Task = task.ID
	}
	err := save(ctx, s.o.Store, e.Name, &next)
	if errors.Is(err, gate.ErrConflict) {
		return nil // another replica did the same
	}
	if err != nil {
		return err
	}
	s.o.Metrics.tick(next.Result)
	switch next.Result {
	case outcomeBegun:
		s.o.Log.Info("schedule runs", "schedule", e.Name, "tick", due, "late", now.Sub(due).Round(time.Second), "task", next.Task, "rescan", e.Kind)
	case outcomeJoined:
		s.o.Log.Warn("the previous run of a schedule has not ended, it stands for this tick too", "schedule", e.Name, "tick", due, "task", next.Task)
	case outcomeOff:
		s.o.Log.Debug("schedule is not enabled, its tick is left out", "schedule", e.Name, "tick", due)
	}
	return nil
}

// runID is the id of the task of a tick: the same in all processes.
func runID(name string, tick time.Time) string {
	return name + "-" + tick.UTC().Format("20060102T150405Z")
}
