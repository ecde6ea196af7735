package registry

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

// errSlow is the cause of a context that this package ended because the
// registry was too slow; it tells our own limits from the caller's.
var errSlow = errors.New("the registry is too slow")

// errStalled is the end of a body of which no byte has come for timeouts.idle.
var errStalled = fmt.Errorf("the body stopped arriving: %w", errSlow)

// maxErrorBytes is how much of an error's body is read.
const maxErrorBytes = 8 << 10

// contextError is the error of a caller's context that has ended: the cause
// itself when it is one of gate's, else gate.ErrTimeout.
func contextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	if wrapsSentinel(cause) {
		return cause
	}
	return fmt.Errorf("%w: %w", gate.ErrTimeout, cause)
}

// wrapsSentinel reports whether err is worded and classified already. It is not
// gate.Classify, which takes every deadline, and so the network's own, for the
// caller's.
func wrapsSentinel(err error) bool {
	return slices.ContainsFunc(gate.Errors(), func(c gate.ErrorClass) bool { return errors.Is(err, c.Err) })
}

// explain turns an error of an exchange into one that wraps a sentinel and
// says what an operator can do. It shows no address beyond hosts: addresses of
// blobs are signed.
func (s *session) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	var paused *pausedError
	if errors.As(err, &paused) {
		return paused.retryAfter(fmt.Errorf("%w: %w", err, &gate.Outage{Kind: paused.kind()}))
	}
	if wrapsSentinel(err) {
		return err
	}
	worded := fmt.Errorf("%s: %w", advice(err), &gate.Outage{Kind: outageKind(err)})
	if errors.Is(err, http.ErrSchemeMismatch) {
		return &schemeError{worded}
	}
	return worded
}

// schemeError is an outage of a host that speaks http where https was wanted; callers that
// may try http find http.ErrSchemeMismatch in it.
type schemeError struct{ error }

func (e *schemeError) Unwrap() []error { return []error{e.error, http.ErrSchemeMismatch} }

// wordedError is an error that says all there is to say; the sentence of its class
// would mislead.
type wordedError struct {
	text  string
	class error
}

func (e *wordedError) Error() string { return e.text }
func (e *wordedError) Unwrap() error { return e.class }

// advice words a failure below HTTP for the operator.
func advice(err error) string {
	var (
		blocked   *outbound.BlockedError
		redirect  *redirectError
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	text := gate.Printable(err.Error(), 300)
	switch {
	case errors.As(err, &blocked):
		return blocked.Error()
	case errors.As(err, &redirect):
		return redirect.Error()
	case errors.As(err, &dns):
		return "its name cannot be resolved; check host and the name service: " + text
	case errors.As(err, &authority):
		return "its certificate is signed by an unknown authority; configure caFile: " + text
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return "its certificate is not valid for it: " + text
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks http where https is wanted; set plainHTTP if that is intended"
	case isTimeout(err):
		return "it did not answer in time: " + text
	}
	return text
}

// outageKind is what a failure below HTTP is called to people who are refused.
func outageKind(err error) gate.CauseKind {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &dns):
		return gate.CauseName
	case errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid):
		return gate.CauseCertificate
	}
	return gate.CauseUnreachable
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, errSlow) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// codePattern admits the error codes of the distribution specification into
// messages; the text beside them is the registry's and stays out.
var codePattern = regexp.MustCompile(`^[A-Z][A-Z_]{0,39}$`)

// errorCode reads the code of an error answer, "" when there is none.
func errorCode(res *http.Response) string {
	var body struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes))
	if json.Unmarshal(b, &body) != nil || len(body.Errors) == 0 || !codePattern.MatchString(body.Errors[0].Code) {
		return ""
	}
	return body.Errors[0].Code
}

// answerError is an answer that is not the wanted one.
type answerError struct {
	error
	status    int
	said      string // what was answered, and by which host
	forbidden bool   // a 403 of the registry itself
}

func (e *answerError) Unwrap() error { return e.error }

// statusError maps an answer that is not the wanted one. It reads a bounded
// part of the body and does not close it.
func (s *session) statusError(res *http.Response, c *call) error {
	e := &answerError{status: res.StatusCode}
	e.error = s.classify(res, c, e)
	return e
}

func (s *session) classify(res *http.Response, c *call, e *answerError) error {
	code := errorCode(res)
	host := urlEndpoint(res.Request.URL)
	said := fmt.Sprintf("%q answered %d", host, res.StatusCode)
	if code != "" {
		said += " " + code
	}
	e.said = said
	status := res.StatusCode
	switch code {
	case "MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN":
		status = http.StatusNotFound
	case "UNAUTHORIZED", "DENIED":
		status = http.StatusForbidden
	case "TOOMANYREQUESTS":
		status = http.StatusTooManyRequests
	}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 {
		status = res.StatusCode // a rate limit is one whatever the body says
	}
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return fmt.Errorf("%s: %w", said, gate.ErrNotFound)
	case c.image && imageRefused(res.StatusCode):
		return s.refusal(said)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		if res.Request.Header.Get("Authorization") == "" && !s.unasked(res.Request, c) {
			// Nobody sent credentials there: an expired signature, not ours.
			return fmt.Errorf("%s to a redirected request: %w", said, gate.ErrRegistryUnavailable)
		}
		e.forbidden = res.StatusCode != http.StatusUnauthorized
		return fmt.Errorf("%s: check username, passwordFile and the account's permission to pull: %w", said, gate.ErrRegistryAuth)
	}
	if res.StatusCode == http.StatusBadRequest && s.cfg.PlainHTTP {
		said += " (does it want https? then remove plainHTTP)"
	}
	return s.unavailable(res, said)
}

// unavailable is gate.ErrRegistryUnavailable with the wait that the answer
// asked for, if it did.
func (s *session) unavailable(res *http.Response, said string) error {
	err := func(kind gate.CauseKind) error { return fmt.Errorf("%s: %w", said, &gate.Outage{Kind: kind}) }
	var paused *pausedError
	if errors.As(s.pauses.check(urlEndpoint(res.Request.URL)), &paused) {
		return paused.retryAfter(err(paused.kind()))
	}
	if after, asked, ok := parseRetryAfter(res.Header.Get("Retry-After"), s.pauses.now()); ok {
		return &gate.RetryAfterError{After: after, Asked: asked, Err: err(gate.CauseAskedToWait)}
	}
	return err(gate.CauseFailing)
}

// transient reports whether a status may be another one a moment later. 429
// is not among them: repeating is what it complains of.
func transient(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return res.Header.Get("Retry-After") == ""
	case http.StatusServiceUnavailable:
		return res.Header.Get("Retry-After") == ""
	}
	return false
}

// transientError marks an answer that is worth another try.
type transientError struct{ error }

func (e transientError) Unwrap() error { return e.error }

// retryable reports whether an error may pass by itself within a second:
// broken connections do; names, certificates, timeouts and refusals do not.
func retryable(err error) bool {
	var (
		again     transientError
		blocked   *outbound.BlockedError
		redirect  *redirectError
		paused    *pausedError
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &again):
		return true
	case wrapsSentinel(err), isTimeout(err):
		return false
	case errors.As(err, &blocked), errors.As(err, &redirect), errors.As(err, &paused),
		errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &invalid),
		errors.Is(err, http.ErrSchemeMismatch):
		return false
	case errors.As(err, &dns):
		return dns.IsTemporary && !dns.IsNotFound
	}
	return true
}

// pauseBefore is the jittered wait before the n-th retry, n from 0.
func pauseBefore(n int, first time.Duration, random float64) time.Duration {
	return time.Duration(float64(first<<n) * (0.5 + random))
}
