package schedule

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate/agree"
)

// outcome is what became of a tick.
type outcome string

const (
	outcomeBegun  outcome = "begun"  // a scan task was made
	outcomeJoined outcome = "joined" // the run of an earlier tick has not ended: it stands for this one too
	outcomeOff    outcome = "off"    // the schedule is not enabled
)

// state is the value of the setting of one schedule.
type state struct {
	// Tick is from when ticks count: that which was dealt with last, or the time when the
	// schedule was first seen, changed or enabled.
	Tick time.Time `json:"tick"`
	// Done is false of a tick that a version before had begun and not ended.
	Done bool `json:"done"`
	// Attempt is 0 of a schedule that has never run.
	Attempt int       `json:"attempt,omitempty"`
	DoneAt  time.Time `json:"doneAt,omitzero"`

	// Timing is what Tick was counted by, "" where a version before has written.
	Timing string `json:"timing,omitempty"`
	// Last is the tick that was dealt with last; zero where a version before has written.
	Last time.Time `json:"last,omitzero"`
	// Anchor is the day that a number of days is counted from.
	Anchor string  `json:"anchor,omitempty"`
	Result outcome `json:"result,omitempty"`
	// Task is the scan task that stands for Tick, or for the last tick that had one.
	Task string `json:"task,omitempty"`

	version int64
}

// load reads the state of a schedule and makes it when there is none, or when the
// schedule is counted in another way by now: ErrConflict when another replica does so at
// the same time. A value that cannot be read counts as none; the schedule continues from
// now.
func (s *Scheduler) load(ctx context.Context, e entry, now time.Time) (state, error) {
	st, readable, err := readState(ctx, s.o.Store, e.Name)
	if err != nil {
		return state{}, err
	}
	timing := e.timing()
	switch {
	case st.ahead(now):
		s.o.Log.Error("the clock of the store was wrong when a schedule was last due, the schedule continues from now", "schedule", e.Name, "tick", st.Tick)
	case readable && st.Timing == timing && !st.Tick.Before(e.since):
		return st, nil
	case readable && st.Timing == "" && e.Every == "" && !st.Tick.Before(e.since): // of a version before
		st.Timing = timing
		return st, nil
	case !readable && st.version > 0:
		s.o.Log.Error("the last tick of a schedule cannot be read, the schedule continues from now", "schedule", e.Name)
	}
	fresh := state{Tick: now, Done: true, Timing: timing, Anchor: e.firstDay(e.zone, now), version: st.version}
	if readable && !st.Tick.Before(e.made) { // what it did last is still told
		fresh.Last, fresh.Attempt, fresh.DoneAt, fresh.Task, fresh.Result = st.last(), st.Attempt, st.DoneAt, st.Task, st.Result
	}
	return fresh, save(ctx, s.o.Store, e.Name, &fresh)
}

// maxAhead is how much the store's clock may be set back without a schedule taking notice:
// until it is as late again, nothing is due.
const maxAhead = time.Hour

// ahead reports whether the last tick is in the future: the clock of the store was wrong
// then, and the schedule would rest until that time comes.
func (st state) ahead(now time.Time) bool { return st.Tick.After(now.Add(maxAhead)) }

// last is the tick that was dealt with last, zero when none was.
func (st state) last() time.Time {
	if st.Last.IsZero() && st.Attempt > 0 {
		return st.Tick
	}
	return st.Last
}

// readState reads the state of a schedule; readable is false when there is none.
func readState(ctx context.Context, s Store, name string) (st state, readable bool, err error) {
	version, readable, err := agree.LoadState(ctx, s, agree.SettingSchedule(name), &st)
	if err != nil {
		return state{}, false, fmt.Errorf("reading the last tick of schedule %q: %w", name, err)
	}
	if readable = readable && !st.Tick.IsZero(); !readable {
		st = state{}
	}
	st.version = version
	return st, readable, nil
}

// save writes the state if nobody else has, and notes the new version.
func save(ctx context.Context, s Store, name string, st *state) error {
	return agree.SaveState(ctx, s, agree.SettingSchedule(name), st, &st.version)
}
