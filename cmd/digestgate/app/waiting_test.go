package app

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStartSaysWhatItWaitsFor: after two seconds, and again while it lasts.
func TestStartSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, nil))
		if err := during(log, waitStore, func() error { time.Sleep(silentFor - time.Millisecond); return nil }); err != nil || b.Len() > 0 {
			t.Errorf("a short step: got %v and %q", err, b.String())
		}
		failed := errors.New("failed")
		err := during(log, waitAdvisories, func() error { time.Sleep(silentFor + RemindEvery + time.Second); return failed })
		if !errors.Is(err, failed) {
			t.Errorf("got %v", err)
		}
		if n := strings.Count(b.String(), `msg=waiting for="the advisory data to be copied, checked and loaded" usually="1 s for each 50 MB, when it is new" waited=`); n != 2 {
			t.Errorf("it was said %d times, want 2:\n%s", n, b.String())
		}
	})
}
