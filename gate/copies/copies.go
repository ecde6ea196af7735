// Package copies keeps copies of the small records and of the tags that reviews read,
// bounded by the memory that they take. A store that is its own only writer drops what it
// changes before the writer is answered, so that its copies answer without a read; a
// shared store proves before each use that it still holds what was copied; and while a
// store does not answer, its last copies serve for a while (see lookup.RecordCopy).
//
// It holds what a review reads and nothing else: a copy has no standing verdicts, and a
// job only where the state of the image depends on it. Everything in it is shared and must
// not be modified. A [Copies] is safe for concurrent use.
package copies

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
)

// How much one replica keeps, in bytes. A record takes about 2.4 kB and a tag 0.5 kB, so
// there is room for 40,000 of each, more images than one cluster runs. With long names,
// many places or many platforms there is room for fewer.
const (
	recordBytes = 96 << 20
	tagBytes    = 32 << 20
)

// Proof is what shows that a shared store still holds what was copied. A store whose
// copies are dropped when they change leaves it empty.
type Proof struct {
	Seal string // what the store is asked for
	Keys int64  // which keys were in force when the seal was checked
	// Order grows with each write of the value: of two copies the later one stays.
	Order int64
}

// Entry is the copy of a record.
type Entry struct {
	gate.Entry
	Proof
}

// Tag is the copy of what a tag names.
type Tag struct {
	gate.TagMapping
	Proof
}

// Proved are copies of which the store has said that they are what it holds, in the order
// in which they were asked about; nil for what it holds otherwise. They are not modified.
type Proved struct {
	Entries []*Entry
	Tags    []*Tag
	Now     time.Time // the store's clock, where there are tags
}

// Copies are the copies of one store.
type Copies struct {
	clock   func() time.Time
	entries *otter.Cache[gate.Digest, *Entry]
	tags    *otter.Cache[gate.TagKey, *Tag]
	closed  atomic.Bool

	seed  maphash.Seed
	lines [lines]line
}

// lines is how many groups of names have a number of their own. More of them make it
// rarer that a copy is not kept because another of its group was changed meanwhile.
const lines = 1024

// line counts what was dropped of the names in it.
type line struct {
	mu      sync.Mutex
	dropped uint64
}

// Turn is what had been dropped when a read began.
type Turn struct {
	line    *line
	dropped uint64
}

// New makes copies of a store whose clock is given.
func New(clock func() time.Time) *Copies {
	return &Copies{
		clock: clock, seed: maphash.MakeSeed(),
		entries: Weighed(recordBytes, func(d gate.Digest, e *Entry) int64 {
			return BytesOf(d) + SizeOf[Entry]() + weighEntry(e.Entry) + BytesOf(e.Seal)
		}),
		tags: Weighed(tagBytes, func(k gate.TagKey, t *Tag) int64 {
			return SizeOf[Tag]() + WeighTag(t.TagMapping) + BytesOf(t.Seal) // the key is in it
		}),
	}
}

// Now is the store's clock.
func (c *Copies) Now() time.Time { return c.clock() }

// Entry is the copy of a digest, nil when there is none.
func (c *Copies) Entry(d gate.Digest) *Entry {
	e, _ := c.entries.GetIfPresent(d)
	if c.closed.Load() {
		return nil
	}
	return e
}

// Tag is the copy of a tag, nil when there is none.
func (c *Copies) Tag(k gate.TagKey) *Tag {
	t, _ := c.tags.GetIfPresent(k)
	if c.closed.Load() {
		return nil
	}
	return t
}

// EntryTurn is taken before a digest is read; see [Copies.KeepEntry].
func (c *Copies) EntryTurn(d gate.Digest) Turn {
	return c.lineOf(maphash.String(c.seed, string(d))).turn()
}

// TagTurn is taken before a tag is read; see [Copies.KeepTag].
func (c *Copies) TagTurn(k gate.TagKey) Turn { return c.lineOf(maphash.Comparable(c.seed, k)).turn() }

func (c *Copies) lineOf(hash uint64) *line { return &c.lines[hash%lines] }

func (l *line) turn() Turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Turn{l, l.dropped}
}

// keep runs set unless something was dropped since the turn was taken: what was read
// before that must not be stored after it.
func (t Turn) keep(set func()) {
	t.line.mu.Lock()
	defer t.line.mu.Unlock()
	if t.line.dropped == t.dropped {
		set()
	}
}

// drop runs remove, after which nothing is kept that was read before.
func (l *line) drop(remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped++
	remove()
}

// KeepEntry keeps what a read that began at the turn has found of a digest, unless the
// copy was dropped since, or is of a later write. Of an unknown digest there is no copy.
func (c *Copies) KeepEntry(d gate.Digest, e Entry, t Turn) {
	t.keep(func() {
		if !e.Record.Known() {
			c.entries.Invalidate(d)
			return
		}
		if old, ok := c.entries.GetIfPresent(d); ok && old.Order > e.Order {
			return // a read that began earlier and ended later
		}
		kept := e
		kept.Record = Shown(e.Record)
		share(&kept.Record)
		if kept.Record.Settled() {
			kept.Job = nil
		}
		c.entries.Set(d, &kept)
	})
}

// Shown is a record as reviews see it: its standing verdicts are for others.
func Shown(r gate.Record) gate.Record {
	places := r.Locations
	r.Locations = nil
	if len(places) > 0 {
		r.Locations = make([]gate.LocationState, len(places))
	}
	for i, l := range places {
		l.Verdict = gate.Decision{}
		r.Locations[i] = l
	}
	return r
}

// KeepTag keeps what a read that began at the turn has found of a tag, nil for nothing,
// unless the copy was dropped since, or is of a later write.
func (c *Copies) KeepTag(k gate.TagKey, tag *Tag, t Turn) {
	t.keep(func() {
		if tag == nil {
			c.tags.Invalidate(k)
			return
		}
		if old, ok := c.tags.GetIfPresent(k); ok && old.Order > tag.Order {
			return
		}
		kept := *tag
		kept.TagKey = Owned(k)
		c.tags.Set(kept.TagKey, &kept)
	})
}

// Owned is a name with texts of its own: those of a reference are cut out of a request,
// which a copy would keep in memory.
func Owned(k gate.TagKey) gate.TagKey {
	k.Registry, k.Repository, k.Tag = strings.Clone(k.Registry), strings.Clone(k.Repository), strings.Clone(k.Tag)
	return k
}

// DropEntry drops the copy of a digest: it is read from the store from then on.
func (c *Copies) DropEntry(d gate.Digest) {
	c.lineOf(maphash.String(c.seed, string(d))).drop(func() { c.entries.Invalidate(d) })
}

// DropTag drops the copy of a tag.
func (c *Copies) DropTag(k gate.TagKey) {
	c.lineOf(maphash.Comparable(c.seed, k)).drop(func() { c.tags.Invalidate(k) })
}

// DropAll drops all copies.
func (c *Copies) DropAll() {
	for i := range c.lines {
		c.lines[i].drop(func() {})
	}
	c.entries.InvalidateAll()
	c.tags.InvalidateAll()
}

// Close ends the use of the copies: from then on there are none.
func (c *Copies) Close() {
	c.closed.Store(true)
	c.DropAll()
}
