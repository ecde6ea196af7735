package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// A new version of the program looks for more mistakes. A set that was in force
// under the version before stays in force with a warning: refusing it would stop
// the gate, and with it every deployment, at an upgrade. See
// docs/adr/0012-policies-at-an-upgrade.md.

// inForce reports whether a set with this content is in force already: by the
// store, or where the store has lost it, by what this process remembers. Errors:
// those of the store, while this process has no set at all.
func (a *Active) inForce(ctx context.Context, content gate.Digest) (bool, error) {
	_, inUse, using := a.live.Current()
	if using && inUse.Content == content {
		return true, nil
	}
	was := a.live.Member().Memory().InForce
	active, ok, err := a.live.Member().Active(ctx)
	switch {
	case err != nil && !using && !a.options.Observe:
		return false, err
	case err == nil && ok && active.Number >= was.Number:
		return active.Content == content, nil
	}
	return was.Number > 0 && was.Content == content, nil
}

// mayFollow reports whether a process may start with what others have in force,
// though its own files are refused: they are by this version only.
func (a *Active) mayFollow(ctx context.Context, refused error) bool {
	var newer newerRefusal
	if !errors.As(refused, &newer) || !a.options.Shared {
		return false
	}
	_, ok, err := a.live.Member().Active(ctx)
	return ok && err == nil
}

// outdated says what is wrong with a set that is in force, "" for nothing.
func outdated(warnings Problems) string {
	if len(warnings) == 0 {
		return ""
	}
	return fmt.Sprintf("this version finds %d mistakes in the policies in force and refuses new policies with such mistakes; the first is %s; run \"digestgate policy check\" on the files and correct them",
		len(warnings), warnings[0])
}
