package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// problem is a refusal: what the sender is told, and the cause, which is for
// the log only.
type problem struct {
	status     int
	detail     string
	retryAfter time.Duration
	cause      error
}

func refuse(status int, cause error, format string, args ...any) *problem {
	return &problem{status: status, cause: cause, detail: fmt.Sprintf(format, args...)}
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.detail
}

func (p *problem) Unwrap() error { return p.cause }

// unauthorized says in words what is missing, never what was right. Keys of an
// issuer that cannot be read are not the sender's fault: it is to come again.
func unauthorized(w http.ResponseWriter, auth string, err error) error {
	if !errors.Is(err, gate.ErrUnauthorized) {
		p := refuse(http.StatusServiceUnavailable, err, "the token could not be checked; send the delivery again")
		p.retryAfter = issuerEvery
		return p
	}
	detail := "the secret is missing or wrong; compare what the registry sends with webhook.auth and webhook.secretFiles of this registry"
	switch auth {
	case AuthBasic:
		w.Header().Set("WWW-Authenticate", `Basic realm="digestgate webhooks"`)
	case AuthOIDC:
		w.Header().Set("WWW-Authenticate", "Bearer")
		detail = "the bearer token is missing or not accepted; compare its issuer, audience and account with webhook.issuer, audience, emails and subjects of this registry"
	case AuthMTLS:
		detail = "the client certificate is missing or not accepted; compare it with webhook.caFile and webhook.names of this registry"
	}
	return refuse(http.StatusUnauthorized, err, "%s", detail)
}

// Status is the HTTP status of an error of [Handler.Deliver].
func Status(err error) int {
	var p *problem
	if errors.As(err, &p) {
		return p.status
	}
	return http.StatusServiceUnavailable
}

// writeProblem renders a refusal as RFC 9457 problem+json.
func writeProblem(w http.ResponseWriter, err error) int {
	p := &problem{status: http.StatusServiceUnavailable, detail: "the delivery could not be taken; send it again", retryAfter: storeRetry}
	errors.As(err, &p)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	writeJSON(w, "application/problem+json", p.status, struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(p.status), p.status, p.detail})
	return p.status
}

func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		// Both types above always marshal.
		panic(fmt.Sprintf("encoding a webhook answer: %v", err))
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The sender may be gone; what it asked for is durable all the same.
	_, _ = w.Write(append(text, '\n'))
}

// note writes the one log line of a delivery, and of a flood of refused ones one
// in a while. Paths and queries stay out of it, because they may hold a token.
func (h *Handler) note(ctx context.Context, d *received, a Answer, status int, err error, took time.Duration) {
	outcome := string(a.State)
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("registry", d.registry), slog.Int("status", status),
		slog.String("remote", gate.Printable(d.remote, 100)), slog.Duration("duration", took),
	}
	if err == nil {
		attrs = append(attrs, slog.String("state", outcome), slog.Int("images", len(a.Images)))
		if a.Reason != "" {
			attrs = append(attrs, slog.String("reason", gate.Printable(a.Reason, 400)))
		}
		if d.foreign {
			level = slog.LevelWarn
		}
	} else {
		outcome = "refused"
		level = slog.LevelWarn
		if status >= 500 {
			outcome, level = "unavailable", slog.LevelError
		}
		attrs = append(attrs, slog.String("error", gate.Printable(err.Error(), 1000)))
	}
	h.opt.Metrics.delivered(d.vendor, outcome, took)
	if err != nil {
		left, ok := h.thinner.Next(d.registry+" "+strconv.Itoa(status), h.opt.Now())
		if !ok {
			return
		}
		if left > 0 {
			attrs = append(attrs, slog.Int("more", left))
		}
	}
	h.opt.Log.LogAttrs(ctx, level, "webhook delivery", attrs...)
}
