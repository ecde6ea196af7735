package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
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

// load reads the state of a schedule and makes it when there is none:
// ErrConflict when another replica does so at the same time. A value that is
// not readable counts as none; the schedule goes on from now.
func (s *Scheduler) load(ctx context.Context, e entry, now time.Time) (state, error) {
	value, version, err := s.store.Setting(ctx, e.setting())
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return state{}, fmt.Errorf("reading the last tick of schedule %q: %w", e.Name, err)
	}
	st := state{Tick: now, Done: true, version: version}
	if err == nil {
		kept := state{version: version}
		if bad := json.Unmarshal(value, &kept); bad == nil && !kept.Tick.IsZero() {
			return kept, nil
		}
		s.log.Error("the last tick of a schedule is not readable, it goes on from now", "schedule", e.Name)
	}
	return st, s.save(ctx, e, &st)
}

// save writes the state if nobody else has, and notes the new version.
func (s *Scheduler) save(ctx context.Context, e entry, st *state) error {
	value, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding the state of schedule %q: %w", e.Name, err)
	}
	version, err := s.store.PutSetting(ctx, e.setting(), value, st.version)
	if err != nil {
		return fmt.Errorf("writing the state of schedule %q: %w", e.Name, err)
	}
	st.version = version
	return nil
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
		value, _, err := s.store.Setting(ctx, e.setting())
		if err != nil && !errors.Is(err, gate.ErrNotFound) {
			return nil, fmt.Errorf("reading the last tick of schedule %q: %w", e.Name, err)
		}
		st := state{Tick: now}
		if err == nil && json.Unmarshal(value, &st) == nil && st.Attempt > 0 {
			line.LastTick, line.DoneAt, line.Error = st.Tick, st.DoneAt, st.Error
		}
		line.Next = e.ticks.upcoming(st.Tick, now)
		out = append(out, line)
	}
	return out, nil
}
