package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAlarmsAreBounded: whoever forges values makes a line a minute of each kind,
// which counts them; a new kind is told at once, and so is what comes after a
// minute of silence.
func TestAlarmsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := newAlarms(slog.New(slog.NewTextHandler(&out, nil)))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.run(ctx); close(done) }()
		// told are the lines since it was last asked.
		told := func() []string {
			synctest.Wait()
			a.mu.Lock() // it writes with it held
			defer a.mu.Unlock()
			defer out.Reset()
			return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		}
		want := func(what string, parts ...string) {
			t.Helper()
			lines := told()
			if len(lines) != len(parts) {
				t.Fatalf("%s: %d lines, want %d: %q", what, len(lines), len(parts), lines)
			}
			for i, part := range parts {
				if !strings.Contains(lines[i], part) {
					t.Errorf("%s: got %q, want %q", what, lines[i], part)
				}
			}
		}
		record := alarm{"record", "forged"}
		for i := range 100_000 {
			a.raise(record, fmt.Sprint("d", i), errForged)
		}
		want("the first", `msg="stored value is not believed and counts as absent" thing=record name=d0 count=1`)
		a.raise(alarm{"record", "replayed"}, "r", errReplay)
		want("another reason", "thing=record name=r count=1")
		a.raise(alarm{"tag", "damaged"}, "t", errors.New("cut"))
		want("another thing", `msg="stored value cannot be read and counts as absent" thing=tag name=t count=1 error=cut`)

		time.Sleep(alarmEvery)
		want("after a minute", "thing=record name=d99999 count=99999")
		time.Sleep(alarmEvery)
		want("when nothing came", "")
		a.raise(record, "again", errForged)
		want("after the silence", "name=again count=1")
		a.raise(record, "last", errForged)
		stop()
		<-done
		want("at the end", "name=last count=1")
	})
}
