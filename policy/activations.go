package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// SettingName is the setting that holds the [Activation] in force.
const SettingName = gate.SettingPolicies

// storeTimeout bounds one look at the store, or one change of it: what has to
// wait for a store that does not answer is looked at again.
const storeTimeout = 5 * time.Second

// Store is the part of the store in which processes share the policies.
type Store interface {
	gate.Settings
	Now(ctx context.Context) (time.Time, error)
}

// Activations keeps the policies in force in a store. It is safe for concurrent
// use, in one process and between several.
type Activations struct {
	store Store
	// by and program are written into each activation from here.
	by, program string
}

// NewActivations keeps them in a store; by names this process to people,
// program is its version.
func NewActivations(s Store, by, program string) *Activations {
	return &Activations{store: s, by: by, program: program}
}

// Active is what is in force; ok is false when nothing ever was, and when what
// the store has is not to be believed. Errors: those of the store, and
// gate.ErrConflict when it was written by a newer version.
func (a *Activations) Active(ctx context.Context) (active Activation, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	value, _, err := a.store.Setting(ctx, SettingName)
	if errors.Is(err, gate.ErrNotFound) {
		return active, false, nil
	}
	if err != nil {
		return active, false, fmt.Errorf("reading the policies in force: %w", err)
	}
	active, err = activationOf(value)
	return active, err == nil, err
}

func activationOf(value []byte) (a Activation, err error) {
	if value == nil {
		return a, nil
	}
	if err := json.Unmarshal(value, &a); err != nil || a.Format != activationFormat || a.Number <= 0 {
		return Activation{}, fmt.Errorf("the policies in force are stored in format %d, which this version does not read (%w): %w", a.Format, err, gate.ErrConflict)
	}
	return a, nil
}

// Activate puts files in force unless may says no to replacing what is, and
// returns what is in force then. What is in force already keeps its number.
// Errors: those of [Activations.Active]; gate.ErrTooLarge when the store does
// not take that much.
func (a *Activations) Activate(ctx context.Context, files []File, may func(active Activation, ok bool) bool) (active Activation, err error) {
	content := contentOf(files)
	packed, err := pack(files)
	if err != nil {
		return Activation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = gate.UpdateSetting(ctx, a.store, SettingName, func(value []byte) (_ []byte, err error) {
		if active, err = activationOf(value); err != nil {
			return nil, err
		}
		if value != nil && active.Content == content || !may(active, value != nil) {
			return nil, nil
		}
		next := active.next(content, packed)
		if next.ActivatedAt, err = a.store.Now(ctx); err != nil {
			return nil, err
		}
		next.By, next.Program = a.by, a.program
		active = next
		return json.Marshal(next)
	})
	switch {
	case errors.Is(err, gate.ErrTooLarge):
		return Activation{}, fmt.Errorf("the policies are too large to be shared by all processes, also compressed; a set may take about 750 kB then: %w", err)
	case err != nil:
		return Activation{}, fmt.Errorf("activating policies: %w", err)
	}
	return active, nil
}

// Restore puts back what was in force and is not in the store any more, as it
// was, and returns what is in force then: something later, if there is.
func (a *Activations) Restore(ctx context.Context, lost Activation) (active Activation, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = gate.UpdateSetting(ctx, a.store, SettingName, func(value []byte) (_ []byte, err error) {
		if active, err = activationOf(value); err != nil || active.Number >= lost.Number {
			return nil, err
		}
		active = lost
		return json.Marshal(lost)
	})
	if err != nil {
		return Activation{}, fmt.Errorf("putting the policies in force back: %w", err)
	}
	return active, nil
}

// ownStore stands for a store where there is none to share: for tools and
// tests.
type ownStore struct {
	now     func() time.Time
	mu      sync.Mutex
	value   []byte
	version int64
}

func (s *ownStore) Setting(context.Context, string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == 0 {
		return nil, 0, gate.ErrNotFound
	}
	return s.value, s.version, nil
}

func (s *ownStore) PutSetting(_ context.Context, _ string, value []byte, version int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version != s.version {
		return 0, gate.ErrConflict
	}
	s.value, s.version = value, version+1
	return s.version, nil
}

func (s *ownStore) Now(context.Context) (time.Time, error) { return s.now(), nil }

// InForce is [Activations.Active] for people; gate.ErrNotFound when nothing is.
func (a *Activations) InForce(ctx context.Context) (gate.PolicySet, error) {
	active, ok, err := a.Active(ctx)
	if err != nil {
		return gate.PolicySet{}, err
	}
	if !ok {
		return gate.PolicySet{}, fmt.Errorf("no policies were ever in force here: %w", gate.ErrNotFound)
	}
	files, err := active.Files()
	if err != nil {
		return gate.PolicySet{}, err
	}
	set := gate.PolicySet{Number: active.Number, Content: active.Content, ActivatedAt: active.ActivatedAt, By: active.By, Program: active.Program}
	for _, f := range files {
		set.Files = append(set.Files, gate.PolicyFile(f))
	}
	return set, nil
}
