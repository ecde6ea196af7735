package work

import (
	"errors"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestFinal walks the whole table of failures: a job that ends with one of these is
// not tried again, whatever else its error wraps.
func TestFinal(t *testing.T) {
	want := map[error]bool{gate.ErrUnassessable: true, gate.ErrNotFound: true, gate.ErrRegistryNotTrusted: true, gate.ErrTooLarge: true}
	for _, class := range gate.Errors() {
		if got := final(fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s: got %t, want %t", class.Label, got, want[class.Err])
		}
		if !final(gate.Permanent(class.Err)) {
			t.Errorf("%s, permanent: it is tried again", class.Label)
		}
		for _, other := range gate.Errors() {
			if got, want := final(errors.Join(class.Err, other.Err)), want[class.Err] || want[other.Err]; got != want {
				t.Errorf("%s and %s: got %t, want %t", class.Label, other.Label, got, want)
			}
		}
	}
	if final(nil) || final(errors.New("of no class")) {
		t.Error("no error, or one of no class, is final")
	}
}
