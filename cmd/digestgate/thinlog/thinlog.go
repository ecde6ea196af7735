// Package thinlog keeps a log readable while something fails again and again: a
// warning or an error that says the same as one of the last minute is counted
// and not written, and once a minute the latest of them is, with the count.
//
// A Handler is safe for concurrent use.
package thinlog

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// Every is how long the same is written only once: as often as an operator
	// wants to know that it continues.
	Every = time.Minute
	// Repeated is the key of the count: how many more there were since the line
	// before.
	Repeated = "repeated"
	// maxKept bounds how many lines are remembered, maxKeptBytes their memory, usually
	// 500 B each. Beyond either, lines are written as they come.
	maxKept      = 4096
	maxKeptBytes = 8 << 20
)

// Handler thins what it hands to another one.
type Handler struct {
	next  slog.Handler
	scope string // of WithAttrs and WithGroup
	state *state
}

type state struct {
	mu    sync.Mutex
	lines map[string]*line
	bytes int // of lines, approximately
	swept time.Time
}

// line is one that was written lately.
type line struct {
	until time.Time
	count int // of those since that were not written
	last  slog.Record
	to    slog.Handler
}

// New hands to next what is new.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, state: &state{lines: map[string]*line{}}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	scope := h.scope
	for _, a := range attrs {
		scope += fingerprint(a)
	}
	return &Handler{h.next.WithAttrs(attrs), scope, h.state}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.scope + "\x00g" + name, h.state}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn { // most lines, which wait for no other's writing here
		h.state.mu.Lock()
		h.state.sweep(ctx, r.Time, false)
		h.state.mu.Unlock()
		return h.next.Handle(ctx, r)
	}
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	h.state.sweep(ctx, r.Time, false)
	key := h.scope + r.Level.String() + "\x00" + r.Message
	r.Attrs(func(a slog.Attr) bool { key += fingerprint(a); return true })
	if l, ok := h.state.lines[key]; ok {
		l.count, l.last, l.to = l.count+1, r.Clone(), h.next
		return nil
	}
	if n := lineBytes(key); len(h.state.lines) < maxKept && h.state.bytes+n <= maxKeptBytes {
		h.state.bytes += n
		h.state.lines[key] = &line{until: r.Time.Add(Every)}
	}
	return h.next.Handle(ctx, r)
}

// attrHandler is a handler that needs no record; quicklog has one.
type attrHandler interface {
	// HandleAttrs is Handle of a record with these attributes, which are not kept. Errors:
	// those of writing the line.
	HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error
}

// HandleAttrs is Handle of a record with these attributes, which are not kept.
func (h *Handler) HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error {
	if next, ok := h.next.(attrHandler); ok && level < slog.LevelWarn {
		h.state.mu.Lock()
		h.state.sweep(ctx, at, false)
		h.state.mu.Unlock()
		return next.HandleAttrs(ctx, at, level, msg, attrs)
	}
	r := slog.NewRecord(at, level, msg, 0)
	r.AddAttrs(attrs...)
	return h.Handle(ctx, r)
}

// Flush writes what was counted and not told, before the process ends.
func (h *Handler) Flush() {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	h.state.sweep(context.Background(), time.Now(), true)
}

// sweep tells what was counted in minutes that are over, and forgets what did
// not come again.
func (s *state) sweep(ctx context.Context, now time.Time, all bool) {
	if !all && now.Sub(s.swept) < time.Second {
		return
	}
	s.swept = now
	for key, l := range s.lines {
		if !all && now.Before(l.until) {
			continue
		}
		if l.count == 0 {
			s.bytes -= lineBytes(key)
			delete(s.lines, key)
			continue
		}
		r := l.last
		if l.count > 1 {
			r.AddAttrs(slog.Int(Repeated, l.count))
		}
		_ = l.to.Handle(ctx, r) // as with every line, nobody can be told
		*l = line{until: now.Add(Every)}
	}
}

// lineBytes is the memory that a line takes: its key, and a record with the same text.
func lineBytes(key string) int { return 2*len(key) + 400 }

// ports are those that differ with every connection.
var ports = regexp.MustCompile(`:\d{4,5}\b`)

// volatile are keys whose values differ with every try.
var volatile = map[string]bool{"attempt": true, "wait": true, "until": true, "duration": true, "count": true}

// fingerprint is what makes an attribute the same as another one.
func fingerprint(a slog.Attr) string {
	v := a.Value.Resolve()
	if volatile[a.Key] || v.Kind() == slog.KindTime || v.Kind() == slog.KindDuration {
		return ""
	}
	if v.Kind() == slog.KindGroup {
		var b strings.Builder
		b.WriteString("\x00g" + a.Key)
		for _, in := range v.Group() {
			b.WriteString(fingerprint(in))
		}
		return b.String()
	}
	return "\x00" + a.Key + "=" + ports.ReplaceAllString(v.String(), ":*")
}
