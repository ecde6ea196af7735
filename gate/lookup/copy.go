package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/digestgate/digestgate/gate"
)

const (
	// readTimeout bounds the one read that every admission makes (DESIGN.md §7).
	readTimeout = 500 * time.Millisecond
	// awayFor is how long a store that did not answer is not waited for by
	// reviews that can be answered from copies: a review reads several times,
	// and each waiting read holds a connection.
	awayFor = time.Second
)

// RecordCopy is a Reader that keeps local copies of small records and tags. They are
// always read from the store; only when it does not answer the copies serve, for grace
// after the last contact. Within a second of such a failure no review waits for the
// store again whose answer is in the copies; Follow asks it meanwhile, and everything
// reads from it again as soon as it answers. (The large values need no copy: the
// evaluator keeps what it made of them under the ids that the record names.) Copies are
// of facts, never of decisions: policies run again on them. Follow keeps them as they
// were at the last contact, however long ago an admission read them. Safe for
// concurrent use.
type RecordCopy struct {
	reader  gate.Reader
	grace   time.Duration
	now     func() time.Time
	metrics *Metrics
	log     *slog.Logger
	entries *otter.Cache[gate.Digest, gate.Entry]
	tags    *otter.Cache[string, gate.TagMapping] // by TagKey.String, as the feed names them

	mu      sync.Mutex
	contact time.Time     // when the copies were last known to be current, by our clock
	skew    time.Duration // store's clock minus ours, then
	away    time.Time     // the store failed; until then nobody need wait. Zero: it answers
}

// How much one replica keeps, in bytes. A record with a job takes about 2.5 kB and a
// tag 0.5 kB, so there is room for 50,000 of each, more images than one cluster runs.
// With long names, many places or many platforms there is room for fewer.
const (
	recordCopyBytes = 128 << 20
	tagCopyBytes    = 32 << 20
)

// NewRecordCopy decorates r.
func NewRecordCopy(r gate.Reader, grace time.Duration, now func() time.Time, m *Metrics, log *slog.Logger) *RecordCopy {
	return &RecordCopy{
		reader: r, grace: grace, now: now, metrics: m, log: log,
		entries: newWeighed(recordCopyBytes, func(d gate.Digest, e gate.Entry) int64 { return bytesOf(d) + weighEntry(e) }),
		tags:    newWeighed(tagCopyBytes, func(k string, m gate.TagMapping) int64 { return bytesOf(k) + weighTagMapping(m) }),
	}
}

// Read reads from the store, or from the copies when it does not answer.
func (c *RecordCopy) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	if c.isAway() {
		if copied, ok := c.copied(req); ok {
			c.metrics.fellBack("store")
			return copied, nil
		}
	}
	res, err := c.ask(ctx, req)
	if !errors.Is(err, gate.ErrStoreUnavailable) {
		return res, err
	}
	if copied, ok := c.copied(req); ok {
		c.metrics.fellBack("store")
		return copied, nil
	}
	return gate.ReadResult{}, err
}

// ask reads from the store in bounded time and notes whether it answered.
func (c *RecordCopy) ask(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	res, err := c.reader.Read(bounded, req)
	if err == nil {
		c.keep(req, res)
		return res, nil
	}
	if ctx.Err() == nil && bounded.Err() != nil {
		err = fmt.Errorf("reading records: no answer within %s: %w", readTimeout, errors.Join(gate.ErrStoreUnavailable, err))
	}
	if errors.Is(err, gate.ErrStoreUnavailable) {
		c.failed(err)
	}
	return gate.ReadResult{}, err
}

func (c *RecordCopy) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away.IsZero() {
		c.log.Error("the store does not answer, decisions come from local copies", "until", c.contact.Add(c.grace), "error", err)
	}
	c.away = c.now().Add(awayFor)
}

func (c *RecordCopy) isAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Before(c.away)
}

// Serves reports whether the copies may answer now, and until when if the store
// stays away.
func (c *RecordCopy) Serves() (until time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	until = c.contact.Add(c.grace)
	return until, !c.contact.IsZero() && !c.now().After(until)
}

func (c *RecordCopy) keep(req gate.ReadRequest, res gate.ReadResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away.IsZero() {
		c.log.Info("the store answers again")
	}
	c.contact, c.skew, c.away = c.now(), res.Now.Sub(c.now()), time.Time{}
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

// copied answers from the copies; ok is false when the grace is over or a
// digest is not among them (for which no answer may be made up).
func (c *RecordCopy) copied(req gate.ReadRequest) (gate.ReadResult, bool) {
	if _, ok := c.Serves(); !ok {
		return gate.ReadResult{}, false
	}
	c.mu.Lock()
	skew := c.skew
	c.mu.Unlock()
	res := gate.ReadResult{Digests: map[gate.Digest]gate.Entry{}, Tags: map[gate.TagKey]gate.TagMapping{}, Now: c.now().Add(skew), Copied: true}
	for _, d := range req.Digests {
		e, ok := c.entries.GetIfPresent(d)
		if !ok {
			return gate.ReadResult{}, false
		}
		e.Copied = true
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
func (c *RecordCopy) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	return c.reader.Inventory(ctx, d)
}

// Findings reads from the store; the evaluator keeps what it made of them.
func (c *RecordCopy) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	return c.reader.Findings(ctx, d)
}
