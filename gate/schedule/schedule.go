// Package schedule runs the periodic rescans of the configuration: at each
// tick of a schedule, on one of all replicas, it asks for a rescan.
//
// A tick is the time at which a schedule should run. The store's setting
// "schedule/NAME" holds the last tick that was begun, so that it is begun once whatever
// the number of replicas and restarts. A tick whose rescan was cut short (crash, stop,
// error) is taken up again, so a rescan must be harmless to repeat. One run makes up
// for all ticks at which no process ran.
//
// It does not know what a rescan does, and it does not hold work that has to
// happen more often than by the minute.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Rescanner does the work of a tick; what is done already, by an earlier
// attempt at the same tick, it leaves alone. Any error makes the tick be tried
// again, after a minute at first and a quarter of an hour at last, until the
// next one is due. When ctx ends it stops at once.
type Rescanner interface {
	// Rescan does the work of one tick of a schedule; see Rescanner for its errors.
	Rescan(ctx context.Context, kind Kind, tick time.Time) error
}

// Store is the part of the store that replicas agree through; see
// store.Settings and store.Store for the errors.
type Store interface {
	agree.Settings
	// Now is the store's clock. gate.ErrStoreUnavailable: the tick waits.
	Now(ctx context.Context) (time.Time, error)
}

const (
	// lease is how long a tick stays with a replica that is not heard of any
	// more; it is renewed three times in that time.
	lease = time.Minute
	// poll is how often a schedule is looked at when nothing is due, to take
	// up the ticks of replicas that died.
	poll = 30 * time.Second
	// A failed tick rests this long, doubled for each failure up to the limit.
	firstRest, longestRest = time.Minute, 15 * time.Minute
)

// Scheduler runs the schedules. It is safe for concurrent use.
type Scheduler struct {
	entries []entry
	store   Store
	work    Rescanner
	log     *slog.Logger
}

type entry struct {
	Config
	ticks ticks
}

func (e entry) setting() string { return agree.SettingSchedule(e.Name) }

// New builds the scheduler of a list that [Validate] accepts; ErrInvalid
// otherwise.
func New(list []Config, store Store, work Rescanner, log *slog.Logger) (*Scheduler, error) {
	if err := Validate(list); err != nil {
		return nil, err
	}
	s := &Scheduler{store: store, work: work, log: log}
	for _, c := range list {
		zone, err := c.zone()
		if err != nil {
			return nil, err
		}
		t, err := parseCron(c.Cron, zone)
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, entry{Config: c, ticks: t})
	}
	return s, nil
}

// Run serves all schedules until ctx ends and every rescan has returned. A rescan in
// progress is cancelled, and the next process takes it up again.
func (s *Scheduler) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, e := range s.entries {
		wg.Go(func() {
			for ctx.Err() == nil {
				wait, err := s.step(ctx, e)
				if err != nil && ctx.Err() == nil {
					s.log.Error("schedule cannot be followed", "schedule", e.Name, "error", err)
				}
				sleep(ctx, wait)
			}
		})
	}
	wg.Wait()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step runs what is due and says when to look again.
func (s *Scheduler) step(ctx context.Context, e entry) (time.Duration, error) {
	now, err := s.store.Now(ctx)
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
	if free := st.Done || !now.Before(st.Until); free {
		claim := st.again(now)
		due := e.ticks.due(st.Tick, now)
		if !due.IsZero() {
			claim = st.begin(due, now)
		}
		if !due.IsZero() || !st.Done {
			if err := s.run(ctx, e, claim); err != nil {
				return poll, err
			}
			return 0, nil // more may have become due meanwhile
		}
	}
	wait := poll
	if next := e.ticks.upcoming(st.Tick, now); !next.IsZero() {
		wait = min(wait, next.Sub(now))
	}
	if !st.Done {
		wait = min(wait, max(st.Until.Sub(now), time.Second))
	}
	return wait, nil
}

// run claims the tick of st and does its work.
func (s *Scheduler) run(ctx context.Context, e entry, st state) error {
	err := s.save(ctx, e, &st)
	if errors.Is(err, gate.ErrConflict) {
		return nil // another replica has it
	}
	if err != nil {
		return err
	}
	s.log.Info("rescan begins", "schedule", e.Name, "rescan", e.Kind, "tick", st.Tick, "attempt", st.Attempt)
	start, tick := time.Now(), st.Tick
	err = agree.HoldLease(ctx, lease, func(ctx context.Context) error {
		next := st
		now, err := s.store.Now(ctx)
		if err == nil {
			next.Until = now.Add(lease)
			err = s.save(ctx, e, &next)
		}
		if err == nil {
			st = next
		}
		return err
	}, func(ctx context.Context) error { return s.work.Rescan(ctx, e.Kind, tick) })
	took := time.Since(start)
	switch {
	case errors.Is(err, gate.ErrFenced):
		s.log.Warn("rescan was taken over by another replica", "schedule", e.Name, "tick", st.Tick, "duration", took)
		return nil
	case err != nil && ctx.Err() != nil:
		s.log.Info("rescan stopped, it continues later", "schedule", e.Name, "tick", st.Tick, "duration", took)
	case err != nil:
		s.log.Error("rescan failed and is tried again", "schedule", e.Name, "tick", st.Tick, "attempt", st.Attempt, "duration", took, "error", err)
	default:
		s.log.Info("rescan ends", "schedule", e.Name, "rescan", e.Kind, "tick", st.Tick, "duration", took)
	}
	return s.finish(ctx, e, st, err)
}

// finish records how a tick ended, also while stopping.
func (s *Scheduler) finish(ctx context.Context, e entry, st state, outcome error) error {
	stopping := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	now, err := s.store.Now(ctx)
	if err != nil {
		return fmt.Errorf("ending tick %s of schedule %q: %w", st.Tick.Format(time.RFC3339), e.Name, err)
	}
	switch {
	case outcome == nil:
		st.Done, st.DoneAt, st.Error = true, now, ""
	case stopping:
		st.Until = now
		st.Attempt-- // nobody's fault
	default:
		st.Until = now.Add(rest(st.Attempt))
		st.Error = gate.Printable(outcome.Error(), 500)
	}
	if err := s.save(ctx, e, &st); err != nil && !errors.Is(err, gate.ErrConflict) {
		return fmt.Errorf("ending tick %s: %w", st.Tick.Format(time.RFC3339), err)
	}
	return nil
}

// rest is how long a tick waits after its nth failure.
func rest(n int) time.Duration {
	d := firstRest
	for ; n > 1 && d < longestRest; n-- {
		d *= 2
	}
	return min(d, longestRest)
}
