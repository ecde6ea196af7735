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
// evaluator keeps what it made of them under the ids that the record names.) Copies are of facts, never of
// decisions: policies run again on them. Safe for concurrent use.
type RecordCopy struct {
	reader  Reader
	grace   time.Duration
	now     func() time.Time
	metrics *Metrics
	entries *otter.Cache[Digest, Entry]
	tags    *otter.Cache[TagKey, TagMapping]

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
		tags:    otter.Must(&otter.Options[TagKey, TagMapping]{MaximumSize: recordCopies}),
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
	c.contact, c.skew = c.now(), res.Now.Sub(c.now())
	c.mu.Unlock()
	for _, d := range req.Digests {
		if e := res.Digests[d]; e.Record.Known() {
			c.entries.Set(d, e)
		} else {
			c.entries.Invalidate(d)
		}
	}
	for _, k := range req.Tags {
		if m, ok := res.Tags[k]; ok {
			c.tags.Set(k, m)
		} else {
			c.tags.Invalidate(k)
		}
	}
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
		if m, ok := c.tags.GetIfPresent(k); ok {
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
