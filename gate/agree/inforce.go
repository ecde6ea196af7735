package agree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Store is the part of the store through which processes agree.
type Store interface {
	Settings
	// Now is the store's clock, which all processes have in common.
	Now(ctx context.Context) (time.Time, error)
}

// storeTimeout bounds one look at the store, or one change of it: what has to
// wait for a store that does not answer is looked at again.
const storeTimeout = 5 * time.Second

// Activations is what is in force of one kind on a store. It is safe for
// concurrent use, in one process and between several.
type Activations struct {
	kind        Kind
	store       Store
	by, program string
}

// NewActivations keeps a kind in a store. Each activation from here names by,
// which tells people the process, and program, its version.
func NewActivations(s Store, k Kind, by, program string) *Activations {
	return &Activations{kind: k, store: s, by: by, program: program}
}

// Active is what is in force; ok is false when nothing ever was, and when what the
// store has is not to be believed. Errors: those of the store; gate.ErrStoreUnavailable
// also for a value that cannot be read.
func (a *Activations) Active(ctx context.Context) (active Activation, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	value, _, err := a.store.Setting(ctx, a.kind.Setting)
	if errors.Is(err, gate.ErrNotFound) {
		return active, false, nil
	}
	if err == nil {
		active, err = a.kind.decode(value)
	}
	if err != nil {
		return Activation{}, false, fmt.Errorf("reading the %s in force: %w", a.kind.Words.What, err)
	}
	return active, true, nil
}

// May decides whether what is in force may be replaced; ok is false when nothing
// is. It may be called several times; nil is always yes.
type May func(active Activation, ok bool) bool

// Activate puts a content in force unless may says no, and returns what is in
// force then. What is in force already keeps its number; a new number is higher
// than that of what is in force and than above, which the caller has seen: a
// shared store may have lost its last second. Errors: those of
// [Activations.Active]; gate.ErrTooLarge when the store does not take that much;
// gate.ErrConflict when others were faster 16 times.
func (a *Activations) Activate(ctx context.Context, c Content, above int64, may May) (active Activation, activated bool, err error) {
	active, activated, err = a.change(ctx, func(ctx context.Context, active Activation, ok bool) (next Activation, change bool, err error) {
		if ok && active.Content == c.Digest || may != nil && !may(active, ok) {
			return active, false, nil
		}
		next = active.next(c, above)
		if next.ActivatedAt, err = a.store.Now(ctx); err != nil {
			return next, false, err
		}
		next.Format, next.ActivatedAt, next.By, next.Program = a.kind.Format, next.ActivatedAt.UTC(), a.by, a.program
		return next, true, nil
	})
	switch {
	case errors.Is(err, gate.ErrTooLarge):
		err = fmt.Errorf("the %s are too large to be shared by all processes, also compressed; they may take about 750 kB then: %w", a.kind.Words.What, err)
	case err != nil:
		err = fmt.Errorf("activating %s: %w", a.kind.Words.What, err)
	}
	return active, activated, err
}

// Restore puts back what was in force and is not in the store any more, as it
// was, and returns what is in force then: something later, if there is. Errors
// are those of [Activations.Activate].
func (a *Activations) Restore(ctx context.Context, lost Activation) (active Activation, restored bool, err error) {
	active, restored, err = a.change(ctx, func(_ context.Context, active Activation, _ bool) (Activation, bool, error) {
		if active.Number >= lost.Number {
			return active, false, nil
		}
		return lost, true, nil
	})
	if err != nil {
		err = fmt.Errorf("putting the %s in force back: %w", a.kind.Words.What, err)
	}
	return active, restored, err
}

// change replaces what is in force by what next makes of it, by compare-and-set.
func (a *Activations) change(ctx context.Context, next func(ctx context.Context, active Activation, ok bool) (Activation, bool, error)) (active Activation, changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err = UpdateSetting(ctx, a.store, a.kind.Setting, func(value []byte) (_ []byte, err error) {
		active, changed = Activation{}, false
		if value != nil {
			if active, err = a.kind.decode(value); err != nil {
				return nil, err
			}
		}
		active, changed, err = next(ctx, active, value != nil)
		if err != nil || !changed {
			return nil, err
		}
		return json.Marshal(active)
	})
	if err != nil {
		return Activation{}, false, err
	}
	return active, changed, nil
}
