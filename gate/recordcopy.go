package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// readTimeout bounds the one read that every admission makes (DESIGN.md §7).
const readTimeout = 500 * time.Millisecond

// RecordCopy is a Reader that keeps local copies of small records and tags.
// They are always read from the store; only when it does not answer the copies
// serve, for grace after the last answer. (The large values need no copy: the
// evaluator keeps what it made of them under the ids that the record names.)
// Copies are of facts, never of decisions: policies run again on them. Follow
// keeps them as they were at the last contact, however long ago an admission
// read them. Safe for concurrent use.
type RecordCopy struct {
	reader  Reader
	grace   time.Duration
	now     func() time.Time
	metrics *Metrics
	entries *otter.Cache[Digest, Entry]
	tags    *otter.Cache[string, TagMapping] // by TagKey.String, as the feed names them

	mu      sync.Mutex
	contact time.Time     // of the last answer, by our clock
	skew    time.Duration // store's clock minus ours, then
}

// recordCopies is how many records one replica keeps: at roughly 2 kB each this
// is 100 MB at most, and more images than one cluster runs.
const recordCopies = 50_000

// NewRecordCopy decorates r.
func NewRecordCopy(r Reader, grace time.Duration, now func() time.Time, m *Metrics) *RecordCopy {
	return &RecordCopy{
		reader: r, grace: grace, now: now, metrics: m,
		entries: otter.Must(&otter.Options[Digest, Entry]{MaximumSize: recordCopies}),
		tags:    otter.Must(&otter.Options[string, TagMapping]{MaximumSize: recordCopies}),
	}
}

// Read reads from the store, or from the copies when it does not answer.
func (c *RecordCopy) Read(ctx context.Context, req ReadRequest) (ReadResult, error) {
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	res, err := c.reader.Read(bounded, req)
	if err == nil {
		c.keep(req, res)
		return res, nil
	}
	if ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("reading records: no answer within %s: %w", readTimeout, errors.Join(ErrStoreUnavailable, err))
	}
	if !errors.Is(err, ErrStoreUnavailable) {
		return ReadResult{}, err
	}
	if copied, ok := c.copied(req); ok {
		c.metrics.fellBack("store")
		return copied, nil
	}
	return ReadResult{}, err
}

func (c *RecordCopy) keep(req ReadRequest, res ReadResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.contact, c.skew = c.now(), res.Now.Sub(c.now())
	for _, d := range req.Digests {
		e := res.Digests[d]
		if old, ok := c.entries.GetIfPresent(d); ok && old.Record.Version > e.Record.Version && e.Record.Known() {
			continue // a read that began earlier and ended later
		}
		if e.Record.Known() {
			c.entries.Set(d, e)
		} else {
			c.entries.Invalidate(d)
		}
	}
	for _, k := range req.Tags {
		if m, ok := res.Tags[k]; ok {
			c.tags.Set(k.String(), m)
		} else {
			c.tags.Invalidate(k.String())
		}
	}
}

// Changes is the part of the store's feed that copies follow; see store.Feed.
type Changes interface {
	Changes(ctx context.Context, after int64, limit int) (changes []Change, next int64, err error)
	Changed() <-chan struct{}
	Scan(ctx context.Context, fn ScanFunc) (seq int64, err error)
}

const (
	followPage = 500         // changes at a time
	followPoll = time.Second // finds what other processes changed
)

// Follow keeps the copies as new as the store until ctx ends. Without it a copy
// would be as old as the last admission of its image, and an outage would bring
// back what was known then.
func (c *RecordCopy) Follow(ctx context.Context, feed Changes) {
	after := int64(0) // there is no copy yet: old changes cost nothing
	for ctx.Err() == nil {
		changed := feed.Changed()
		next, err := c.follow(ctx, feed, after)
		if err == nil && next != after {
			after = next
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(followPoll):
		}
	}
}

// follow takes in one page of changes and returns where the next one begins.
func (c *RecordCopy) follow(ctx context.Context, feed Changes, after int64) (int64, error) {
	changes, next, err := feed.Changes(ctx, after, followPage)
	if errors.Is(err, ErrConflict) { // the feed does not reach back that far
		if next, err = feed.Scan(ctx, func(Item) error { return nil }); err == nil {
			c.entries.InvalidateAll()
			c.tags.InvalidateAll()
		}
		return next, err
	}
	if err != nil {
		return after, err
	}
	var req ReadRequest
	for _, ch := range changes {
		switch d := Digest(ch.Key); ch.Kind {
		case ChangeRecord:
			if _, ok := c.entries.GetIfPresent(d); ok {
				req.Digests = append(req.Digests, d)
			}
		case ChangeTag:
			c.tags.Invalidate(ch.Key)
		}
	}
	if len(req.Digests) == 0 {
		return next, nil
	}
	res, err := c.reader.Read(ctx, req)
	if err != nil {
		return after, err
	}
	c.keep(req, res)
	return next, nil
}

// copied answers from the copies; ok is false when the grace is over or a
// digest is not among them (for which no answer may be made up).
func (c *RecordCopy) copied(req ReadRequest) (ReadResult, bool) {
	c.mu.Lock()
	contact, skew := c.contact, c.skew
	c.mu.Unlock()
	if contact.IsZero() || c.now().Sub(contact) > c.grace {
		return ReadResult{}, false
	}
	res := ReadResult{Digests: map[Digest]Entry{}, Tags: map[TagKey]TagMapping{}, Now: c.now().Add(skew)}
	for _, d := range req.Digests {
		e, ok := c.entries.GetIfPresent(d)
		if !ok {
			return ReadResult{}, false
		}
		res.Digests[d] = e
	}
	for _, k := range req.Tags {
		if m, ok := c.tags.GetIfPresent(k.String()); ok {
			res.Tags[k] = m
		}
	}
	return res, true
}

// Inventory reads from the store; the evaluator keeps what it made of it.
func (c *RecordCopy) Inventory(ctx context.Context, d Digest) (*Inventory, error) {
	return c.reader.Inventory(ctx, d)
}

// Findings reads from the store; the evaluator keeps what it made of them.
func (c *RecordCopy) Findings(ctx context.Context, d Digest) (*Findings, error) {
	return c.reader.Findings(ctx, d)
}
