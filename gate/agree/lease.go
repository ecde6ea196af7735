package agree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// A lease lets one of all processes do a piece of work. It is in a setting, with
// whatever else there is to know of the work; a process that wants it writes its name
// in by compare-and-set, and the process that has it extends it. There is no leader,
// and a process that dies is not waited for longer than the lease.

// HoldLease does work while renew extends the lease, three times in its length.
// renew returns ErrConflict or ErrFenced when another process has taken it. Then,
// and when it could not be extended for its whole length, the work is cancelled,
// and the error of the work wraps ErrFenced. renew is not called any more when
// HoldLease has returned.
func HoldLease(ctx context.Context, lease time.Duration, renew, work func(context.Context) error) error {
	working, cancel := context.WithCancelCause(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		keepLease(working, lease, renew, cancel)
	}()
	err := work(working)
	if err != nil && errors.Is(context.Cause(working), gate.ErrFenced) {
		err = errors.Join(gate.ErrFenced, err)
	}
	cancel(nil)
	<-kept
	return err
}

func keepLease(ctx context.Context, lease time.Duration, renew func(context.Context) error, cancel context.CancelCauseFunc) {
	renewed := time.Now()
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := renew(ctx)
		switch {
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, gate.ErrConflict), errors.Is(err, gate.ErrFenced), time.Since(renewed) >= lease:
			cancel(gate.ErrFenced)
			return
		}
	}
}

// LoadState reads a setting that holds JSON into state, and returns its version,
// 0 when there is none. readable is false when there is none, and when it is not
// what state takes. Errors: those of the store.
func LoadState(ctx context.Context, s Settings, name string, state any) (version int64, readable bool, err error) {
	value, version, err := s.Setting(ctx, name)
	if errors.Is(err, gate.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("reading setting %q: %w", name, err)
	}
	return version, json.Unmarshal(value, state) == nil, nil
}

// SaveState writes state over the given version, and notes the new one; ErrConflict
// when another process has written since.
func SaveState(ctx context.Context, s Settings, name string, state any, version *int64) error {
	value, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encoding setting %q: %w", name, err)
	}
	next, err := s.PutSetting(ctx, name, value, *version)
	if err != nil {
		return fmt.Errorf("writing setting %q: %w", name, err)
	}
	*version = next
	return nil
}
