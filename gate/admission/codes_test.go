package admission

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestCodes_everyError walks every class of failure through the table.
func TestCodes_everyError(t *testing.T) {
	for _, class := range gate.Errors() {
		t.Run(class.Label, func(t *testing.T) {
			code := gate.CodeOf(fmt.Errorf("doing something: %w", class.Err))
			row, ok := codes[code]
			if !ok || row.status < 400 || row.text == "" {
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
