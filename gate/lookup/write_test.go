package lookup

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestRoomForTags: whoever has reviews note thousands of new places keeps nobody's tag
// from being written, on which the answer for a pushed tag depends.
func TestRoomForTags(t *testing.T) {
	l := New(Parts{Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Options{}, nil)
	release := make(chan struct{})
	var mu sync.Mutex
	full := 0
	for range 2 * maxWrites {
		_ = l.writer.start(true, func() { <-release })
	}
	for range maxWrites / 4 {
		l.beside(func(context.Context) error { return nil }, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				full++
			}
		})
	}
	close(release)
	l.Settle()
	if full > 0 {
		t.Errorf("%d of %d writes of tags found no room", full, maxWrites/4)
	}
}

// TestKeepAtOnce: of readings that come at the same time the latest stays.
func TestKeepAtOnce(t *testing.T) {
	l := New(Parts{}, Options{}, nil)
	began := time.Unix(1_790_000_000, 0)
	key := gate.TagKey{Location: gate.Location{Registry: "hub", Repository: "team/app"}, Tag: "v1"}
	reading := func(n int) keptReading {
		return keptReading{TagMapping: gate.TagMapping{TagKey: key, Digest: sha(n), Host: "hub.example", ReadAt: began.Add(time.Duration(n))}}
	}
	for n := 0; n < 4000; n += 2 {
		var wg sync.WaitGroup
		wg.Go(func() { l.keep(reading(n)) })
		wg.Go(func() { l.keep(reading(n + 1)) })
		wg.Wait()
		if got, _ := l.kept.GetIfPresent(key); got.Digest != sha(n+1) {
			t.Fatalf("kept %s, want the later %s", got.Digest, sha(n+1))
		}
	}
}
