package thinlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// logged are the lines of a log without their times.
func logged(t *testing.T, play func(say func(after time.Duration, level slog.Level, message string, args ...any), h *Handler)) []string {
	t.Helper()
	var b bytes.Buffer
	h := New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	start := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	play(func(after time.Duration, level slog.Level, message string, args ...any) {
		r := slog.NewRecord(start.Add(after), level, message, 0)
		r.Add(args...)
		if err := h.Handle(context.Background(), r); err != nil {
			t.Error(err)
		}
	}, h)
	if b.Len() == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestRepeatedFailures(t *testing.T) {
	t.Parallel()
	got := logged(t, func(say func(time.Duration, slog.Level, string, ...any), _ *Handler) {
		for i := range 300 { // five minutes, once a second
			err := fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:6379: connection refused", 40000+i)
			say(time.Duration(i)*time.Second, slog.LevelError, "claiming a job", "error", err, "attempt", i, "wait", time.Duration(i))
		}
	})
	if len(got) != 5 || strings.Contains(got[0], Repeated) || !strings.Contains(got[1], "repeated=59") || !strings.Contains(got[4], "repeated=60") {
		t.Errorf("got %d lines:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestWhatIsNotTheSame(t *testing.T) {
	t.Parallel()
	got := logged(t, func(say func(time.Duration, slog.Level, string, ...any), _ *Handler) {
		say(0, slog.LevelWarn, "job ended", "image", "a", "error", errors.New("x"))
		say(0, slog.LevelWarn, "job ended", "image", "b", "error", errors.New("x"))
		say(0, slog.LevelWarn, "job ended", "image", "a", "error", errors.New("y"))
		say(0, slog.LevelError, "job ended", "image", "a", "error", errors.New("x"))
		say(0, slog.LevelWarn, "delivery", "status", 401)
		say(0, slog.LevelWarn, "delivery", "status", 503)
		for range 3 { // no failure
			say(0, slog.LevelInfo, "delivery", "status", 202)
		}
	})
	if len(got) != 9 {
		t.Errorf("got %d lines, want all 9:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// TestTheEndIsTold: what stops is told too, by the next line of any kind, or
// when the process ends; and a failure that comes back later is new.
func TestTheEndIsTold(t *testing.T) {
	t.Parallel()
	got := logged(t, func(say func(time.Duration, slog.Level, string, ...any), h *Handler) {
		for range 4 {
			say(0, slog.LevelWarn, "x")
		}
		say(2*time.Minute, slog.LevelInfo, "other")
		say(4*time.Minute, slog.LevelInfo, "other")
		say(5*time.Minute, slog.LevelWarn, "x")
		say(5*time.Minute, slog.LevelWarn, "x")
		h.Flush()
		h.Flush()
	})
	want := []string{
		"level=WARN msg=x", "level=WARN msg=x repeated=3", "level=INFO msg=other", "level=INFO msg=other",
		"level=WARN msg=x", "level=WARN msg=x",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(New(slog.NewTextHandler(&b, nil)))
	for range 2 {
		log.With("registry", "a").Warn("x")
		log.With("registry", "b").Warn("x")
		log.WithGroup("g").Warn("x", "k", slog.GroupValue(slog.Int("n", 1)))
	}
	if n := strings.Count(b.String(), "\n"); n != 3 {
		t.Errorf("got %d lines, want 3:\n%s", n, b.String())
	}
}

// TestBounded: what is never the same cannot fill the memory.
func TestBounded(t *testing.T) {
	t.Parallel()
	h := New(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(h)
	for i := range 2 * maxKept {
		log.Warn("x", "n", i)
	}
	if n := len(h.state.lines); n > maxKept {
		t.Errorf("%d lines are remembered, more than %d", n, maxKept)
	}
}

// TestLongLinesAreWeighed: an error may quote what a registry has sent.
func TestLongLinesAreWeighed(t *testing.T) {
	t.Parallel()
	h := New(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(h)
	const long = 64 << 10
	for i := range 1000 {
		for range 2 {
			log.Warn("x", "error", strings.Repeat("y", long)+strconv.Itoa(i))
		}
	}
	if n, most := len(h.state.lines), maxKeptBytes/2/long; n > most || n < most*9/10 {
		t.Errorf("%d lines of %d bytes are remembered, want nearly %d", n, long, most)
	}
	h.Flush()
	h.Flush()
	if n := len(h.state.lines); n != 0 || h.state.bytes != 0 {
		t.Errorf("after a flush: %d lines, %d bytes", n, h.state.bytes)
	}
}
