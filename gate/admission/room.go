package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// Limits of the room where reviews wait for a registry or for a scan. A thousand
// is four times what is worked on at once, and reviews of usual size (16 KiB)
// take a quarter of the bytes; one registry has half, so that one that does not
// answer leaves room to wait for the others.
const (
	defaultWaiting      = 1024
	defaultWaitingBytes = 64 << 20
	// waitingWeight is what a review holds besides its body: goroutines, buffers
	// of a connection, what was read of it.
	waitingWeight = 16 << 10
)

// room is where reviews wait for something else than the store. They hold no
// place in flight meanwhile, and take none when they continue: for that the room
// has seats, fewer than places, so that a thousand that wake up at once push
// nobody out. Safe for concurrent use.
type room struct {
	limit load // of all together; half of it of each registry
	seats chan struct{}
	gauge func(reviews int)

	mu         sync.Mutex
	all        load
	registries map[string]load // by configured name
}

// load is how many reviews wait and what they hold.
type load struct {
	reviews int
	bytes   int64
}

func (l load) plus(reviews int, bytes int64) load { return load{l.reviews + reviews, l.bytes + bytes} }

func (l load) within(limit load) bool { return l.reviews <= limit.reviews && l.bytes <= limit.bytes }

func newRoom(limit load, seats int, gauge func(int)) *room {
	return &room{limit: limit, seats: make(chan struct{}, max(seats, 1)), gauge: gauge, registries: map[string]load{}}
}

// stay is the way of one review through places and room. Its workers are counted
// while they need the store: while there is one the review holds a place in
// flight or a seat. It holds none while all that are left wait, nor at its end.
type stay struct {
	room  *room
	bytes int64

	// Guarded by room.mu.
	stages  int            // that have not begun
	active  int            // workers that need the store
	release func()         // gives back what the review holds, nil for nothing
	waits   map[string]int // workers that wait, by registry
}

// stay begins with a place in flight, which release gives back; bytes is the size
// of the review's body, stages how often it will begin.
func (r *room) stay(bytes, stages int, release func()) *stay {
	return &stay{room: r, bytes: int64(bytes) + waitingWeight, stages: stages, release: release}
}

// begin counts the workers of a stage in, each of which calls its own leave when
// it ends.
func (s *stay) begin(workers int) []*worker { return s.workers(workers, 1) }

// more counts further workers of a stage that has begun in. A worker that is counted
// in calls it.
func (s *stay) more(workers int) []*worker { return s.workers(workers, 0) }

func (s *stay) workers(workers, stages int) []*worker {
	list := make([]*worker, workers)
	for i := range list {
		list[i] = &worker{stay: s, active: true}
	}
	s.count(workers, stages)
	return list
}

// count changes how many workers need the store, begins stages, and gives back
// what the review holds and needs no more.
func (s *stay) count(workers, stages int) {
	s.room.mu.Lock()
	s.active += workers
	s.stages -= stages
	var release func()
	if s.active == 0 && (s.stages == 0 || len(s.waits) > 0) {
		release, s.release = s.release, nil
	}
	s.room.mu.Unlock()
	if release != nil {
		release()
	}
}

// worker is one goroutine of a review, which alone calls its methods.
type worker struct {
	*stay
	active bool // counted in
}

// wait is the gate.Waiter of this worker.
func (w *worker) wait(ctx context.Context, registry string, wait func()) error {
	if ctx.Err() != nil || !w.active {
		return fmt.Errorf("waiting for registry %q: %w", registry, errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	}
	if err := w.room.enter(w.stay, registry); err != nil {
		return err
	}
	defer w.room.exit(w.stay, registry)
	w.pause()
	wait()
	return w.resume(ctx)
}

// leave ends the worker.
func (w *worker) leave() {
	if w.active {
		w.pause()
	}
}

// pause counts the worker out.
func (w *worker) pause() {
	w.active = false
	w.count(-1, 0)
}

// resume continues with what the review holds, or takes a seat.
func (w *worker) resume(ctx context.Context) error {
	seats := w.room.seats
	release := func() { <-seats }
	for !w.join(nil) {
		select {
		case seats <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("continuing after a wait, as %d reviews do: %w", cap(seats), errors.Join(gate.ErrTimeout, context.Cause(ctx)))
		}
		if w.join(release) {
			return nil
		}
		release() // another worker of the review was faster
	}
	return nil
}

// join counts the worker in again. With release the review holds what it gives
// back from now on; false: it holds something already, or nothing without it.
func (w *worker) join(release func()) bool {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	if (release == nil) == (w.release == nil) {
		return false
	}
	if release != nil {
		w.release = release
	}
	w.stay.active++
	w.active = true
	return true
}

// enter counts a worker of a review that waits for a registry; gate.ErrBusy when
// there is no room for the review.
func (r *room) enter(s *stay, registry string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, one := r.all, r.registries[registry]
	if s.waits[registry] == 0 {
		one = one.plus(1, s.bytes)
	}
	if len(s.waits) == 0 {
		all = all.plus(1, s.bytes)
	}
	half := load{r.limit.reviews / 2, r.limit.bytes / 2}
	switch {
	case s.waits[registry] == 0 && !one.within(half):
		return fmt.Errorf("%d reviews (%d bytes) wait for registry %q: %w", one.reviews-1, one.bytes-s.bytes, registry, gate.ErrBusy)
	case len(s.waits) == 0 && !all.within(r.limit):
		return fmt.Errorf("%d reviews (%d bytes) wait: %w", all.reviews-1, all.bytes-s.bytes, gate.ErrBusy)
	}
	r.all, r.registries[registry] = all, one
	if s.waits == nil {
		s.waits = map[string]int{}
	}
	s.waits[registry]++
	r.gauge(r.all.reviews)
	return nil
}

// exit undoes enter.
func (r *room) exit(s *stay, registry string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.waits[registry]--; s.waits[registry] > 0 {
		return
	}
	delete(s.waits, registry)
	if r.registries[registry] = r.registries[registry].plus(-1, -s.bytes); r.registries[registry].reviews == 0 {
		delete(r.registries, registry)
	}
	if len(s.waits) == 0 {
		r.all = r.all.plus(-1, -s.bytes)
	}
	r.gauge(r.all.reviews)
}
