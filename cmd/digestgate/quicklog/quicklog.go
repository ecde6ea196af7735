// Package quicklog writes lines as the handlers of log/slog do, byte for byte, in a third
// of their time: the line of an admission review has sixteen attributes, and took a tenth
// of the whole review. What is not plain (groups, values of other kinds, text that has to
// be escaped) the handlers of log/slog write.
//
// A Handler is safe for concurrent use.
package quicklog

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Handler writes lines of one format to one writer.
type Handler struct {
	std   slog.Handler
	level slog.Leveler
	out   *output
	json  bool
}

// Text writes as slog.NewTextHandler does.
func Text(w io.Writer, level slog.Leveler) *Handler {
	out := &output{w: w}
	return &Handler{slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}), level, out, false}
}

// JSON writes as slog.NewJSONHandler does, but for durations, which are texts with a unit
// as in [Text]: a bare number of nanoseconds says nothing to a reader.
func JSON(w io.Writer, level slog.Leveler) *Handler {
	out := &output{w: w}
	return &Handler{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: withUnits}), level, out, true}
}

func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// output writes one line at a time, whoever made it.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(line)
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// WithAttrs implements slog.Handler. Such lines are rare, and those of log/slog.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.std.WithAttrs(attrs) }

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler { return h.std.WithGroup(name) }

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxLine is up to which size the memory of a line is used again, in bytes.
const maxLine = 16 << 10

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	b := lines.Get().(*[]byte)
	line, ok := h.line((*b)[:0], &r)
	return h.write(b, line, ok, func() error { return h.std.Handle(ctx, r) })
}

// HandleAttrs is Handle of a record with these attributes, which are not kept: to make the
// record takes as long as to write its line.
func (h *Handler) HandleAttrs(ctx context.Context, at time.Time, level slog.Level, msg string, attrs []slog.Attr) error {
	b := lines.Get().(*[]byte)
	line, ok := h.begin((*b)[:0], at, level, msg)
	for i := 0; ok && i < len(attrs); i++ {
		line, ok = h.attr(line, attrs[i])
	}
	return h.write(b, h.end(line), ok, func() error {
		r := slog.NewRecord(at, level, msg, 0)
		r.AddAttrs(attrs...)
		return h.std.Handle(ctx, r)
	})
}

// write writes a line that is in the memory of b, or has log/slog do it.
func (h *Handler) write(b *[]byte, line []byte, ok bool, std func() error) error {
	if !ok {
		lines.Put(b)
		return std()
	}
	_, err := h.out.Write(line)
	if cap(line) <= maxLine {
		*b = line
		lines.Put(b)
	}
	return err
}

// line makes a line; ok is false when log/slog has to.
func (h *Handler) line(b []byte, r *slog.Record) (_ []byte, ok bool) {
	if b, ok = h.begin(b, r.Time, r.Level, r.Message); !ok {
		return b, false
	}
	r.Attrs(func(a slog.Attr) bool {
		b, ok = h.attr(b, a)
		return ok
	})
	return h.end(b), ok
}

// begin is what stands in front of the attributes.
func (h *Handler) begin(b []byte, at time.Time, level slog.Level, msg string) (_ []byte, ok bool) {
	if y := at.Year(); y < 1 || y > 9999 || at.IsZero() || !named(level) {
		return b, false
	}
	if h.json {
		b = append(b, `{"time":"`...)
		b = at.Round(0).AppendFormat(b, time.RFC3339Nano)
		b = append(append(append(b, `","level":"`...), level.String()...), `","msg":`...)
	} else {
		b = append(b, "time="...)
		b = appendMillis(b, at.Round(0))
		b = append(append(append(b, " level="...), level.String()...), " msg="...)
	}
	return h.text(b, msg)
}

func (h *Handler) end(b []byte) []byte {
	if h.json {
		b = append(b, '}')
	}
	return append(b, '\n')
}

// named reports whether a level has a name without a number.
func named(l slog.Level) bool {
	return l == slog.LevelDebug || l == slog.LevelInfo || l == slog.LevelWarn || l == slog.LevelError
}

// appendMillis is the time as the text handler writes it, with three digits of seconds:
// as there, the fourth is there to be cut away, because this format trims zeros and is
// the quickest.
func appendMillis(b []byte, t time.Time) []byte {
	end := len(b) + len("2006-01-02T15:04:05.000")
	b = t.Truncate(time.Millisecond).Add(time.Millisecond/10).AppendFormat(b, time.RFC3339Nano)
	return append(b[:end], b[end+1:]...)
}

func (h *Handler) attr(b []byte, a slog.Attr) (_ []byte, ok bool) {
	if a.Key == "" || !plain(a.Key) {
		return b, false
	}
	if h.json {
		b = append(append(append(b, ',', '"'), a.Key...), '"', ':')
	} else {
		b = append(append(append(b, ' '), a.Key...), '=')
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		return h.text(b, v.String())
	case slog.KindDuration: // never in need of escapes; of microseconds it is not ASCII
		if !h.json {
			return append(b, v.Duration().String()...), true
		}
		return append(append(append(b, '"'), v.Duration().String()...), '"'), true
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool()), true
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10), true
	}
	return b, false
}

// text writes a text; ok is false when something in it is not printable ASCII. Of that
// both formats escape two characters alike, which words of policies and refusals have.
func (h *Handler) text(b []byte, s string) (_ []byte, ok bool) {
	start := len(b)
	b = append(append(b, '"'), s...) // to look at many bytes at once
	found := look(b[start+1:])
	switch {
	case found.other:
		return b[:start], false
	case !h.json && s != "" && !found.quotes && !found.spaces:
		copy(b[start:], s) // a backslash alone needs no quotation marks in a text
		return b[:len(b)-1], true
	case !found.quotes && !found.backslashes:
		return append(b, '"'), true
	}
	b = b[:start+1]
	for {
		i := strings.IndexByte(s, '"')
		if k := strings.IndexByte(s[:max(i, 0)], '\\'); k >= 0 || i < 0 {
			if i < 0 {
				k = strings.IndexByte(s, '\\')
			}
			i = k
		}
		if i < 0 {
			return append(append(b, s...), '"'), true
		}
		b = append(append(b, s[:i]...), '\\', s[i])
		s = s[i+1:]
	}
}

// looked is what is in a text.
type looked struct {
	other       bool // than printable ASCII
	quotes      bool
	backslashes bool
	spaces      bool // or equals signs, for which a text is quoted too
}

const (
	each8 = 0x0101010101010101
	high8 = 0x8080808080808080
)

// zeros has a high bit when a byte of a word of ASCII is 0: taking 1 from each borrows
// there, and from no byte below the first such one.
func zeros(w uint64) uint64 { return w - each8 }

// look looks at eight bytes at once, and at high bits at the end only. What it finds beside
// other characters than printable ASCII means nothing where there are such.
func look(text []byte) looked {
	var other, quotes, backslashes, spaces uint64
	see := func(w uint64) {
		other |= w | (w - each8*0x20) | (w + each8) // not ASCII, below a space, 0x7f
		quotes |= zeros(w ^ each8*'"')
		backslashes |= zeros(w ^ each8*'\\')
		spaces |= zeros(w^each8*' ') | zeros(w^each8*'=')
	}
	for ; len(text) >= 8; text = text[8:] {
		see(binary.LittleEndian.Uint64(text))
	}
	if len(text) > 0 {
		rest := [8]byte{'-', '-', '-', '-', '-', '-', '-', '-'}
		copy(rest[:], text)
		see(binary.LittleEndian.Uint64(rest[:]))
	}
	return looked{other&high8 != 0, quotes&high8 != 0, backslashes&high8 != 0, spaces&high8 != 0}
}

// plain reports that a key is written as it is in both formats.
func plain(key string) bool {
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=' {
			return false
		}
	}
	return true
}
