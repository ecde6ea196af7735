package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestEveryClassHasAStatus walks the table of failures: what the caller did
// wrong is 4xx, what passes is 503 with words, and what never reaches the API
// without a bug is 500.
func TestEveryClassHasAStatus(t *testing.T) {
	want := map[string]int{
		"digest_invalid": 422, "ref_invalid": 422, "ref_ambiguous": 422, "digest_required": 422, "registry_not_trusted": 422, "invalid": 422,
		"not_found": 404, "conflict": 409, "cancelled": 409, "too_large": 413, "unauthorized": 401,
		"store_unavailable": 503, "timeout": 503, "busy": 503, "resource": 503,
		// Words about an image, a registry or a lease: no operation returns them.
		"not_scanned": 500, "pending": 500, "quota_exhausted": 500, "unassessable": 500, "integrity": 500, "scan_failed": 500, "stale": 500,
		"policy": 500, "policy_error": 500, "object_unsupported": 500, "review_invalid": 500, "registry_auth": 500, "registry_refused": 500,
		"registry_unavailable": 500, "advisories_unavailable": 500, "fenced": 500, "yielded": 500, "no_job": 500,
	}
	for _, class := range gate.Errors() {
		for _, err := range []error{class.Err, fmt.Errorf("doing: %w", class.Err), errors.Join(errors.New("x"), class.Err)} {
			status, words := statusOf(err)
			if status != want[class.Label] {
				t.Errorf("%s: got %d, want %d", class.Label, status, want[class.Label])
			}
			if (words != "") != (status >= 500) {
				t.Errorf("%s: status %d with words %q", class.Label, status, words)
			}
		}
	}
	if len(want) != len(gate.Errors()) {
		t.Errorf("%d labels are expected, the table has %d", len(want), len(gate.Errors()))
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		if status, _ := statusOf(fmt.Errorf("doing: %w", err)); status != http.StatusServiceUnavailable {
			t.Errorf("%v: got %d, want 503", err, status)
		}
	}
	if status, _ := statusOf(errors.New("unknown")); status != http.StatusInternalServerError {
		t.Errorf("an unknown error: got %d, want 500", status)
	}
}
