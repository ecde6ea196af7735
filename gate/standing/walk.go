package standing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// sweepPage is how many digests are read at a time. What is written of one that has
// changed since is refused, and read again.
const sweepPage = 500

// computing is how many digests a sweep works on at a time: all processors but one,
// which is left to reviews, whose answers somebody waits for.
func computing() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// writersEach is how many workers share one of those places. A worker gives its place
// to another while the store writes, so that many writes share a flush of the disk or the
// way to a server: a verdict that was decided for another image takes microseconds, and a
// flush milliseconds.
const writersEach = 32

// task is what a sweep does with the digests.
type task struct {
	// skim, unless nil, is called with the digests of a page, and returns those that have
	// to be read, and the marks that they have.
	skim func(ctx context.Context, digests []gate.Digest, swept *Swept) ([]gate.Digest, map[gate.Digest]gate.Mark, error)
	// page, unless nil, is called with digests that were read together, by one goroutine, and returns
	// those that need a visit.
	page func(ctx context.Context, list []seen, swept *Swept) ([]seen, error)
	// visit is called for each of those, by several workers at a time.
	visit func(ctx context.Context, k seen, swept *Swept) error
}

// seen is a digest that a sweep has read, and the mark that it had before, 0 for none.
type seen struct {
	gate.Known
	mark gate.Mark
}

// walk is one sweep under way: one goroutine lists and reads, workers visit.
type walk struct {
	*Sweeper
	task
	work chan seen
	stop context.CancelCauseFunc
	done map[gate.Digest]struct{} // handed out before their turn in the list

	mu    sync.Mutex // guards swept
	swept Swept
}

// sweep visits every digest with an inventory, those first that run or that a review
// waits for; s.mu is held. Errors: those of the lists and the store, and
// ErrAdvisoriesUnavailable of a visit; ErrTimeout when ctx ended.
func (s *Sweeper) sweep(ctx context.Context, t task) (Swept, error) {
	walking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &walk{Sweeper: s, task: t, work: make(chan seen), stop: stop, done: map[gate.Digest]struct{}{}}
	places := make(chan struct{}, computing())
	var workers sync.WaitGroup
	for range cap(places) * writersEach {
		workers.Go(func() {
			for k := range w.work {
				w.one(walking, places, k)
			}
		})
	}
	err := w.list(walking)
	close(w.work)
	workers.Wait()
	s.busy.end()
	switch cause := context.Cause(walking); {
	case ctx.Err() != nil:
		err = fmt.Errorf("sweeping: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	case cause != nil:
		err = cause
	}
	return w.swept, err
}

// one visits a digest.
func (w *walk) one(ctx context.Context, places chan struct{}, k seen) {
	if ctx.Err() != nil {
		return
	}
	var swept Swept
	w.standing.matching.calm(ctx)
	places <- struct{}{}
	err := w.visit(context.WithValue(ctx, placeKey{}, places), k, &swept)
	<-places
	switch {
	case errors.Is(err, gate.ErrAdvisoriesUnavailable):
		w.stop(err)
	case err != nil && ctx.Err() == nil:
		swept.Failed++
		w.standing.Log.Warn("sweeping a digest", "digest", k.Record.Digest, "error", err)
	}
	w.count(swept)
}

// list hands out the digests in their order: what admission was asked for lately, then
// all, and before each of them what a review has asked for since.
func (w *walk) list(ctx context.Context) error {
	asked, err := w.asked(ctx)
	if err != nil {
		return err
	}
	for len(asked) > 0 {
		n := min(len(asked), sweepPage)
		if err := w.handOut(ctx, asked[:n], true); err != nil {
			return err
		}
		asked = asked[n:]
	}
	var after gate.Digest
	for {
		page, err := w.o.Digests.Scanned(ctx, after, sweepPage)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		if err := w.handOut(ctx, page, false); err != nil {
			return err
		}
	}
}

// handOut reads digests and gives those that need a visit to the workers. ahead says
// that their turn in the list is still to come.
func (w *walk) handOut(ctx context.Context, digests []gate.Digest, ahead bool) error {
	list, err := w.read(ctx, digests, ahead)
	if err != nil {
		return err
	}
	for _, k := range list {
		if urgent := w.standing.front.take(); len(urgent) > 0 {
			first, err := w.read(ctx, urgent, true)
			if err != nil {
				return err
			}
			for _, k := range first {
				if err := w.give(ctx, k, true); err != nil {
					return err
				}
			}
		}
		if err := w.give(ctx, k, ahead); err != nil {
			return err
		}
	}
	return nil
}

// read reads digests and keeps those that need a visit. Of those that are ahead, some
// may not be analysed.
func (w *walk) read(ctx context.Context, digests []gate.Digest, ahead bool) (list []seen, err error) {
	digests = slices.DeleteFunc(slices.Clone(digests), func(d gate.Digest) bool { _, done := w.done[d]; return done })
	var swept Swept
	defer func() { w.count(swept) }()
	var marks map[gate.Digest]gate.Mark
	if w.skim != nil && len(digests) > 0 {
		if digests, marks, err = w.skim(ctx, digests, &swept); err != nil {
			return nil, err
		}
	}
	if len(digests) == 0 {
		return nil, nil
	}
	res, err := w.standing.Records.Read(ctx, gate.ReadRequest{Digests: digests})
	if err != nil {
		return nil, err
	}
	list = make([]seen, 0, len(digests))
	for _, d := range digests {
		k := seen{gate.Known{Entry: res.Digests[d]}, marks[d]}
		if ahead && k.Record.InventoryID == "" {
			continue
		}
		k.Record.Digest = d // of a record that was lost
		list = append(list, k)
	}
	swept.Seen += len(list)
	if w.page != nil {
		list, err = w.page(ctx, list, &swept)
	}
	return list, err
}

// give hands one digest to the next worker that is free.
func (w *walk) give(ctx context.Context, k seen, ahead bool) error {
	if _, done := w.done[k.Record.Digest]; done {
		return nil // since it was read
	}
	if ahead {
		w.done[k.Record.Digest] = struct{}{}
	}
	select {
	case w.work <- k:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *walk) count(swept Swept) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swept.add(swept)
}

// asked are the digests that a review waits for and those that admission was asked for
// lately, each once.
func (w *walk) asked(ctx context.Context) ([]gate.Digest, error) {
	list := w.standing.front.take()
	if w.o.Asked == nil {
		return list, nil
	}
	lately, err := w.o.Asked(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[gate.Digest]struct{}, len(list)+len(lately))
	var asked []gate.Digest
	for _, d := range append(list, lately...) {
		if _, twice := seen[d]; !twice {
			seen[d] = struct{}{}
			asked = append(asked, d)
		}
	}
	return asked, nil
}

// placeKey finds in a context the places of the sweep that works in it.
type placeKey struct{}

// writing calls write. A worker of a sweep gives its place to another meanwhile.
func writing(ctx context.Context, write func()) {
	if places, ok := ctx.Value(placeKey{}).(chan struct{}); ok {
		<-places
		defer func() { places <- struct{}{} }()
	}
	write()
}

// front are digests that a review could not match in time; the sweep takes them next.
// The zero value is empty. It is safe for concurrent use.
type front struct {
	mu    sync.Mutex
	wants map[gate.Digest]struct{}
	order []gate.Digest
}

// frontMost bounds the digests that wait in front; others have their turn in the list.
const frontMost = 10_000

func (f *front) add(d gate.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.wants[d]; there || len(f.order) >= frontMost {
		return
	}
	if f.wants == nil {
		f.wants = map[gate.Digest]struct{}{}
	}
	f.wants[d] = struct{}{}
	f.order = append(f.order, d)
}

// take returns what waits, the longest first, and forgets it.
func (f *front) take() []gate.Digest {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.order
	f.order, f.wants = nil, nil
	return list
}
