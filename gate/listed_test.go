package gate_test

import (
	"context"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// listed is a list of digests with an inventory.
type listed []gate.Digest

func (l listed) Scanned(_ context.Context, after gate.Digest, _ int) ([]gate.Digest, error) {
	sorted := slices.Sorted(slices.Values(l))
	return slices.DeleteFunc(sorted, func(d gate.Digest) bool { return d <= after }), nil
}
