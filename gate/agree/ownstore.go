package agree

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxOwnSetting is what a store takes, store.MaxSetting.
const maxOwnSetting = 1 << 20

// OwnStore is a store in the memory of a process, where there is none to share:
// for tools and tests. It is safe for concurrent use.
type OwnStore struct {
	now    func() time.Time
	mu     sync.Mutex
	values map[string]ownValue
}

type ownValue struct {
	text    []byte
	version int64
}

// NewOwnStore makes an empty one with a clock.
func NewOwnStore(now func() time.Time) *OwnStore {
	return &OwnStore{now: now, values: map[string]ownValue{}}
}

// Setting implements [Store].
func (s *OwnStore) Setting(_ context.Context, name string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[name]
	if !ok {
		return nil, 0, fmt.Errorf("reading setting %q: %w", name, gate.ErrNotFound)
	}
	return bytes.Clone(v.text), v.version, nil
}

// PutSetting implements [Store].
func (s *OwnStore) PutSetting(_ context.Context, name string, value []byte, version int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) > maxOwnSetting {
		return 0, fmt.Errorf("writing setting %q: %d bytes, more than %d: %w", name, len(value), maxOwnSetting, gate.ErrTooLarge)
	}
	if version != s.values[name].version {
		return 0, fmt.Errorf("writing setting %q: %w", name, gate.ErrConflict)
	}
	s.values[name] = ownValue{bytes.Clone(value), version + 1}
	return version + 1, nil
}

// Now implements [Store].
func (s *OwnStore) Now(context.Context) (time.Time, error) { return s.now(), nil }
