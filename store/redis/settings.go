package redis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// setting reads a stored setting and the time; version 0 when there is none to
// believe.
func (s *Store) setting(ctx context.Context, name string) (stored string, value []byte, v sealed, now time.Time, err error) {
	key, mark := s.keys.setting(name), s.seals.mark()
	stored, now, err = s.timed(ctx, key)
	if err != nil || stored == "" {
		return "", nil, sealed{}, now, err
	}
	v, err = s.seals.believe(key, stored, mark)
	if err == nil {
		err = json.Unmarshal(v.Body, &value)
	}
	if err != nil {
		s.suspectType(key, stored)
		s.reject("setting", name, err)
		return stored, nil, sealed{Stamp: v.Stamp}, now, nil
	}
	return stored, value, v, now, nil
}

// Setting returns a value and its version.
func (s *Store) Setting(ctx context.Context, name string) (value []byte, version int64, err error) {
	what := fmt.Sprintf("reading setting %s", gate.Quoted(name, 100))
	_, value, v, _, err := s.setting(ctx, name)
	if err != nil {
		return nil, 0, s.failedIn(ctx, what, err)
	}
	if v.Version == 0 {
		return nil, 0, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	return value, v.Version, nil
}

// PutSetting writes a value over the given version of it.
func (s *Store) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	what := fmt.Sprintf("writing setting %s", gate.Quoted(name, 100))
	if err := store.CheckSetting(name, value); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if value == nil {
		value = []byte{} // nil would be null
	}
	stored, _, v, now, err := s.setting(ctx, name)
	if err != nil {
		return 0, s.failedIn(ctx, what, err)
	}
	conflict := func(found int64) error {
		return fmt.Errorf("%s: it has version %d, not %d: %w", what, found, version, gate.ErrConflict)
	}
	if v.Version != version {
		return 0, conflict(v.Version)
	}
	next := sealed{Version: version + 1, Stamp: s.seals.next(s.keys.setting(name), v.Stamp, now), Nonce: rand.Text()}
	written, err := s.swap(ctx, s.keys.setting(name), stored, next, value, true, gate.ChangeSetting, name)
	switch {
	case err != nil:
		return 0, s.failedIn(ctx, what, err)
	case written:
		return next.Version, nil
	}
	// It may be ours all the same, if the answer to a first try was lost.
	if _, _, v, _, err = s.setting(ctx, name); err != nil {
		return 0, s.failedIn(ctx, what, err)
	}
	if v.Nonce == next.Nonce {
		return next.Version, nil
	}
	return 0, conflict(v.Version)
}
