package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate/agree"
)

// state is the value of the setting of one schedule.
type state struct {
	// Tick was begun last. Of a schedule that has never run it is the time
	// when it was first seen, and Done is set.
	Tick    time.Time `json:"tick"`
	Done    bool      `json:"done"`
	Attempt int       `json:"attempt,omitempty"`
	// Until is when the tick is free to be taken again unless Done.
	Until  time.Time `json:"until,omitzero"`
	DoneAt time.Time `json:"doneAt,omitzero"`
	Error  string    `json:"error,omitempty"` // of the last attempt

	version int64
}

func (st state) begin(tick, now time.Time) state {
	return state{Tick: tick, Attempt: 1, Until: now.Add(lease), version: st.version}
}

func (st state) again(now time.Time) state {
	st.Attempt++
	st.Until = now.Add(lease)
	return st
}

// load reads the state of a schedule and makes it when there is none: ErrConflict when
// another replica does so at the same time. A value that cannot be read counts as none;
// the schedule continues from now.
func (s *Scheduler) load(ctx context.Context, e entry, now time.Time) (state, error) {
	var st state
	version, readable, err := agree.LoadState(ctx, s.store, e.setting(), &st)
	if err != nil {
		return state{}, fmt.Errorf("reading the last tick of schedule %q: %w", e.Name, err)
	}
	st.version = version
	if readable && !st.Tick.IsZero() {
		return st, nil
	}
	if version > 0 {
		s.log.Error("the last tick of a schedule cannot be read, the schedule continues from now", "schedule", e.Name)
	}
	st = state{Tick: now, Done: true, version: version}
	return st, s.save(ctx, e, &st)
}

// save writes the state if nobody else has, and notes the new version.
func (s *Scheduler) save(ctx context.Context, e entry, st *state) error {
	return agree.SaveState(ctx, s.store, e.setting(), st, &st.version)
}

// Status is a schedule as the API shows it.
type Status struct {
	Name     string `json:"name"`
	Cron     string `json:"cron"`
	TimeZone string `json:"timeZone"`
	Kind     Kind   `json:"kind"`
	// LastTick was begun last; zero when the schedule has not run yet.
	LastTick time.Time `json:"lastTick,omitzero"`
	// DoneAt is when it ended, zero while it runs or waits for another try.
	DoneAt time.Time `json:"doneAt,omitzero"`
	Error  string    `json:"error,omitempty"` // of the last attempt
	Next   time.Time `json:"next"`
}

// Status says how each schedule stands, in the order of the configuration.
// Errors are those of the store.
func (s *Scheduler) Status(ctx context.Context) ([]Status, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the store's clock: %w", err)
	}
	out := make([]Status, 0, len(s.entries))
	for _, e := range s.entries {
		line := Status{Name: e.Name, Cron: e.Cron, TimeZone: e.ticks.zone.String(), Kind: e.Kind}
		st := state{Tick: now}
		_, readable, err := agree.LoadState(ctx, s.store, e.setting(), &st)
		if err != nil {
			return nil, fmt.Errorf("reading the last tick of schedule %q: %w", e.Name, err)
		}
		if readable && st.Attempt > 0 {
			line.LastTick, line.DoneAt, line.Error = st.Tick, st.DoneAt, st.Error
		}
		line.Next = e.ticks.upcoming(st.Tick, now)
		out = append(out, line)
	}
	return out, nil
}
