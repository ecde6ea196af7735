package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// statuses maps the failures that a caller of the API can cause or must know
// of; everything else is a 500 whose text is only logged. For a 503 the words
// say what to expect, for the others the error's own text does.
var statuses = []struct {
	err    error
	status int
	words  refusal.Key
}{
	{gate.ErrUnauthorized, http.StatusUnauthorized, ""},
	{gate.ErrDigestInvalid, http.StatusUnprocessableEntity, ""},
	{gate.ErrRefInvalid, http.StatusUnprocessableEntity, ""},
	{gate.ErrRefAmbiguous, http.StatusUnprocessableEntity, ""},
	{gate.ErrDigestRequired, http.StatusUnprocessableEntity, ""},
	{gate.ErrRegistryNotTrusted, http.StatusUnprocessableEntity, ""},
	{gate.ErrStoreUnavailable, http.StatusServiceUnavailable, refusal.ServerStore},
	{gate.ErrTimeout, http.StatusServiceUnavailable, refusal.ServerTimeout},
	{gate.ErrResource, http.StatusServiceUnavailable, refusal.ServerResource},
	{gate.ErrBusy, http.StatusServiceUnavailable, refusal.ServerBusy},
	{gate.ErrInvalid, http.StatusUnprocessableEntity, ""},
	{gate.ErrNotFound, http.StatusNotFound, ""},
	{gate.ErrConflict, http.StatusConflict, ""},
	{gate.ErrCancelled, http.StatusConflict, ""},
	{gate.ErrTooLarge, http.StatusRequestEntityTooLarge, ""},
}

// statusOf is the HTTP status of a failure, with the words of a 503.
func statusOf(err error) (status int, words refusal.Key) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status, s.words
		}
	}
	if class, _ := gate.Classify(err); errors.Is(class.Err, gate.ErrTimeout) {
		return statusOf(class.Err) // a bare context error
	}
	return http.StatusInternalServerError, refusal.ServerInternal
}

// problem turns a failure into the answer. Only the caller's own mistakes are
// explained with the error's text; the operator finds the rest in the log.
func (s *server) problem(ctx context.Context, doing string, err error) error {
	status, words := statusOf(err)
	if status < http.StatusInternalServerError {
		return huma.NewError(status, gate.Printable(gate.Sentence(err), 1000))
	}
	s.Log.ErrorContext(ctx, "api request failed", "doing", doing, "error", err)
	problem := huma.NewError(status, doing+": "+refusal.English(refusal.Say(words, nil)))
	if status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(problem, http.Header{"Retry-After": {"5"}})
	}
	return problem
}
