package standing

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestFirstSweepWaitsForTheList: a list that cannot be built is tried again, for ever,
// and no sweep runs on a part of it.
func TestFirstSweepWaitsForTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, looks := time.Now(), 0
		c := &Current{Log: slog.New(slog.DiscardHandler), Ready: func(context.Context) error {
			if looks++; looks < 12 {
				return errors.New("no disk")
			}
			return nil
		}}
		if !c.ready(ctx) || looks != 12 {
			t.Errorf("%d looks", looks)
		}
		// 1, 2, 4, 8, 16 and 32 s, then a minute each.
		if waited := time.Since(began); waited != 63*time.Second+5*time.Minute {
			t.Errorf("waited %s", waited)
		}
		looks = 0
		go func() { time.Sleep(time.Hour); cancel() }()
		c.Ready = func(context.Context) error { return errors.New("no disk") }
		if c.ready(ctx) {
			t.Error("it is ready although it is stopped")
		}
	})
}
