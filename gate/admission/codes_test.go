package admission

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/gate"
)

// TestCodes_everyError walks every class of failure through the table.
func TestCodes_everyError(t *testing.T) {
	for _, class := range gate.Errors() {
		t.Run(class.Label, func(t *testing.T) {
			code := gate.CodeOf(fmt.Errorf("doing something: %w", class.Err))
			row, ok := codes[code]
			if !ok || row.status < 400 {
				t.Errorf("codes[%s] for %q: got %+v, %v", code, class.Err, row, ok)
			}
		})
	}
}

// TestCodes_contract pins the table of DESIGN.md §7.
func TestCodes_contract(t *testing.T) {
	want := map[gate.Code]int{
		gate.CodeRefInvalid: 403, gate.CodeRefAmbiguous: 403, gate.CodeDigestRequired: 403, gate.CodeRegistryNotTrusted: 403,
		gate.CodeUnscanned: 403, gate.CodePending: 403, gate.CodeScanFailed: 403, gate.CodeUnassessable: 403,
		gate.CodeQuotaExhausted: 403, gate.CodeStale: 403, gate.CodePolicy: 403, gate.CodePolicyError: 500, gate.CodeInternal: 500,
		gate.CodeObjectUnsupported: 400, gate.CodeReviewInvalid: 400, gate.CodeTooLarge: 413,
		gate.CodeStoreUnavailable: 503, gate.CodeTimeout: 503, gate.CodeBusy: 503,
	}
	if len(want) != len(codes) {
		t.Errorf("codes has %d rows, want %d", len(codes), len(want))
	}
	for code, status := range want {
		if got := codes[code].status; got != status {
			t.Errorf("codes[%s].status: got %d, want %d", code, got, status)
		}
	}
	if got := rowOf("NONSENSE").status; got != http.StatusInternalServerError {
		t.Errorf("rowOf of an unknown code: got %d, want 500", got)
	}
}

// TestRetryAfter: what is over in a moment says when to come again, and nothing
// else does; those who were refused together are spread.
func TestRetryAfter(t *testing.T) {
	for code, row := range codes {
		d := deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer {
			return gate.Answer{Outcome: gate.OutcomeNone, Code: code}
		})
		seen := map[int32]bool{}
		for range 300 {
			got, _ := answer(t, reviewer(d), review(pod(good), nil))
			after := int32(0)
			if got.Result.Details != nil {
				after = got.Result.Details.RetryAfterSeconds
			}
			seen[after] = true
		}
		if row.status != http.StatusServiceUnavailable {
			if len(seen) != 1 || !seen[0] {
				t.Errorf("%s (%d): got retryAfterSeconds %v, want none", code, row.status, seen)
			}
			continue
		}
		for s := range seen {
			if s < 1 || s > 5 {
				t.Errorf("%s: got retryAfterSeconds %d, want 1 to 5", code, s)
			}
		}
		if len(seen) != 5 {
			t.Errorf("%s: got retryAfterSeconds %v in 300 draws, want all of 1 to 5", code, seen)
		}
	}
	hang := deciderFunc(func(context.Context, gate.Reference, gate.Request) gate.Answer {
		return gate.Answer{Outcome: gate.OutcomeNone, Code: gate.CodeBusy}
	})
	for name, v := range map[string]*admissionv1.AdmissionReview{
		"template": review(workloads(good)["Job"], nil), "unchanged": review(pod(good), pod(good)),
	} {
		if got, resp := answer(t, reviewer(hang), v); !got.Allowed || got.Result != nil {
			t.Errorf("%s: got %s, want an allow without a status", name, resp.JSON())
		}
	}
}
