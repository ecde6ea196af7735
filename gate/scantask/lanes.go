package scantask

import (
	"context"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// pageSize is how many candidates are listed at a time.
const pageSize = 500

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
