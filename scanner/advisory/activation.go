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

// SettingName is the setting that holds the active generation.
const SettingName = gate.SettingAdvisories

// Activations issues numbers from a setting of the store, which all replicas
// share. It is safe for concurrent use, in one process and between several.
type Activations struct {
	settings gate.Settings
	now      func() time.Time
}

// NewActivations keeps the active generation in a setting; now stamps
// ActivatedAt.
func NewActivations(s gate.Settings, now func() time.Time) *Activations {
	return &Activations{settings: s, now: now}
}

// Current implements [Activator].
func (a *Activations) Current(ctx context.Context) (g gate.Generation, ok bool, err error) {
	value, _, err := a.settings.Setting(ctx, SettingName)
	if errors.Is(err, gate.ErrNotFound) {
		return g, false, nil
	}
	if err != nil {
		return g, false, fmt.Errorf("reading setting %q: %w", SettingName, err)
	}
	g, err = generationOf(value)
	return g, err == nil, err
}

func generationOf(value []byte) (g gate.Generation, err error) {
	if err := json.Unmarshal(value, &g); err != nil || g.Number <= 0 {
		return gate.Generation{}, fmt.Errorf("setting %q is not a generation (%w): %w", SettingName, err, gate.ErrStoreUnavailable)
	}
	return g, nil
}

// Activate implements [Activator] by compare-and-swap.
func (a *Activations) Activate(ctx context.Context, content gate.Digest, updatedAt time.Time, above int64, may May) (g gate.Generation, err error) {
	err = gate.UpdateSetting(ctx, a.settings, SettingName, func(value []byte) (next []byte, err error) {
		g = gate.Generation{}
		if value != nil {
			if g, err = generationOf(value); err != nil {
				return nil, err
			}
		}
		if value != nil && g.Content == content || may != nil && !may(g, value != nil) {
			return nil, nil
		}
		g = gate.Generation{
			Number: max(g.Number, above) + 1, Content: content,
			UpdatedAt: updatedAt.UTC(), ActivatedAt: a.now().UTC(),
		}
		return json.Marshal(g)
	})
	if err != nil {
		return gate.Generation{}, fmt.Errorf("activating advisory data: %w", err)
	}
	return g, nil
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
