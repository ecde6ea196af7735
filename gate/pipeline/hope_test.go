package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestHope walks the whole table of failures: what a place that fails so may still
// come to, and 0 for what is not the place's own.
func TestHope(t *testing.T) {
	want := map[error]int{
		gate.ErrRegistryAuth: 5, gate.ErrRegistryUnavailable: 5, gate.ErrRegistryRefused: 4,
		gate.ErrIntegrity: 3, gate.ErrNotFound: 2, gate.ErrRegistryNotTrusted: 1,
	}
	for _, class := range gate.Errors() {
		if got := hope(fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s: got %d, want %d", class.Label, got, want[class.Err])
		}
		for _, other := range gate.Errors() {
			if got, want := hope(errors.Join(class.Err, other.Err)), max(want[class.Err], want[other.Err]); got != want {
				t.Errorf("%s and %s: got %d, want %d", class.Label, other.Label, got, want)
			}
		}
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("of no class")} {
		if got := hope(err); got != 0 {
			t.Errorf("%v: got %d", err, got)
		}
	}
}
