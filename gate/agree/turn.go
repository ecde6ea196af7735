package agree

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// turnLease is how long work stays with a process that is not heard of any
	// more; it is renewed three times in that time.
	turnLease = time.Minute
	// turnPoll is how often a process looks whether another has finished.
	turnPoll = 2 * time.Second
)

// Turn lets one of all processes on a store do a piece of work that each of them would
// do. There is no leader: the process that comes first does it, and when it dies
// another one takes it up. The work must be harmless to repeat.
type Turn struct {
	store   TimedSettings
	setting string
	holder  string
}

// NewTurn makes the turn of a named work; every process uses the same name.
func NewTurn(store TimedSettings, name string) *Turn {
	return &Turn{store: store, setting: SettingTurn(name), holder: rand.Text()}
}

// turnState is the value of the setting.
type turnState struct {
	For    string    `json:"for"`   // what the work was about
	Began  time.Time `json:"began"` // by the store's clock
	Done   bool      `json:"done"`
	Holder string    `json:"holder"`
	Until  time.Time `json:"until"`

	version int64
}

// Do does the work unless another process did, for the same thing and within
// the time that it holds; while another one is at it, it waits for the outcome.
// It reports whether the work was done here. The work is cancelled with
// ErrFenced when another process took it over. Errors: those of the store and
// of the work.
func (t *Turn) Do(ctx context.Context, about string, holds time.Duration, work func(context.Context) error) (here bool, err error) {
	for {
		now, st, err := t.load(ctx)
		if err != nil {
			return false, err
		}
		if st.Done && st.For == about && now.Sub(st.Began).Abs() < holds {
			return false, nil
		}
		if !st.Done && now.Before(st.Until) {
			select {
			case <-ctx.Done():
				return false, fmt.Errorf("waiting for a turn: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
			case <-time.After(turnPoll):
			}
			continue
		}
		next := turnState{For: about, Began: now, Holder: t.holder, Until: now.Add(turnLease), version: st.version}
		err = t.save(ctx, &next)
		if errors.Is(err, gate.ErrConflict) {
			continue // another process was first
		}
		if err != nil {
			return false, err
		}
		return true, t.run(ctx, next, work)
	}
}

func (t *Turn) run(ctx context.Context, st turnState, work func(context.Context) error) error {
	err := HoldLease(ctx, turnLease, func(ctx context.Context) error {
		next := st
		now, err := t.store.Now(ctx)
		if err == nil {
			next.Until = now.Add(turnLease)
			err = t.save(ctx, &next)
		}
		if err == nil {
			st = next
		}
		return err
	}, work)
	st.Done = err == nil
	st.Until = time.Time{} // after a failure or a stop another one may begin at once
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if save := t.save(ending, &st); save != nil && !errors.Is(save, gate.ErrConflict) {
		err = errors.Join(err, save)
	}
	return err
}

// load reads the state. A value that cannot be read counts as done long ago.
func (t *Turn) load(ctx context.Context) (time.Time, turnState, error) {
	now, err := t.store.Now(ctx)
	if err != nil {
		return now, turnState{}, fmt.Errorf("reading the store's clock: %w", err)
	}
	st := turnState{Done: true}
	version, readable, err := LoadState(ctx, t.store, t.setting, &st)
	if err != nil {
		return now, turnState{}, fmt.Errorf("reading whose turn it is: %w", err)
	}
	if !readable {
		st = turnState{Done: true}
	}
	st.version = version
	return now, st, nil
}

func (t *Turn) save(ctx context.Context, st *turnState) error {
	return SaveState(ctx, t.store, t.setting, st, &st.version)
}
