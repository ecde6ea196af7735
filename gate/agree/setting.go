package agree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Settings is the part of the store with the few values that all processes
// share; see store.Settings for the errors.
type Settings interface {
	// Setting returns a value and its version. gate.ErrNotFound: it was never
	// written; gate.ErrStoreUnavailable: nothing is known, keep what is in force.
	Setting(ctx context.Context, name string) (value []byte, version int64, err error)
	// PutSetting writes a value if its version is still the given one (0: it does
	// not exist yet) and returns the new version. gate.ErrConflict: another process
	// was faster, read again; gate.ErrStoreUnavailable: it may be written or not.
	PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error)
}

// settingTries bounds the races with other processes that one change loses.
// Each lost race means that somebody else succeeded.
const settingTries = 16

// UpdateSetting replaces a setting by what change makes of it, once, whatever
// other processes write meanwhile. change is given the present value, nil when
// there is none; it may be called several times, and returns nil to leave the
// value as it is. Errors: those of change and of the store; ErrConflict when
// others were faster every time.
func UpdateSetting(ctx context.Context, s Settings, name string, change func(value []byte) ([]byte, error)) error {
	for range settingTries {
		value, version, err := s.Setting(ctx, name)
		switch {
		case errors.Is(err, gate.ErrNotFound):
			value, version = nil, 0
		case err != nil:
			return err // a store's errors name the setting
		case value == nil:
			value = []byte{} // there is a setting, and it is empty
		}
		next, err := change(value)
		if err != nil || next == nil {
			return err
		}
		_, err = s.PutSetting(ctx, name, next, version)
		if errors.Is(err, gate.ErrConflict) {
			continue
		}
		return err
	}
	return fmt.Errorf("changing setting %q: %d races lost against other processes: %w", name, settingTries, gate.ErrConflict)
}

// TimedSettings are settings of a store that also tells the time.
type TimedSettings interface {
	Settings
	// Now is the store's clock. gate.ErrStoreUnavailable: there is no time to
	// compare with, try again later.
	Now(ctx context.Context) (time.Time, error)
}
