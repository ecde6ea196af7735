package advisory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Activator issues the numbers of generations.
type Activator interface {
	// Activate makes content the active generation, unless may says no to that,
	// and returns the active one. Content that is active already keeps its
	// number; content that was active before, a rollback, gets a new one. The
	// new number is higher than the active one and than above, what the caller
	// has seen: a shared store may have lost its last second. may is given the
	// active generation, ok is false when there is none, and may be called
	// several times; nil is always yes.
	// Errors: gate.ErrStoreUnavailable, gate.ErrTimeout.
	Activate(ctx context.Context, content gate.Digest, updatedAt time.Time, above int64, may May) (gate.Generation, error)
	// Current is the active generation; ok is false when there never was one.
	Current(ctx context.Context) (g gate.Generation, ok bool, err error)
}

// May decides whether the active generation may be replaced.
type May func(active gate.Generation, ok bool) bool

// Settings is the part of the store that [Activations] needs (see
// store.Settings).
type Settings interface {
	Setting(ctx context.Context, name string) (value []byte, version int64, err error)
	PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error)
}

// SettingName is the setting that holds the active generation.
const SettingName = "advisories/current"

// activationTries bounds the races with other replicas that one activation
// loses. Each lost race means that somebody else succeeded.
const activationTries = 16

// Activations issues numbers from a setting of the store, which all replicas
// share. It is safe for concurrent use, in one process and between several.
type Activations struct {
	settings Settings
	now      func() time.Time
}

// NewActivations keeps the active generation in a setting; now stamps
// ActivatedAt.
func NewActivations(s Settings, now func() time.Time) *Activations {
	return &Activations{settings: s, now: now}
}

// Current implements [Activator].
func (a *Activations) Current(ctx context.Context) (gate.Generation, bool, error) {
	g, _, ok, err := a.read(ctx)
	return g, ok, err
}

func (a *Activations) read(ctx context.Context) (g gate.Generation, version int64, ok bool, err error) {
	value, version, err := a.settings.Setting(ctx, SettingName)
	if errors.Is(err, gate.ErrNotFound) {
		return g, 0, false, nil
	}
	if err != nil {
		return g, 0, false, fmt.Errorf("reading setting %q: %w", SettingName, err)
	}
	if err := json.Unmarshal(value, &g); err != nil || g.Number <= 0 {
		return g, 0, false, fmt.Errorf("setting %q is not a generation (%w): %w", SettingName, err, gate.ErrStoreUnavailable)
	}
	return g, version, true, nil
}

// Activate implements [Activator] by compare-and-swap.
func (a *Activations) Activate(ctx context.Context, content gate.Digest, updatedAt time.Time, above int64, may May) (gate.Generation, error) {
	for range activationTries {
		current, version, ok, err := a.read(ctx)
		if err != nil {
			return gate.Generation{}, err
		}
		if ok && current.Content == content || may != nil && !may(current, ok) {
			return current, nil
		}
		next := gate.Generation{
			Number: max(current.Number, above) + 1, Content: content,
			UpdatedAt: updatedAt.UTC(), ActivatedAt: a.now().UTC(),
		}
		value, err := json.Marshal(next)
		if err != nil {
			return gate.Generation{}, fmt.Errorf("encoding a generation: %w", err)
		}
		_, err = a.settings.PutSetting(ctx, SettingName, value, version)
		if errors.Is(err, gate.ErrConflict) {
			continue // another replica was faster; perhaps with the same content
		}
		if err != nil {
			return gate.Generation{}, fmt.Errorf("writing setting %q: %w", SettingName, err)
		}
		return next, nil
	}
	return gate.Generation{}, fmt.Errorf("activating advisory data: %d races lost against other replicas: %w", activationTries, gate.ErrConflict)
}

// LocalActivations issues numbers from memory, beginning with 1: for commands
// that check an image without a store. It is safe for concurrent use.
type LocalActivations struct {
	now     func() time.Time
	mu      sync.Mutex
	current gate.Generation
}

// NewLocalActivations has no active generation.
func NewLocalActivations(now func() time.Time) *LocalActivations {
	return &LocalActivations{now: now}
}

// Current implements [Activator].
func (a *LocalActivations) Current(context.Context) (gate.Generation, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current, a.current.Number > 0, nil
}

// Activate implements [Activator].
func (a *LocalActivations) Activate(_ context.Context, content gate.Digest, updatedAt time.Time, above int64, may May) (gate.Generation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current.Content != content && (may == nil || may(a.current, a.current.Number > 0)) {
		a.current = gate.Generation{
			Number: max(a.current.Number, above) + 1, Content: content,
			UpdatedAt: updatedAt.UTC(), ActivatedAt: a.now().UTC(),
		}
	}
	return a.current, nil
}
