package admission

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// waits is a decider whose images wait: the host of a reference is the registry
// that is waited for, unless it is the one of the good image, and work is what
// follows the wait.
type waits struct {
	known lookup
	work  time.Duration
	wake  chan struct{} // ends every wait; nil: they last until their review ends
}

func (w *waits) Decide(ctx context.Context, ref gate.Reference, req gate.Request) gate.Answer {
	if !strings.Contains(ref.Host, "wait") {
		return w.known.Decide(ctx, ref, req)
	}
	err := gate.Aside(ctx, ref.Host, func() {
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return refusedFor(err)
	}
	if ctx.Err() != nil {
		return refusedFor(ctx.Err())
	}
	time.Sleep(w.work)
	return gate.Answer{Outcome: gate.OutcomeAllow, Digest: "sha256:" + goodHex}
}

// crowd begins reviews that wait, and returns once they do.
func crowd(t *testing.T, r *Reviewer, n int, image string) (codes func() map[gate.Code]int) {
	t.Helper()
	var mu sync.Mutex
	got := map[gate.Code]int{}
	for range n {
		go func() {
			_, resp := answer(t, r, review(pod(image), nil))
			mu.Lock()
			defer mu.Unlock()
			got[resp.Code]++
		}()
	}
	synctest.Wait()
	return func() map[gate.Code]int {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(got)
	}
}

// empty fails when anything is held after everything has ended.
func empty(t *testing.T, r *Reviewer) {
	t.Helper()
	synctest.Wait()
	r.room.mu.Lock()
	defer r.room.mu.Unlock()
	if len(r.slots) != 0 || len(r.room.seats) != 0 || r.room.all != (load{}) || len(r.room.registries) != 0 {
		t.Errorf("%d places, %d seats, %+v in the room, by registry %v; want nothing held",
			len(r.slots), len(r.room.seats), r.room.all, r.room.registries)
	}
}

// TestRoom_silentRegistry: 300 reviews that wait for a registry which never
// answers hold no place: with four places every review that needs the store only
// is admitted, at once.
func TestRoom_silentRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReviewer(Default(), &waits{}, Options{MaxInFlight: 4})
		codes := crowd(t, r, 300, "wait.example.com/a:1")
		for i := range 100 {
			start := time.Now()
			if got, resp := answer(t, r, review(pod(good), nil)); !got.Allowed || time.Since(start) != 0 {
				t.Fatalf("review %d of a scanned image by digest: %s after %s", i, resp.JSON(), time.Since(start))
			}
		}
		if n := codes(); len(n) != 0 {
			t.Fatalf("reviews that should wait were answered: %v", n)
		}
		time.Sleep(time.Minute)
		if n := codes(); n[gate.CodeTimeout] != 300 {
			t.Errorf("got %v, want 300 TIMEOUT", n)
		}
		empty(t, r)
	})
}

// TestRoom_limits: half of the room is for one registry; who finds none is BUSY
// at once, and nobody else is.
func TestRoom_limits(t *testing.T) {
	body := int64(len(encode(t, review(pod("a.wait/a:1"), nil))) + waitingWeight)
	for name, o := range map[string]Options{
		"by_number": {MaxInFlight: 2, MaxWaiting: 20},
		"by_bytes":  {MaxInFlight: 2, MaxWaitingBytes: 20*body + body/2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &waits{wake: make(chan struct{})}
				r := NewReviewer(Default(), w, o)
				first, second := crowd(t, r, 13, "a.wait/a:1"), crowd(t, r, 10, "b.wait/a:1")
				if n := first(); n[gate.CodeBusy] != 3 || len(n) != 1 {
					t.Errorf("13 of one registry: got %v, want 3 BUSY at once", n)
				}
				if n := second(); len(n) != 0 {
					t.Errorf("10 of another registry: got %v, want all to wait", n)
				}
				start := time.Now()
				got, resp := answer(t, r, review(pod("c.wait/a:1", good), nil))
				if got.Allowed || resp.Code != gate.CodeBusy || got.Result.Code != 503 || time.Since(start) != 0 {
					t.Errorf("a third registry, and the room is full: %s after %s", resp.JSON(), time.Since(start))
				}
				if got, resp := answer(t, r, review(pod(good), nil)); !got.Allowed {
					t.Errorf("a scanned image by digest: %s", resp.JSON())
				}
				close(w.wake)
				synctest.Wait()
				if a, b := first(), second(); a[""] != 10 || b[""] != 10 {
					t.Errorf("after the wait: got %v and %v, want 10 allowed of each", a, b)
				}
				empty(t, r)
			})
		})
	}
}

// TestRoom_defaults are those of DESIGN.md.
func TestRoom_defaults(t *testing.T) {
	if got := reviewer(&lookup{}).room.limit; got != (load{1024, 64 << 20}) {
		t.Errorf("got %+v", got)
	}
}

// TestRoom_wakeTogether: reviews that continue after a wait take no place of
// those that never waited, however many they are.
func TestRoom_wakeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waits{wake: make(chan struct{}), work: 10 * time.Millisecond}
		r := NewReviewer(Default(), w, Options{MaxInFlight: 8})
		codes := crowd(t, r, 200, "wait.example.com/a:1")
		close(w.wake)
		synctest.Wait()
		for range 8 { // all places at once
			go func() {
				start := time.Now()
				if got, resp := answer(t, r, review(pod(good), nil)); !got.Allowed || time.Since(start) != 0 {
					t.Errorf("a scanned image by digest: %s after %s", resp.JSON(), time.Since(start))
				}
			}()
		}
		synctest.Wait()
		time.Sleep(200 * 10 * time.Millisecond)
		synctest.Wait()
		if n := codes(); n[""] != 200 {
			t.Errorf("got %v, want 200 allowed", n)
		}
		empty(t, r)
	})
}

// TestRoom_noSeat: who does not get to continue before the deadline is TIMEOUT,
// and holds nothing.
func TestRoom_noSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waits{wake: make(chan struct{}), work: 5 * time.Second}
		r := NewReviewer(Default(), w, Options{MaxInFlight: 1})
		codes := crowd(t, r, 3, "wait.example.com/a:1")
		close(w.wake)
		time.Sleep(time.Minute)
		if n := codes(); n[""] != 1 || n[gate.CodeTimeout] != 2 {
			t.Errorf("got %v, want one allowed and two TIMEOUT", n)
		}
		empty(t, r)
	})
}

// TestRoom_mixed: a review holds its place as long as one of its images needs the
// store, and is one review in the room however many of its images wait.
func TestRoom_mixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registries := make(chan struct{}), make(chan struct{})
		d := deciderFunc(func(ctx context.Context, ref gate.Reference, _ gate.Request) gate.Answer {
			var err error
			if strings.Contains(ref.Host, "wait") {
				err = gate.Aside(ctx, ref.Host, func() { <-registries })
			} else {
				<-store
			}
			if err != nil {
				return refusedFor(err)
			}
			return gate.Answer{Outcome: gate.OutcomeAllow, Digest: "sha256:" + goodHex}
		})
		r := NewReviewer(Default(), d, Options{MaxInFlight: 1, MaxWaiting: 2})
		var images []string
		for i := range 3 {
			images = append(images, fmt.Sprintf("a.wait/a%d:1", i), fmt.Sprintf("b.wait/a%d:1", i))
		}
		answered := make(chan bool, 1)
		go func() {
			got, _ := answer(t, r, review(pod(append(images, "reg.example.com/a:1")...), nil))
			answered <- got.Allowed
		}()
		synctest.Wait()
		r.room.mu.Lock()
		if all, a := r.room.all.reviews, r.room.registries["a.wait"].reviews; all != 1 || a != 1 || len(r.slots) != 1 {
			t.Errorf("%d reviews wait, %d for one registry, %d places are held; want one of each", all, a, len(r.slots))
		}
		r.room.mu.Unlock()
		close(store)
		synctest.Wait()
		if len(r.slots) != 0 {
			t.Error("a review of which everything waits holds a place")
		}
		close(registries)
		if !<-answered {
			t.Error("refused")
		}
		empty(t, r)
	})
}

// TestRoom_stages: a request that leaves some places as they were holds nothing
// while what it brings in waits, though the others are still to be looked up.
func TestRoom_stages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waits{wake: make(chan struct{})}
		r := NewReviewer(Default(), w, Options{MaxInFlight: 1})
		answered := make(chan Response, 1)
		go func() {
			_, resp := answer(t, r, review(pod(good, "wait.example.com/a:1"), pod(good, "wait.example.com/a:0")))
			answered <- resp
		}()
		synctest.Wait()
		if len(r.slots) != 0 || r.room.all.reviews != 1 {
			t.Errorf("%d places are held, %d reviews wait; want none and 1", len(r.slots), r.room.all.reviews)
		}
		close(w.wake)
		if resp := <-answered; !resp.Allowed || len(resp.Images) != 2 || resp.Images[0].Outcome != gate.OutcomeAllow {
			t.Errorf("got %+v, want it admitted and both images looked up", resp)
		}
		empty(t, r)
	})
}
