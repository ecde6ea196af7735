package admission

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// logReview writes the one line of a review. Of reviews that were refused before they
// were read, which may be many thousands a second, it writes a few and says how many
// more there were.
func (r *Reviewer) logReview(ctx context.Context, req *request, v *conclusion, resp *Response, start time.Time, took time.Duration, unread bool) {
	level := slog.LevelInfo
	switch {
	case resp.Code == gate.CodeInternal:
		level = slog.LevelError
	case resp.Code != "" && resp.status >= 500:
		level = slog.LevelWarn
	}
	if !r.log.Enabled(ctx, level) {
		return
	}
	more := 0
	if unread {
		left, ok := r.unread.Next("busy", time.Now())
		if !ok {
			return
		}
		more = left
	}
	name := req.name
	if name == "" {
		name = v.name
	}
	room := lineAttrs.Get().(*[]slog.Attr)
	defer lineAttrs.Put(room)
	attrs := append((*room)[:0],
		slog.String("uid", gate.Printable(req.uid[1:len(req.uid)-1], 64)), slog.String("cluster", resp.Cluster),
		slog.String("namespace", gate.Printable(req.namespace, 64)), slog.String("kind", gate.Printable(req.kind.String(), 100)),
		slog.String("name", gate.Printable(name, 100)), slog.String("operation", gate.Printable(req.operation, 20)),
		slog.String("user", req.user.printable()), slog.Bool("dryRun", req.dryRun),
		slog.String("mode", string(resp.Mode)), slog.String("outcome", string(resp.Outcome)), slog.Bool("allowed", resp.Allowed),
		slog.String("code", string(resp.Code)), slog.Int("images", len(v.checked)), slog.String("digests", resp.digests),
		slog.Duration("duration", took),
	)
	if resp.requestID != "" {
		attrs = append(attrs, slog.String("request", resp.requestID))
	}
	if resp.Message != "" {
		attrs = append(attrs, slog.String("message", resp.Message))
	}
	if err := v.cause(); err != nil {
		attrs = append(attrs, slog.String("error", gate.Printable(scrub(err.Error()), 4000)))
	}
	if more > 0 {
		attrs = append(attrs, slog.Int("more", more))
	}
	defer clear(attrs) // their texts are of this review
	log := line{r.log.Handler(), start.Add(took)}
	log.LogAttrs(ctx, level, "admission review", attrs...)
}

// lineAttrs are where the attributes of a line are put together.
var lineAttrs = sync.Pool{New: func() any { attrs := make([]slog.Attr, 0, 20); return &attrs }}

// line is a logger of what was at a time. It does not look for its caller, which takes a
// tenth of a line and which no handler shows.
type line struct {
	slog.Handler
	at time.Time
}

// LogAttrs is that of slog.Logger, which drops errors too. Handlers of this program need
// no record, which takes as long to make as the line.
func (l line) LogAttrs(ctx context.Context, level slog.Level, msg string, attrs ...slog.Attr) {
	if quick, ok := l.Handler.(interface {
		HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error
	}); ok {
		_ = quick.HandleAttrs(ctx, l.at, level, msg, attrs)
		return
	}
	r := slog.NewRecord(l.at, level, msg, 0)
	r.AddAttrs(attrs...)
	_ = l.Handle(ctx, r)
}

// cause is every error behind a conclusion, for the operator.
func (v *conclusion) cause() error {
	var errs []error
	if v.err != nil {
		errs = append(errs, v.err)
	}
	for i := range v.checked {
		if err := v.checked[i].answer.Err; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
