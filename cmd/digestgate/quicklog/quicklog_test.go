package quicklog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// both are the two handlers that write the same.
func both(json bool, mine, std io.Writer) (m, s slog.Handler) {
	if json {
		return JSON(mine, slog.LevelInfo), slog.NewJSONHandler(std, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: withUnits})
	}
	return Text(mine, slog.LevelInfo), slog.NewTextHandler(std, &slog.HandlerOptions{Level: slog.LevelInfo})
}

// TestLines_areThoseOfSlog: random records are written as log/slog writes them.
func TestLines_areThoseOfSlog(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "word", "two words", "a=b", `with "marks"`, `back\slash`, `both "\`, "line\nbreak", "tab\t", "é", "\xff", "\x7f", "<&>", "sha256:" + strings.Repeat("0", 64), "{}", "'", "\u2028"}
	text := func() string { return texts[r.IntN(len(texts))] }
	value := func() slog.Value {
		switch r.IntN(12) {
		case 0:
			return slog.IntValue(r.IntN(1000) - 500)
		case 1:
			return slog.BoolValue(r.IntN(2) == 0)
		case 2:
			return slog.DurationValue(time.Duration(r.Int64N([]int64{1e3, 1e6, 1e9, 1e13}[r.IntN(4)]) - 100))
		case 3:
			return slog.TimeValue(time.Unix(r.Int64N(1e9), r.Int64N(1e9)))
		case 4:
			return slog.AnyValue(errors.New(text()))
		case 5:
			return slog.Float64Value(r.Float64())
		case 6:
			return slog.GroupValue(slog.String(text(), text()))
		case 7:
			return slog.AnyValue([]string{text()})
		case 8:
			return slog.Uint64Value(r.Uint64())
		}
		return slog.StringValue(text())
	}
	times := []time.Time{
		{}, time.Now(), time.Unix(1_790_000_000, 0).UTC(), time.Unix(1_790_000_000, 999_999_999), time.Unix(1_790_000_000, 120_000_000).In(time.FixedZone("x", -3600*5-1800)),
		time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelInfo + 1, slog.LevelError + 7}
	for range 20_000 {
		rec := slog.NewRecord(times[r.IntN(len(times))], levels[r.IntN(len(levels))], text(), 0)
		for range r.IntN(10) {
			key := text()
			if r.IntN(3) > 0 {
				key = "key"
			}
			rec.AddAttrs(slog.Attr{Key: key, Value: value()})
		}
		for _, json := range []bool{false, true} {
			var got, want bytes.Buffer
			m, s := both(json, &got, &want)
			switch r.IntN(10) {
			case 0:
				attr := []slog.Attr{{Key: "with", Value: value()}}
				m, s = m.WithAttrs(attr), s.WithAttrs(attr)
			case 1:
				m, s = m.WithGroup("group"), s.WithGroup("group")
			}
			if m.Enabled(t.Context(), rec.Level) != s.Enabled(t.Context(), rec.Level) {
				t.Fatalf("Enabled(%v) differs", rec.Level)
			}
			if err := errors.Join(m.Handle(t.Context(), rec.Clone()), s.Handle(t.Context(), rec.Clone())); err != nil {
				t.Fatal(err)
			}
			if got.String() != want.String() {
				t.Fatalf("got  %q\nwant %q", got.String(), want.String())
			}
			if quick, ok := m.(*Handler); ok { // not one with attributes or a group
				var attrs []slog.Attr
				rec.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
				got.Reset()
				if err := quick.HandleAttrs(t.Context(), rec.Time, rec.Level, rec.Message, attrs); err != nil || got.String() != want.String() {
					t.Fatalf("HandleAttrs: got  %q, %v\nwant %q", got.String(), err, want.String())
				}
			}
		}
	}
}

// TestLines_whole: lines of many goroutines do not run into each other.
func TestLines_whole(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(Text(&out, slog.LevelInfo))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				log.Info("quick", "a", "b")
				log.Info("slow", "a", []string{"b"})
			}
		})
	}
	group.Wait()
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "time=") || !strings.HasSuffix(line, " msg=quick a=b\n") && !strings.HasSuffix(line, " msg=slow a=[b]\n") {
			t.Fatalf("line %q", line)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 3200 {
		t.Errorf("%d lines, want 3200", n)
	}
}

// reviewLine is the line of an admitted review of three images.
func reviewLine() []slog.Attr {
	return []slog.Attr{
		slog.String("uid", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"), slog.String("cluster", "default"), slog.String("namespace", "shop"),
		slog.String("kind", "v1 Pod"), slog.String("name", "web"), slog.String("operation", "CREATE"), slog.String("user", "jane"),
		slog.Bool("dryRun", false), slog.String("mode", "enforce"), slog.String("outcome", "allow"), slog.Bool("allowed", true),
		slog.String("code", ""), slog.Int("images", 3), slog.String("digests", strings.Repeat("sha256:"+strings.Repeat("a", 64)+" ", 3)),
		slog.Duration("duration", 41*time.Microsecond),
	}
}

// refusedLine is that of one that a policy refuses.
func refusedLine() []slog.Attr {
	words := strings.Repeat(`CVE-2026-0001 in libssl3 3.0.11-1 has a fix: upgrade it to 3.0.13-1, `, 12)
	return append(reviewLine(), slog.String("message", `digestgate: POLICY: spec.containers[0].image: "registry.example.com/team/app:1": fixable-critical: `+words))
}

// TestLook: each character is seen for what it is at each place of a text, also beside those
// that differ from it by one and after a word of the same.
func TestLook(t *testing.T) {
	for c := range 256 {
		for _, beside := range []byte{'a', ' ', '!', '~', '"', '#', '=', '<', '>', '[', '\\', ']'} {
			for at := range 19 {
				text := bytes.Repeat([]byte{beside}, 19)
				text[at] = byte(c)
				has := func(list string) bool { return bytes.ContainsAny(text, list) }
				want := looked{c < ' ' || c > '~', has(`"`), has(`\`), has(" =")}
				got := look(text)
				if got.other != want.other || !want.other && got != want {
					t.Fatalf("%q: got %+v, want %+v", text, got, want)
				}
			}
		}
	}
}

// TestLine_isQuick: the line of a review is one of those that are written here.
func TestLine_isQuick(t *testing.T) {
	for name, h := range map[string]*Handler{"text": Text(io.Discard, slog.LevelInfo), "json": JSON(io.Discard, slog.LevelInfo)} {
		rec := slog.NewRecord(time.Now(), slog.LevelInfo, "admission review", 0)
		rec.AddAttrs(reviewLine()...)
		if line, ok := h.line(nil, &rec); !ok {
			t.Errorf("%s: left to log/slog at %q", name, line)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	b.Run("admitted", func(b *testing.B) { benchmarkLine(b, reviewLine()) })
	b.Run("refused", func(b *testing.B) { benchmarkLine(b, refusedLine()) })
}

func benchmarkLine(b *testing.B, attrs []slog.Attr) {
	for name, json := range map[string]bool{"text": false, "json": true} {
		mine, std := both(json, io.Discard, io.Discard)
		for by, h := range map[string]slog.Handler{"quicklog": mine, "slog": std} {
			b.Run(name+"/"+by, func(b *testing.B) {
				b.ReportAllocs()
				if quick, ok := h.(*Handler); ok {
					for b.Loop() {
						if err := quick.HandleAttrs(context.Background(), time.Now(), slog.LevelInfo, "admission review", attrs); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				for b.Loop() {
					rec := slog.NewRecord(time.Now(), slog.LevelInfo, "admission review", 0)
					rec.AddAttrs(attrs...)
					if err := h.Handle(context.Background(), rec); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
