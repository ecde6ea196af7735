package gate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestEveryFailureHasItsClass walks the table: however a sentinel is wrapped,
// it is found, and says the same to every audience.
func TestEveryFailureHasItsClass(t *testing.T) {
	codes := map[gate.Code]bool{}
	labels := map[string]bool{}
	for _, class := range gate.Errors() {
		codes[class.Code] = true
		if labels[class.Label] || class.Label == "" || class.Label == "internal" {
			t.Errorf("label %q is taken twice or empty", class.Label)
		}
		labels[class.Label] = true
		for name, err := range map[string]error{
			"bare":    class.Err,
			"wrapped": fmt.Errorf("doing %q: %w", "x", fmt.Errorf("deeper: %w", class.Err)),
			"joined":  errors.Join(errors.New("first"), fmt.Errorf("second: %w", class.Err)),
			"twice":   fmt.Errorf("%w: %w", errors.New("x"), class.Err),
			"waiting": &gate.RetryAfterError{After: time.Second, Err: class.Err},
			// What ended a context says less than what was meant by it.
			"with_context": errors.Join(context.Canceled, class.Err),
		} {
			got, ok := gate.Classify(err)
			if !ok || got != class {
				t.Errorf("%s, %s: got %+v, %t", class.Label, name, got, ok)
			}
			if gate.CodeOf(err) != class.Code {
				t.Errorf("%s, %s: code %s, want %s", class.Label, name, gate.CodeOf(err), class.Code)
			}
		}
	}
	for _, c := range []gate.Code{
		gate.CodeRefInvalid, gate.CodeRefAmbiguous, gate.CodeDigestRequired, gate.CodeRegistryNotTrusted, gate.CodeUnscanned, gate.CodePending,
		gate.CodeScanFailed, gate.CodeUnassessable, gate.CodeQuotaExhausted, gate.CodeStale, gate.CodePolicy, gate.CodePolicyError,
		gate.CodeInternal, gate.CodeObjectUnsupported, gate.CodeReviewInvalid, gate.CodeTooLarge, gate.CodeStoreUnavailable,
		gate.CodeTimeout, gate.CodeBusy,
	} {
		if !codes[c] {
			t.Errorf("no failure has the code %s", c)
		}
		delete(codes, c)
	}
	for c := range codes {
		t.Errorf("code %q is not one of DESIGN.md §7", c)
	}
}

func TestErrorsOutsideTheTable(t *testing.T) {
	for _, err := range []error{context.DeadlineExceeded, context.Canceled, fmt.Errorf("reading: %w", context.DeadlineExceeded)} {
		class, ok := gate.Classify(err)
		if !ok || class.Code != gate.CodeTimeout || class.Err != gate.ErrTimeout {
			t.Errorf("%v: got %+v, %t, want the class of ErrTimeout", err, class, ok)
		}
	}
	for _, err := range []error{errors.New("not found"), fmt.Errorf("doing: %v", gate.ErrNotFound)} {
		class, ok := gate.Classify(err)
		if ok || class.Code != gate.CodeInternal || class.Label != "internal" || class.Retry || class.Err != err {
			t.Errorf("%v: got %+v, %t, want INTERNAL", err, class, ok)
		}
	}
}

// TestWhatBurnsAnAttempt: only what the image itself causes does.
func TestWhatBurnsAnAttempt(t *testing.T) {
	retry := map[string]bool{
		"store_unavailable": true, "registry_auth": true, "registry_refused": true, "registry_unavailable": true, "advisories_unavailable": true, "resource": true,
		"busy": true, "fenced": true, "yielded": true, "no_job": true, "conflict": true,
	}
	for _, class := range gate.Errors() {
		if class.Retry != retry[class.Label] {
			t.Errorf("%s: retry is %t", class.Label, class.Retry)
		}
	}
}

func TestRetryAfterError(t *testing.T) {
	err := fmt.Errorf("pulling: %w", &gate.RetryAfterError{After: time.Minute, Asked: time.Minute, Err: fmt.Errorf("429: %w", gate.ErrRegistryUnavailable)})
	var wait *gate.RetryAfterError
	if !errors.As(err, &wait) || wait.After != time.Minute || !errors.Is(err, gate.ErrRegistryUnavailable) {
		t.Errorf("got %v", err)
	}
	if want := "pulling: 429: registry is unavailable (it asked to wait 1m0s)"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	wait.Asked = 2 * time.Hour
	if want := "429: registry is unavailable (it asked to wait 2h0m0s and is asked again in 1m0s)"; wait.Error() != want {
		t.Errorf("got %q, want %q", wait, want)
	}
	wait.Asked = 0
	if want := "429: registry is unavailable (it is asked again in 1m0s)"; wait.Error() != want {
		t.Errorf("got %q, want %q", wait, want)
	}
}
