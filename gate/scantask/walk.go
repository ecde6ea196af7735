package scantask

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// pageSize is how many candidates are listed at a time.
	pageSize = 500
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

// prepare finds out what the scope chooses now, and how much it is.
func (w *walk) prepare(ctx context.Context) error {
	o := w.r.o
	if err := o.Lists.CatchUp(ctx); err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	table := o.Registries.All()
	w.chooser = gate.ScanChooser{Scope: w.t.Scope, Now: w.t.CreatedAt, Running: map[gate.Digest]bool{}}
	w.chooser.Registries, w.chooser.All = w.t.Scope.Within(table)
	if w.t.Scope.Running || w.t.Scope.Recommended {
		asked, err := o.Asked(ctx)
		if err != nil {
			return fmt.Errorf("reading what runs: %w", err)
		}
		for _, d := range asked {
			w.chooser.Running[d] = true
		}
	}
	if w.pulls() {
		var err error
		if w.set, err = o.Set(ctx); err != nil && !w.t.Force {
			return fmt.Errorf("reading the set of analysers: %w", err)
		}
	}
	w.pages = map[string][]gate.ScanCandidate{}
	if w.t.Kind == gate.ScanMatch || !w.t.Force {
		o.Refresh(ctx)
	}
	if w.t.Counted {
		return nil
	}
	w.t.Lanes = []lane{{}}
	if w.pulls() {
		w.t.Lanes = nil
		for _, r := range table {
			if w.chooser.Registries[r.Name] {
				w.t.Lanes = append(w.t.Lanes, lane{Registry: r.Name})
			}
		}
	}
	return w.count(ctx)
}

// pulls reports whether images may be read from their registries.
func (w *walk) pulls() bool { return w.t.Kind == gate.ScanContent }

// count counts the images of the task.
func (w *walk) count(ctx context.Context) error {
	var after gate.Digest
	total := 0
	for {
		page, err := w.r.o.Lists.Candidates(ctx, w.ask(""), after, pageSize)
		if err != nil {
			return err
		}
		for _, c := range page {
			if w.takes(c, "") {
				total++
			}
		}
		if len(page) < pageSize {
			w.t.Total, w.t.Counted, w.dirty = total, true, true
			return nil
		}
		after = page[len(page)-1].Digest
	}
}

func (w *walk) ask(registry string) gate.ScanAsk {
	return gate.ScanAsk{Registry: registry, Places: w.pulls() || w.chooser.NeedsPlaces() || w.chooser.NeedsParents(), Parents: w.chooser.NeedsParents()}
}

// takes reports whether an image is one of the lane of a registry, "" for any.
func (w *walk) takes(c gate.ScanCandidate, registry string) bool {
	if !w.chooser.Takes(c) {
		return false
	}
	if !w.pulls() {
		return true
	}
	p, ok := w.place(c)
	return ok && (registry == "" || p.Registry == registry)
}

// place is where an image is pulled from: the first place that the scope takes, of a
// registry that is configured.
func (w *walk) place(c gate.ScanCandidate) (gate.Place, bool) {
	i := slices.IndexFunc(c.Places, func(p gate.Place) bool {
		_, configured := w.r.o.Registries.ByName(p.Registry)
		return configured && w.chooser.TakesPlace(p)
	})
	if i < 0 {
		return gate.Place{}, false
	}
	return c.Places[i], true
}

// listed are the next images of a lane, at most most; none at its end. What is listed
// stays so until passed says that it was dealt with.
func (w *walk) listed(ctx context.Context, l *lane, most int) ([]gate.ScanCandidate, error) {
	for len(w.pages[l.Registry]) == 0 && !l.Ended {
		page, err := w.r.o.Lists.Candidates(ctx, w.ask(l.Registry), l.After, pageSize)
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			if w.takes(c, l.Registry) {
				w.pages[l.Registry] = append(w.pages[l.Registry], c)
			}
		}
		if len(w.pages[l.Registry]) > 0 {
			break
		}
		w.dirty = true
		if len(page) < pageSize {
			l.Ended = true
		} else {
			l.After = page[len(page)-1].Digest
		}
	}
	list := w.pages[l.Registry]
	return list[:min(len(list), most)], nil
}

// passed notes that the first n of what is listed of a lane were dealt with.
func (w *walk) passed(l *lane, n int) {
	if n == 0 {
		return
	}
	list := w.pages[l.Registry]
	l.After, w.pages[l.Registry], w.dirty = list[n-1].Digest, list[n:], true
	w.begin(n)
}

// allowed is how many images may begin now by the rate, at most most; otherwise wait is
// when to ask again.
func (w *walk) allowed(most int) (n int, wait time.Duration) {
	if w.t.Rate == 0 {
		return most, 0
	}
	if wait := w.t.NextAt.Sub(w.now); wait > 0 {
		return 0, wait
	}
	return min(most, max(1, int(time.Duration(w.t.Rate)*pace/time.Hour))), 0
}

// begin notes that images have begun.
func (w *walk) begin(n int) {
	if w.t.Rate == 0 {
		return
	}
	if w.t.NextAt.Before(w.now) {
		w.t.NextAt = w.now
	}
	w.t.NextAt = w.t.NextAt.Add(time.Duration(n) * time.Hour / time.Duration(w.t.Rate))
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
