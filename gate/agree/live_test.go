package agree_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// awayStore may not answer.
type awayStore struct {
	agree.Store
	away atomic.Bool
}

func (s *awayStore) Setting(ctx context.Context, name string) ([]byte, int64, error) {
	if s.away.Load() {
		return nil, 0, gate.ErrStoreUnavailable
	}
	return s.Store.Setting(ctx, name)
}

// words is a live list of words that does not load words with a "!".
type words struct {
	*agree.Live[[]string]
	found *agree.Content
	loads int
	said  strings.Builder
}

func newWords(s agree.Store, now func() time.Time) *words {
	w := &words{}
	w.Live = agree.NewLive(agree.NewMember(agree.Options{
		Kind: exceptionsKind, Store: s, By: "me", Program: "v1", Now: now, Log: slog.New(slog.NewTextHandler(&w.said, nil)),
	}), agree.Loading[[]string]{
		Find: func() *agree.Content { return w.found },
		Load: func(_ context.Context, a agree.Activation) ([]string, error) {
			w.loads++
			list, err := agree.UnpackJSON[[]string](a)
			if err == nil && strings.Contains(strings.Join(list, ""), "!") {
				err = errors.New("an exclamation mark")
			}
			return list, err
		},
	})
	return w
}

func (w *words) says() string { list, _, _ := w.Current(); return strings.Join(list, " ") }

func packed(t *testing.T, list ...string) agree.Content {
	t.Helper()
	c, err := agree.PackJSON(list)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestWhatDoesNotLoad: the former content stays in use, it is said once, and the
// same content is loaded again after five minutes only.
func TestWhatDoesNotLoad(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	store := agree.NewOwnStore(now)
	w := newWords(store, now)
	if err := w.Follow(t.Context()); err != nil || w.loads != 0 {
		t.Errorf("nothing in force: %v, %d loads", err, w.loads)
	}
	if _, err := w.Put(t.Context(), packed(t, "one")); err != nil || w.says() != "one" {
		t.Fatalf("says %q, %v", w.says(), err)
	}
	if _, err := w.Put(t.Context(), packed(t, "two!")); !errors.Is(err, gate.ErrConflict) || w.says() != "one" {
		t.Errorf("says %q, %v", w.says(), err)
	}
	for range 3 {
		if err := w.Follow(t.Context()); !errors.Is(err, gate.ErrConflict) || !strings.Contains(w.Status().Behind, "exception list 2 (") {
			t.Errorf("got %v, status %+v", err, w.Status())
		}
	}
	if n := strings.Count(w.said.String(), "does not load here, the former"); w.loads != 2 || n > 1 {
		t.Errorf("%d loads, said %d times:\n%s", w.loads, n, w.said.String())
	}
	at = at.Add(5 * time.Minute)
	_ = w.Follow(t.Context())
	if w.loads != 3 {
		t.Errorf("%d loads after five minutes, want one more", w.loads)
	}
	if _, err := w.Put(t.Context(), packed(t, "three")); err != nil || w.says() != "three" || w.Status() != (agree.LiveStatus{}) {
		t.Errorf("says %q, %v, status %+v", w.says(), err, w.Status())
	}
	// One that has nothing loaded yet names a way out.
	if _, err := w.Put(t.Context(), packed(t, "four!")); err == nil {
		t.Error("no error")
	}
	if err := newWords(store, now).Follow(t.Context()); !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), exceptionsKind.Words.OtherWay) {
		t.Errorf("got %v", err)
	}
}

// TestWaiting: what is in use stays while it is not known what is in force.
func TestWaiting(t *testing.T) {
	own := agree.NewOwnStore(time.Now)
	store := &awayStore{Store: own}
	w := newWords(store, time.Now)
	one, two := packed(t, "one"), packed(t, "two")
	w.found = &one
	if err := w.Follow(t.Context()); err != nil || w.says() != "one" {
		t.Fatalf("says %q, %v", w.says(), err)
	}
	store.away.Store(true)
	if err := w.Follow(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || w.Status() != (agree.LiveStatus{}) {
		t.Errorf("got %v, status %+v", err, w.Status())
	}
	w.found = &two
	for range 2 {
		if err := w.Follow(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || w.says() != "one" || w.Status().Waits == "" {
			t.Errorf("says %q, %v, status %+v", w.says(), err, w.Status())
		}
	}
	if n := strings.Count(w.said.String(), "it is not known"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.said.String())
	}
	store.away.Store(false)
	if err := w.Follow(t.Context()); err != nil || w.says() != "two" || w.Status() != (agree.LiveStatus{}) {
		t.Errorf("says %q, %v, status %+v", w.says(), err, w.Status())
	}
	_, version, err := own.Setting(t.Context(), exceptionsKind.Setting)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.PutSetting(t.Context(), exceptionsKind.Setting, []byte("{"), version); err != nil {
		t.Fatal(err)
	}
	if err := w.Follow(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || !strings.Contains(w.Status().Behind, exceptionsKind.Setting) || w.says() != "two" {
		t.Errorf("unreadable: says %q, %v, status %+v", w.says(), err, w.Status())
	}
}

// TestRunFollows: what another process puts in force is in use a second later.
func TestRunFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := agree.NewOwnStore(time.Now)
		a, b := newWords(store, time.Now), newWords(store, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx, agree.DefaultFollowEvery) }()
		if _, err := a.Put(ctx, packed(t, "one")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(agree.DefaultFollowEvery) // of the bubble's clock
		synctest.Wait()
		if b.says() != "one" {
			t.Errorf("says %q", b.says())
		}
		cancel()
		<-done
	})
}

// TestStopping: a load that was interrupted does not count as one that failed.
func TestStopping(t *testing.T) {
	store := agree.NewOwnStore(time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	loads := 0
	l := agree.NewLive(agree.NewMember(agree.Options{Kind: exceptionsKind, Store: store}), agree.Loading[string]{
		Load: func(ctx context.Context, _ agree.Activation) (string, error) {
			if loads++; loads == 1 {
				cancel()
				return "", ctx.Err()
			}
			return "loaded", nil
		},
	})
	if _, err := l.Put(ctx, packed(t, "one")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := l.Follow(t.Context()); err != nil || loads != 2 {
		t.Errorf("got %v after %d loads", err, loads)
	}
}
