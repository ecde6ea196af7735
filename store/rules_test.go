package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func TestBackoff(t *testing.T) {
	want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900}
	for retries, w := range want {
		if got := store.Backoff(retries, 0); got != w*time.Second {
			t.Errorf("Backoff(%d, 0): got %s, want %s", retries, got, w*time.Second)
		}
		if got := store.Backoff(retries, 1); got != w*time.Second/2 {
			t.Errorf("Backoff(%d, 1): got %s, want %s", retries, got, w*time.Second/2)
		}
	}
	for _, retries := range []int{-1, 1 << 30} {
		if got := store.Backoff(retries, 0.5); got <= 0 || got > store.MaxBackoff {
			t.Errorf("Backoff(%d, 0.5): got %s", retries, got)
		}
	}
}

// TestFeedFor: a feed grows with the records, up to a bound, and is never shorter than
// what was asked for.
func TestFeedFor(t *testing.T) {
	for _, c := range []struct{ least, records, want int64 }{
		{200_000, 0, 200_000}, {200_000, 50_000, 200_000}, {200_000, 100_000, 400_000}, {100_000, 100_000, 400_000},
		{100, 1 << 40, store.MaxFeed}, {3_000_000, 1 << 40, 3_000_000},
	} {
		if got := store.FeedFor(c.least, c.records); got != c.want {
			t.Errorf("FeedFor(%d, %d): got %d, want %d", c.least, c.records, got, c.want)
		}
	}
	if store.FeedFor(0, 100_000) < 2*100_000 {
		t.Error("a sweep of 100,000 records is longer than the feed")
	}
}

// TestVerbFor walks the whole table of failures.
func TestVerbFor(t *testing.T) {
	for _, class := range gate.Errors() {
		want := store.VerbAttempt
		switch {
		case errors.Is(class.Err, gate.ErrCancelled):
			want = store.VerbCancel
		case errors.Is(class.Err, gate.ErrBusy), errors.Is(class.Err, gate.ErrYielded):
			want = store.VerbAgain
		case class.Retry:
			want = store.VerbWait
		}
		r := gate.Result{Err: fmt.Errorf("wrapped: %w", class.Err), MaxAttempts: 3}
		if got, after := store.VerbFor(r, 0); got != want || after != 0 {
			t.Errorf("%s: got %d, %s, want %d", class.Label, got, after, want)
		}
		if want == store.VerbAttempt {
			want = store.VerbFail
		}
		if got, _ := store.VerbFor(r, 2); got != want {
			t.Errorf("%s after two attempts: got %d, want %d", class.Label, got, want)
		}
	}
	// Of several: cancelled, then what goes back at once, then what is final.
	for _, class := range gate.Errors() {
		for _, other := range gate.Errors() {
			either := func(err error) bool { return errors.Is(class.Err, err) || errors.Is(other.Err, err) }
			err := errors.Join(class.Err, other.Err)
			first, _ := gate.Classify(err)
			want := store.VerbAttempt
			switch {
			case either(gate.ErrCancelled):
				want = store.VerbCancel
			case either(gate.ErrBusy) || either(gate.ErrYielded):
				want = store.VerbAgain
			case first.Retry:
				want = store.VerbWait
			}
			if got, _ := store.VerbFor(gate.Result{Err: err, MaxAttempts: 3}, 0); got != want {
				t.Errorf("%s and %s: got %d, want %d", class.Label, other.Label, got, want)
			}
			if want == store.VerbAttempt || want == store.VerbWait {
				want = store.VerbFail
			}
			if got, _ := store.VerbFor(gate.Result{Err: err, MaxAttempts: 3, Final: true}, 0); got != want {
				t.Errorf("%s and %s, final: got %d, want %d", class.Label, other.Label, got, want)
			}
		}
	}
	// What a registry asked for counts unless the worker says another wait.
	asked := fmt.Errorf("x: %w", &gate.RetryAfterError{After: time.Minute, Err: gate.ErrRegistryUnavailable})
	for given, want := range map[time.Duration]time.Duration{0: time.Minute, -1: time.Minute, time.Second: time.Second, 2 * store.MaxRetryAfter: store.MaxRetryAfter} {
		if got, after := store.VerbFor(gate.Result{Err: asked, After: given}, 0); got != store.VerbWait || after != want {
			t.Errorf("After %s: got %d, %s, want %s", given, got, after, want)
		}
	}
	if got, _ := store.VerbFor(gate.Result{}, 99); got != store.VerbDone {
		t.Errorf("success: got %d", got)
	}
	if got, _ := store.VerbFor(gate.Result{Err: gate.ErrScanFailed}, store.DefaultMaxAttempts-2); got != store.VerbAttempt {
		t.Errorf("without MaxAttempts: got %d", got)
	}
	if _, after := store.VerbFor(gate.Result{Err: gate.ErrRegistryUnavailable, After: -time.Hour}, 0); after != 0 {
		t.Errorf("negative wait: got %s", after)
	}
}

// TestRefusalOf walks the whole table of failures: one class begins a refusal, one
// other lets it go on, and no result but a wait leaves it open.
func TestRefusalOf(t *testing.T) {
	for _, class := range gate.Errors() {
		r := gate.Result{Err: fmt.Errorf("wrapped: %w", class.Err), MaxAttempts: 3}
		verb, _ := store.VerbFor(r, 0)
		want := store.RefusalOver
		switch {
		case errors.Is(class.Err, gate.ErrRegistryRefused):
			want = store.RefusalBegin
		case errors.Is(class.Err, gate.ErrRegistryAuth):
			want = store.RefusalGoes
		case verb == store.VerbWait, verb == store.VerbAgain:
			want = store.RefusalOpen
		}
		if got := store.RefusalOf(r, verb); got != want {
			t.Errorf("%s: got %d, want %d", class.Label, got, want)
		}
	}
	if got := store.RefusalOf(gate.Result{}, store.VerbDone); got != store.RefusalOver {
		t.Errorf("success: got %d", got)
	}
}
