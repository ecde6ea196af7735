package gate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestNotTaken walks the whole table of failures: with these the store has said
// nothing against what was to be written.
func TestNotTaken(t *testing.T) {
	want := map[error]bool{gate.ErrStoreUnavailable: true, gate.ErrResource: true, gate.ErrTimeout: true, context.DeadlineExceeded: true}
	for _, class := range gate.Errors() {
		if got := gate.NotTaken(fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s: got %t, want %t", class.Label, got, want[class.Err])
		}
		for _, other := range gate.Errors() {
			if got, want := gate.NotTaken(errors.Join(class.Err, other.Err)), want[class.Err] || want[other.Err]; got != want {
				t.Errorf("%s and %s: got %t, want %t", class.Label, other.Label, got, want)
			}
		}
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("of no class")} {
		if got := gate.NotTaken(fmt.Errorf("wrapped: %w", err)); got != want[err] {
			t.Errorf("%v: got %t, want %t", err, got, want[err])
		}
	}
}
