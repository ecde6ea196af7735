package gate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// walkFailures asks f about each failure of the table, about each pair, and about
// errors that are in none.
func walkFailures[V comparable](t *testing.T, f func(error) V, want map[error]V, both func(a, b V) V) {
	t.Helper()
	for _, class := range gate.Errors() {
		if got := f(fmt.Errorf("wrapped: %w", class.Err)); got != want[class.Err] {
			t.Errorf("%s: got %v, want %v", class.Label, got, want[class.Err])
		}
		for _, other := range gate.Errors() {
			if got, want := f(errors.Join(class.Err, other.Err)), both(want[class.Err], want[other.Err]); got != want {
				t.Errorf("%s and %s: got %v, want %v", class.Label, other.Label, got, want)
			}
		}
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, errors.New("of no class")} {
		if got := f(fmt.Errorf("wrapped: %w", err)); got != want[err] {
			t.Errorf("%v: got %v, want %v", err, got, want[err])
		}
	}
}

func either(a, b bool) bool { return a || b }

// TestFinal: a job that ends so is not tried again, whatever else its error wraps.
func TestFinal(t *testing.T) {
	walkFailures(t, gate.Final, map[error]bool{gate.ErrUnassessable: true, gate.ErrNotFound: true, gate.ErrRegistryNotTrusted: true, gate.ErrTooLarge: true}, either)
	for _, class := range gate.Errors() {
		if !gate.Final(gate.Permanent(class.Err)) {
			t.Errorf("%s, permanent: it is tried again", class.Label)
		}
	}
	if gate.Final(nil) {
		t.Error("success is final")
	}
}

// TestOfContent: only what hashed bytes have shown is recorded of a digest.
func TestOfContent(t *testing.T) {
	walkFailures(t, gate.OfContent, map[error]bool{gate.ErrUnassessable: true, gate.ErrTooLarge: true}, either)
}

// TestNotTaken: with these a store has said nothing against what was to be written.
func TestNotTaken(t *testing.T) {
	walkFailures(t, gate.NotTaken, map[error]bool{gate.ErrStoreUnavailable: true, gate.ErrResource: true, gate.ErrTimeout: true, context.DeadlineExceeded: true}, either)
}

// TestHope: what a place that fails so may still come to.
func TestHope(t *testing.T) {
	walkFailures(t, gate.Hope, map[error]int{
		gate.ErrRegistryAuth: 5, gate.ErrRegistryUnavailable: 5, gate.ErrRegistryRefused: 4,
		gate.ErrIntegrity: 3, gate.ErrNotFound: 2, gate.ErrRegistryNotTrusted: 1,
	}, func(a, b int) int { return max(a, b) })
}

// TestFaults: every failure is somebody's, and what is said of a registry, a machine,
// a store or an image is said of no other.
func TestFaults(t *testing.T) {
	want := map[gate.Fault][]error{
		gate.FaultImage:    {gate.ErrUnassessable, gate.ErrScanFailed, gate.ErrPolicy, gate.ErrTooLarge},
		gate.FaultRegistry: {gate.ErrRegistryAuth, gate.ErrRegistryRefused, gate.ErrRegistryUnavailable, gate.ErrNotFound, gate.ErrIntegrity},
		gate.FaultMachine:  {gate.ErrResource, gate.ErrTimeout},
		gate.FaultStore:    {gate.ErrStoreUnavailable},
		gate.FaultCaller: {
			gate.ErrDigestInvalid, gate.ErrRefInvalid, gate.ErrRefAmbiguous, gate.ErrDigestRequired, gate.ErrRegistryNotTrusted,
			gate.ErrObjectUnsupported, gate.ErrReviewInvalid, gate.ErrCancelled, gate.ErrInvalid, gate.ErrUnauthorized,
		},
		gate.FaultUs: {
			gate.ErrNotScanned, gate.ErrPending, gate.ErrQuotaExhausted, gate.ErrStale, gate.ErrPolicyFailed, gate.ErrAdvisoriesUnavailable,
			gate.ErrBusy, gate.ErrFenced, gate.ErrYielded, gate.ErrNoJob, gate.ErrConflict,
		},
	}
	faults := map[error]gate.Fault{}
	for fault, list := range want {
		for _, err := range list {
			faults[err] = fault
		}
	}
	for _, class := range gate.Errors() {
		if class.Fault != faults[class.Err] {
			t.Errorf("%s: fault %q, want %q", class.Label, class.Fault, faults[class.Err])
		}
		if class.AtOnce && !class.Retry || class.Final && class.Retry {
			t.Errorf("%s: its columns contradict each other: %+v", class.Label, class)
		}
	}
}
