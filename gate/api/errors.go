package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
)

// statuses maps the failures that a caller of the API can cause or must know
// of; everything else is a 500 whose text is only logged.
var statuses = []struct {
	err    error
	status int
}{
	{gate.ErrDigestInvalid, http.StatusUnprocessableEntity},
	{gate.ErrRefInvalid, http.StatusUnprocessableEntity},
	{gate.ErrRefAmbiguous, http.StatusUnprocessableEntity},
	{gate.ErrRegistryNotTrusted, http.StatusUnprocessableEntity},
	{gate.ErrInvalid, http.StatusUnprocessableEntity},
	{gate.ErrNotFound, http.StatusNotFound},
	{gate.ErrConflict, http.StatusConflict},
	{gate.ErrCancelled, http.StatusConflict},
	{gate.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{gate.ErrStoreUnavailable, http.StatusServiceUnavailable},
	{gate.ErrTimeout, http.StatusServiceUnavailable},
	{gate.ErrBusy, http.StatusServiceUnavailable},
	{gate.ErrResource, http.StatusServiceUnavailable},
}

// statusOf is the HTTP status of a failure.
func statusOf(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// problem turns a failure into the answer. Only the caller's own mistakes are
// explained with the error's text; the operator finds the rest in the log.
func (s *server) problem(ctx context.Context, doing string, err error) error {
	status := statusOf(err)
	if status < http.StatusInternalServerError {
		return huma.NewError(status, gate.Printable(err.Error(), 1000))
	}
	s.Log.ErrorContext(ctx, "api request failed", "doing", doing, "error", err)
	if status == http.StatusServiceUnavailable {
		headers := http.Header{"Retry-After": {"5"}}
		return huma.ErrorWithHeaders(huma.NewError(status, doing+": the store did not answer; try again"), headers)
	}
	return huma.NewError(status, doing+": internal error; the log has the details")
}
