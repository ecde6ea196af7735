package policy

import (
	"context"
	"errors"

	"github.com/digestgate/digestgate/gate"
)

// A new version of the program looks for more mistakes. A set that was in force
// under the version before stays in force with a warning: refusing it would stop
// the gate, and with it every deployment, at an upgrade. See
// docs/adr/0012-policies-at-an-upgrade.md.

// inForce reports whether a set with this content is in force already: by the
// store, or where the store has lost it, by what this process remembers. Errors:
// those of the store, while this process has no set at all.
func (e *Engine) inForce(ctx context.Context, content gate.Digest) (bool, error) {
	inUse := e.active.Load()
	if inUse != nil && inUse.activation.Content == content {
		return true, nil
	}
	e.agreeing.Lock()
	was := e.offer.InForce
	e.agreeing.Unlock()
	active, ok, err := e.store.Active(ctx)
	switch {
	case err != nil && inUse == nil && !e.options.Observe:
		return false, err
	case err == nil && ok && active.Number >= was.Number:
		return active.Content == content, nil
	}
	return was.Number > 0 && was.Content == content, nil
}

// mayFollow reports whether a process may start with what others have in force,
// though its own files are refused: they are by this version only.
func (e *Engine) mayFollow(ctx context.Context, refused error) bool {
	var newer newerRefusal
	if !errors.As(refused, &newer) || !e.options.Shared {
		return false
	}
	_, ok, err := e.store.Active(ctx)
	return ok && err == nil
}
