package admission

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/listener"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Limits of requests.
const (
	// maxBody takes two objects of the 3 MiB that an API server accepts and
	// the rest of a review; controller-runtime has the same limit.
	maxBody = 7 << 20
	// maxBodies is what the bodies of all reviews may hold together, those that
	// are still arriving and those that are worked on. Who floods us gets an
	// error, not our memory.
	maxBodies = 128 << 20
	// maxArriving is how many bodies may be arriving beyond a few of each
	// connection. Those of API servers arrive within a millisecond or two.
	maxArriving = 512
)

// BasePath is where the handler expects its requests: POST BasePath, and POST
// BasePath/{cluster}/{token}.
//
// called by: API servers, digestgate admit
const BasePath = "/admission/validate"

// Handler serves reviews over HTTP. It answers 200 with an AdmissionReview, or
// an error that the API server takes as a failure of the webhook: 400 for a
// body without a review that could be answered, 401 for an unknown cluster or
// a wrong token, 404, 405, 413, 415, 503 when too much is being read.
type Handler struct {
	reviewer *Reviewer
	clusters clusters
	bodies   *listener.Bodies
	thinner  listener.Thinner
}

// NewHandler reads the clusters' tokens; errors as in [Config.Validate].
func NewHandler(r *Reviewer) (*Handler, error) {
	list, err := loadClusters(r.terms.Load().config.Clusters, gate.ReadSmallFile)
	if err != nil {
		return nil, fmt.Errorf("reading the clusters' tokens: %w", err)
	}
	return &Handler{reviewer: r, clusters: list, bodies: listener.NewBodies(maxBodies, maxArriving)}, nil
}

// contentType is that of every review in answer; it is not modified.
var contentType = []string{"application/json"}

// httpError is an answer without a review. Its text goes to the caller.
type httpError struct {
	status int
	text   string
	cause  error // for the log
}

func (e *httpError) Error() string { return e.text }
func (e *httpError) Unwrap() error { return e.cause }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	start := time.Now()
	if listener.Gone(req.Context()) {
		return // one of a flood; the answer would go nowhere
	}
	resp, err := h.serve(w, req, start)
	if err == nil {
		w.Header()["Content-Type"] = contentType
		room := answers.Get().(*[]byte)
		body := resp.appendJSON((*room)[:0])
		// A failure to write is the caller's: it is gone.
		_, _ = w.Write(body)
		answers.Put(room)
		return
	}
	var failure *httpError
	if !errors.As(err, &failure) {
		failure = &httpError{http.StatusInternalServerError, "digestgate: INTERNAL: internal error", err}
	}
	h.reviewer.metrics.reject(failure.status)
	h.logRejected(req, failure, start)
	if failure.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if req.ProtoMajor == 1 {
		// Otherwise the rest of the body would be waited for. In HTTP/2 the
		// stream ends, and this would end the other streams too.
		w.Header().Set("Connection", "close")
	}
	contact := h.reviewer.terms.Load().config.Contact
	http.Error(w, withContact(gate.Printable(failure.text, maxMessage-len(withContact("", contact))), contact), failure.status)
}

// logRejected writes the one line of a request that is not a review, and of a
// flood of them one in a while.
func (h *Handler) logRejected(req *http.Request, failure *httpError, start time.Time) {
	left, ok := h.thinner.Next(strconv.Itoa(failure.status), time.Now())
	if !ok {
		return
	}
	// The path may hold a token and is not logged.
	attrs := []slog.Attr{
		slog.Int("status", failure.status), slog.String("remote", req.RemoteAddr), slog.String("reason", gate.Printable(failure.text, 400)),
		slog.String("error", gate.Printable(fmt.Sprint(failure.cause), 4000)), slog.Duration("duration", time.Since(start)),
	}
	if left > 0 {
		attrs = append(attrs, slog.Int("more", left))
	}
	h.reviewer.log.LogAttrs(req.Context(), slog.LevelWarn, "admission request rejected", attrs...)
}

// serve authenticates, reads and reviews.
func (h *Handler) serve(w http.ResponseWriter, req *http.Request, start time.Time) (Response, error) {
	name, err := h.authenticate(req)
	if err != nil {
		return Response{}, err
	}
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return Response{}, &httpError{http.StatusMethodNotAllowed, "digestgate: only POST is served here", nil}
	}
	if err := wantJSON(req.Header.Get("Content-Type")); err != nil {
		return Response{}, err
	}
	if req.Header.Get("Content-Encoding") != "" {
		return Response{}, &httpError{http.StatusUnsupportedMediaType, "digestgate: REVIEW_INVALID: want a body without Content-Encoding", nil}
	}
	if req.ContentLength > maxBody {
		return Response{}, tooLarge()
	}
	body, err := h.bodies.Read(w, req, maxBody)
	if err != nil {
		return Response{}, readError(err)
	}
	defer body.Release()
	t := span{ctx: req.Context(), until: start.Add(budget(callerTimeout(req)))}
	defer t.end()
	resp, err := h.reviewer.review(&t, body.Bytes(), name)
	switch {
	case errors.Is(err, gate.ErrReviewInvalid):
		return Response{}, &httpError{http.StatusBadRequest, "digestgate: REVIEW_INVALID: " + ownText(err), err}
	case errors.Is(err, gate.ErrBusy):
		return Response{}, busy(err)
	}
	return resp, err
}

// authenticate finds the cluster that a path belongs to. The answer is the
// same for an unknown cluster and for a wrong token.
func (h *Handler) authenticate(req *http.Request) (string, error) {
	if len(req.Header.Values("Authorization")) > 1 {
		// A proxy in front may have looked at either.
		return "", &httpError{http.StatusUnauthorized, "digestgate: the request has two Authorization headers; send one or none", gate.ErrUnauthorized}
	}
	rest, ok := strings.CutPrefix(req.URL.Path, BasePath)
	name, token := DefaultCluster, ""
	if ok && rest != "" {
		var parts []string
		if parts = strings.Split(rest, "/"); len(parts) != 3 || parts[0] != "" || parts[1] == "" || parts[2] == "" {
			ok = false
		} else {
			name, token = parts[1], parts[2]
		}
	}
	if !ok {
		return "", &httpError{http.StatusNotFound, "digestgate: reviews are served at " + BasePath, nil}
	}
	found, ok := h.clusters.find(name, token)
	if !ok {
		return "", &httpError{http.StatusUnauthorized, "digestgate: unknown cluster or wrong token", gate.ErrUnauthorized}
	}
	return found, nil
}

// wantJSON refuses another content type.
func wantJSON(contentType string) error {
	if contentType == "application/json" {
		return nil // nearly always; the parser below makes a map
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" {
		return &httpError{http.StatusBadRequest, "digestgate: REVIEW_INVALID: want Content-Type application/json", err}
	}
	return nil
}

// readError is the answer for a body that could not be read.
func readError(err error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge()
	case errors.Is(err, gate.ErrBusy):
		return busy(err)
	}
	return &httpError{http.StatusBadRequest, "digestgate: REVIEW_INVALID: the body ended early", err}
}

func busy(err error) error {
	return &httpError{http.StatusServiceUnavailable, "digestgate: BUSY: " + refusal.English(refusal.Usual(gate.CodeBusy)), err}
}

func tooLarge() error {
	return &httpError{http.StatusRequestEntityTooLarge, "digestgate: TOO_LARGE: " + refusal.English(refusal.Say(refusal.TooLargeReview, refusal.P{"most": "7 MiB"})), gate.ErrTooLarge}
}

// callerTimeout is what the API server says that it waits.
func callerTimeout(req *http.Request) time.Duration {
	timeout, plain := strings.CutPrefix(req.URL.RawQuery, "timeout=")
	if !plain || strings.ContainsAny(timeout, "&;%+=") {
		timeout = req.URL.Query().Get("timeout")
	}
	d, err := time.ParseDuration(timeout)
	if err != nil || d <= 0 {
		return DefaultTimeout
	}
	return min(d, maxTimeout)
}
