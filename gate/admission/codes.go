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
	// text is the usual sentence, for answers that bring none.
	text string
}

// codes is the one table from refusal to HTTP and words (DESIGN.md §7). It is
// not modified.
var codes = map[gate.Code]codeRow{
	gate.CodeRefInvalid:         {http.StatusForbidden, true, "this is not a valid image reference"},
	gate.CodeRefAmbiguous:       {http.StatusForbidden, true, "a node might run something else than a registry serves; name a repository and a digest"},
	gate.CodeDigestRequired:     {http.StatusForbidden, false, "images must be referenced by digest (name@sha256:...) here"},
	gate.CodeRegistryNotTrusted: {http.StatusForbidden, false, "this registry or repository is not configured here"},
	gate.CodeUnscanned:          {http.StatusForbidden, false, "the image has not been scanned"},
	gate.CodePending:            {http.StatusForbidden, false, "the scan of the image has not ended; a controller retries by itself, a bare Pod must be applied again"},
	gate.CodeScanFailed:         {http.StatusForbidden, false, "the scan of the image failed"},
	gate.CodeUnassessable:       {http.StatusForbidden, false, "the image cannot be assessed"},
	gate.CodeQuotaExhausted:     {http.StatusForbidden, false, "the scan quota is used up; the scan continues by itself in the next period"},
	gate.CodeStale:              {http.StatusForbidden, false, "the advisory data is too old to decide"},
	gate.CodePolicy:             {http.StatusForbidden, true, "refused by policy"},
	gate.CodePolicyError:        {http.StatusInternalServerError, false, "the policies could not be evaluated; tell the operators"},
	gate.CodeInternal:           {http.StatusInternalServerError, true, "internal error; tell the operators"},
	gate.CodeObjectUnsupported:  {http.StatusBadRequest, true, "this kind of object is not understood here"},
	gate.CodeReviewInvalid:      {http.StatusBadRequest, true, "the review is not well formed"},
	gate.CodeTooLarge:           {http.StatusRequestEntityTooLarge, true, "too many images in one object"},
	gate.CodeStoreUnavailable:   {http.StatusServiceUnavailable, false, "the scan results cannot be read at the moment; try again"},
	gate.CodeTimeout:            {http.StatusServiceUnavailable, false, "no decision in time; try again"},
	gate.CodeBusy:               {http.StatusServiceUnavailable, false, "too many reviews at once; try again"},
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
