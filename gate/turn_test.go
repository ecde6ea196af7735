package gate_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// TestTurn: of several processes one does the work; the others leave it alone
// while it holds; a failure, another matter, or a death lets the next one in.
func TestTurn(t *testing.T) {
	s := newSite(t, month(0))
	var done atomic.Int64
	work := func(context.Context) error { done.Add(1); return nil }
	do := func(about string, work func(context.Context) error) (bool, error) {
		t.Helper()
		return agree.NewTurn(s.store, "sweep").Do(t.Context(), about, 5*time.Minute, work)
	}
	var racing sync.WaitGroup
	for range 6 {
		racing.Go(func() {
			if _, err := do("generation 1", work); err != nil {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if n := done.Load(); n != 1 {
		t.Fatalf("six processes did it %d times", n)
	}
	want := func(what string, about string, n int64) {
		t.Helper()
		if here, err := do(about, work); err != nil || done.Load() != n {
			t.Errorf("%s: here %t, %v, done %d times, want %d", what, here, err, done.Load(), n)
		}
	}
	want("the same again", "generation 1", 1)
	want("another matter", "generation 2", 2)
	s.clock.Advance(5 * time.Minute)
	want("long after", "generation 2", 3)
	failure := errors.New("no")
	if _, err := do("generation 3", func(context.Context) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("a failure: %v", err)
	}
	want("after a failure", "generation 3", 4)

	// A process dies in the middle: nobody renews its lease.
	ctx, die := context.WithCancel(t.Context())
	began := make(chan struct{})
	dead := &deadStore{TimedSettings: s.store}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = agree.NewTurn(dead, "sweep").Do(ctx, "generation 4", time.Minute, func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-began
	dead.gone.Store(true)
	die()
	<-ended
	s.clock.Advance(time.Minute + time.Second)
	want("after a death", "generation 4", 5)
}

// deadStore is that of a process that is gone: nothing of it is heard.
type deadStore struct {
	agree.TimedSettings
	gone atomic.Bool
}

func (d *deadStore) PutSetting(ctx context.Context, name string, value []byte, version int64) (int64, error) {
	if d.gone.Load() {
		return 0, gate.ErrStoreUnavailable
	}
	return d.TimedSettings.PutSetting(ctx, name, value, version)
}
