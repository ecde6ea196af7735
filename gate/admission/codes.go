package admission

import (
	"math/rand/v2"
	"net/http"

	"github.com/digestgate/digestgate/gate"
)

// codeRow is what a refusal with a code looks like from outside.
type codeRow struct {
	status int // status.code of the response
	// template: the code also refuses workload templates. The Pod is the gate,
	// and nobody would retry a template, so that a template is refused only
	// for what stays wrong (DESIGN.md §7). The codes about the whole review
	// and INTERNAL refuse everywhere: they say that we did not look.
	template bool
}

// codes is the one table from refusal to HTTP (DESIGN.md §7); the words are those of
// gate/refusal. It is not modified.
var codes = map[gate.Code]codeRow{
	gate.CodeRefInvalid:         {http.StatusForbidden, true},
	gate.CodeRefAmbiguous:       {http.StatusForbidden, true},
	gate.CodeDigestRequired:     {http.StatusForbidden, false},
	gate.CodeRegistryNotTrusted: {http.StatusForbidden, false},
	gate.CodeUnscanned:          {http.StatusForbidden, false},
	gate.CodePending:            {http.StatusForbidden, false},
	gate.CodeScanFailed:         {http.StatusForbidden, false},
	gate.CodeUnassessable:       {http.StatusForbidden, false},
	gate.CodeQuotaExhausted:     {http.StatusForbidden, false},
	gate.CodeStale:              {http.StatusForbidden, false},
	gate.CodePolicy:             {http.StatusForbidden, true},
	gate.CodePolicyError:        {http.StatusInternalServerError, false},
	gate.CodeInternal:           {http.StatusInternalServerError, true},
	gate.CodeObjectUnsupported:  {http.StatusBadRequest, true},
	gate.CodeReviewInvalid:      {http.StatusBadRequest, true},
	gate.CodeTooLarge:           {http.StatusRequestEntityTooLarge, true},
	gate.CodeStoreUnavailable:   {http.StatusServiceUnavailable, false},
	gate.CodeTimeout:            {http.StatusServiceUnavailable, false},
	gate.CodeBusy:               {http.StatusServiceUnavailable, false},
}

// rowOf is the row of a code; an unknown code reads as CodeInternal.
func rowOf(code gate.Code) codeRow {
	if row, ok := codes[code]; ok {
		return row
	}
	return codes[gate.CodeInternal]
}

// maxRetryAfter is the longest that a client is asked to wait, in seconds.
const maxRetryAfter = 5

// retryAfter is after how many seconds a client may try again by itself: of a
// refusal that is over in a moment (503), 0 for all others. The API server
// passes it on as the header Retry-After, and client-go then repeats the request
// up to ten times (maxRetries in k8s.io/client-go/rest/request.go). It is drawn
// at random so that those who were refused together do not come back together.
func retryAfter(code gate.Code) int {
	if rowOf(code).status != http.StatusServiceUnavailable {
		return 0
	}
	return 1 + rand.IntN(maxRetryAfter)
}
