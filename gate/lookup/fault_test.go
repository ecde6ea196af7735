package lookup

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// walk asks a question about each failure of the table, and about each pair.
func walk(t *testing.T, name string, f func(error) bool, want map[error]bool) {
	t.Helper()
	for _, class := range gate.Errors() {
		if got := f(fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s, %s: got %t, want %t", name, class.Label, got, want[class.Err])
		}
		for _, other := range gate.Errors() {
			if got, want := f(errors.Join(class.Err, other.Err)), want[class.Err] || want[other.Err]; got != want {
				t.Errorf("%s, %s and %s: got %t, want %t", name, class.Label, other.Label, got, want)
			}
		}
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("of no class")} {
		if got := f(fmt.Errorf("wrapped: %w", err)); got != want[err] {
			t.Errorf("%s, %v: got %t, want %t", name, err, got, want[err])
		}
	}
}

// TestUnanswered: after these an earlier reading of the tag may serve; all others are
// answers.
func TestUnanswered(t *testing.T) {
	walk(t, "unanswered", unanswered, map[error]bool{
		gate.ErrRegistryUnavailable: true, gate.ErrRegistryAuth: true, gate.ErrRegistryRefused: true, gate.ErrTimeout: true, context.DeadlineExceeded: true,
	})
}

// TestAnswers: with these a registry has said something, so that it is not silent.
func TestAnswers(t *testing.T) {
	walk(t, "answers", answers, map[error]bool{
		gate.ErrRegistryAuth: true, gate.ErrRegistryRefused: true, gate.ErrUnassessable: true, gate.ErrIntegrity: true, gate.ErrNotFound: true,
	})
}
