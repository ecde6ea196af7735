package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Source is the durable record of what became different: the history of the digests, in
// the order of the change feed.
type Source interface {
	// Newest is the position after everything that there is. gate.ErrStoreUnavailable: try
	// again.
	Newest(ctx context.Context) (int64, error)
	// After returns the changes of at most limit entries of the feed after a position, and
	// the position to continue from; the position itself when there is nothing new. Asking
	// again gives the same again. gate.ErrConflict: the record does not reach back to the
	// position; gate.ErrStoreUnavailable: try again.
	After(ctx context.Context, position int64, limit int) ([]gate.StandingChange, int64, error)
	// Surroundings says where digests are, and which of them run. gate.ErrStoreUnavailable:
	// try again.
	Surroundings(ctx context.Context, digests []gate.Digest) (Surroundings, error)
}

// Condition is something about the installation that is not well: a quota near its end,
// data that is out of date. While it stays the same it is notified once.
type Condition struct {
	Event   Event
	Subject string // what it is about
	Level   string // how bad; another level is notified again
	Text    string
}

const (
	// pageSize is how many entries of the feed are read at once.
	pageSize = 500
	// pagesKept is how many pages are kept for other targets, which read the same ones.
	pagesKept = 8
)

// page is what one read of the source gave.
type page struct {
	after, next int64
	changes     []gate.StandingChange
	around      Surroundings
	missed      bool // the source does not reach back to after
}

// pages reads for all targets of a process.
type pages struct {
	source Source
	mu     sync.Mutex
	kept   []page
}

// after is the page after a position. What was read once stays what it is, so that it is
// kept for the other targets; the end of the feed is always read again.
func (p *pages) after(ctx context.Context, position int64) (page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kept {
		if k.after == position {
			return k, nil
		}
	}
	got := page{after: position}
	var err error
	got.changes, got.next, err = p.source.After(ctx, position, pageSize)
	if errors.Is(err, gate.ErrConflict) {
		got.missed = true
		got.next, err = p.source.Newest(ctx)
	}
	if err != nil || got.next == position || got.missed {
		return got, err
	}
	var digests []gate.Digest
	known := map[gate.Digest]bool{}
	for _, c := range got.changes {
		if !known[c.Digest] {
			known[c.Digest] = true
			digests = append(digests, c.Digest)
		}
	}
	if len(digests) > 0 {
		if got.around, err = p.source.Surroundings(ctx, digests); err != nil {
			return got, err
		}
	}
	p.kept = append(p.kept, got)
	if len(p.kept) > pagesKept {
		p.kept = p.kept[1:]
	}
	return got, nil
}

// conditions reads them for all targets, at most every conditionsEvery.
type conditions struct {
	read func(ctx context.Context) ([]Condition, error)
	now  func() time.Time
	mu   sync.Mutex
	at   time.Time
	last []Condition
	ok   bool
}

// conditionsEvery: a quota is used up in hours, and data is stale after days.
const conditionsEvery = 15 * time.Second

// present are the conditions now; ok is false when they are not known.
func (c *conditions) present(ctx context.Context) (list []Condition, ok bool, err error) {
	if c.read == nil {
		return nil, false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.at.IsZero() || now.Sub(c.at).Abs() >= conditionsEvery {
		c.at = now
		c.last, err = c.read(ctx)
		c.ok = err == nil
	}
	return c.last, c.ok, err
}

// conditionParts are what is new of the conditions for a target, and writes down what it
// is then told of.
func (st *state) conditionParts(c Config, present []Condition, now time.Time) (parts []part) {
	add := func(what What, text string) {
		parts = append(parts, part{at: now, items: []Item{Item{What: what, Text: text}.cut()}, totals: Totals{Conditions: 1}})
	}
	stands := map[string]bool{}
	for _, p := range present {
		if !c.has(p.Event) {
			continue
		}
		stands[p.Subject] = true
		if was, ok := st.Told[p.Subject]; ok && was.Level == p.Level {
			continue
		}
		if st.Told == nil {
			st.Told = map[string]told{}
		}
		st.Told[p.Subject] = told{p.Level, gate.Printable(p.Text, 300)}
		what := Quota
		if p.Event == EventStale {
			what = Stale
		}
		add(what, p.Text)
	}
	for subject, was := range st.Told {
		if !stands[subject] {
			delete(st.Told, subject)
			add(Over, "over: "+was.Text)
		}
	}
	return parts
}

func (c Config) has(e Event) bool {
	for _, own := range c.Events {
		if own == e {
			return true
		}
	}
	return false
}
