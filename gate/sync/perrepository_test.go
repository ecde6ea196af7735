package sync

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestPerRepository walks the whole table of failures: with these the other
// repositories are compared all the same, unless the registry asked to wait or the
// run is stopped.
func TestPerRepository(t *testing.T) {
	want := map[error]bool{
		gate.ErrRegistryUnavailable: true, gate.ErrRegistryAuth: true, gate.ErrRegistryRefused: true, gate.ErrNotFound: true,
		gate.ErrTooLarge: true, gate.ErrUnassessable: true, gate.ErrRefInvalid: true, gate.ErrIntegrity: true,
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, class := range gate.Errors() {
		if got := perRepository(t.Context(), fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s: got %t, want %t", class.Label, got, want[class.Err])
		}
		if perRepository(t.Context(), &gate.RetryAfterError{After: time.Second, Err: class.Err}) {
			t.Errorf("%s of a registry that asked to wait: the next repository is read", class.Label)
		}
		if perRepository(stopped, class.Err) {
			t.Errorf("%s, stopped: the next repository is read", class.Label)
		}
		for _, other := range gate.Errors() {
			if got, want := perRepository(t.Context(), errors.Join(class.Err, other.Err)), want[class.Err] || want[other.Err]; got != want {
				t.Errorf("%s and %s: got %t, want %t", class.Label, other.Label, got, want)
			}
		}
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("of no class")} {
		if perRepository(t.Context(), err) {
			t.Errorf("%v: the next repository is read", err)
		}
	}
}
