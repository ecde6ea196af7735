package scantask

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// batch is how many images are matched between two looks at the clock: a second of
	// work at most, as a rule.
	batch = 64
	// matchers and analyses are how many images are worked on at a time when the task does
	// not say it: matching is bounded by the processors anyway, and queued analyses by the
	// workers.
	matchers, analyses = 16, 16
)

// walk is a task that this process runs. One goroutine uses it, but for renew.
type walk struct {
	r       *Runner
	holder  string
	settles bool // there is nothing to do but to stop

	t     task // as it is here; saved is what of it is in the store
	now   time.Time
	dirty bool

	chooser gate.ScanChooser
	set     string                          // of analysers
	pages   map[string][]gate.ScanCandidate // of each lane, what is listed and not begun yet
}

// renew extends the lease. It touches nothing that work uses.
func (w *walk) renew(ctx context.Context) error {
	return w.r.tasks.update(ctx, func(k *kept, now time.Time) error {
		t := k.find(w.t.ID)
		if t == nil || t.Holder != w.holder {
			return gate.ErrFenced
		}
		t.Until = now.Add(lease)
		return nil
	})
}

// work continues until the task has ended, a person or its window stops it, or ctx ends.
func (w *walk) work(ctx context.Context) error {
	if w.settles {
		return w.settle(ctx)
	}
	window, err := w.t.DayWindow()
	if err != nil {
		return w.end(ctx, gate.ScanFailed, err.Error())
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	for {
		if err := w.sync(ctx, true); err != nil {
			return err
		}
		if open, _ := window.Open(w.now); !open && w.t.State == gate.ScanRunning {
			w.t.State = gate.ScanWaiting
		}
		if w.t.State != gate.ScanRunning {
			return w.settle(ctx)
		}
		wait, err := w.step(ctx)
		if err != nil {
			return err
		}
		if len(w.t.Flight) == 0 && !slices.ContainsFunc(w.t.Lanes, func(l lane) bool { return !l.Ended }) {
			return w.end(ctx, gate.ScanDone, "")
		}
		if wait > 0 {
			if err := sleep(ctx, min(wait, pace)); err != nil {
				return err
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("scanning images: %w", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// step does what can be done at once; wait is how long there is nothing more to do.
func (w *walk) step(ctx context.Context) (wait time.Duration, err error) {
	if w.pulls() {
		return w.stepContent(ctx)
	}
	n, wait := w.allowed(batch)
	if n == 0 {
		return wait, nil
	}
	l := &w.t.Lanes[0]
	list, err := w.listed(ctx, l, n)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	digests := make([]gate.Digest, len(list))
	for i, c := range list {
		digests[i] = c.Digest
	}
	if err := w.match(ctx, digests); err != nil {
		return 0, err
	}
	w.passed(l, len(list))
	return 0, nil
}

func (w *walk) match(ctx context.Context, digests []gate.Digest) error {
	done, failed, skipped, err := w.r.o.Matcher.Again(ctx, digests, w.concurrency(matchers))
	if err != nil {
		return err
	}
	w.count3(done, failed, skipped)
	return nil
}

func (w *walk) concurrency(usual int) int {
	if w.t.Concurrency > 0 {
		return w.t.Concurrency
	}
	return usual
}

// count3 adds to what has become of images.
func (w *walk) count3(done, failed, skipped int) {
	w.t.Done, w.t.Failed, w.t.Skipped, w.dirty = w.t.Done+done, w.t.Failed+failed, w.t.Skipped+skipped, true
	w.t.Tries, w.t.Error = 0, ""
	w.r.o.Metrics.images(w.t.Kind, done, failed, skipped)
}
