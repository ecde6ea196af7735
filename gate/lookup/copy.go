package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/copies"
)

const (
	// readTimeout bounds the one read that every admission makes (DESIGN.md §7).
	readTimeout = 500 * time.Millisecond
	// awayFor is how long a store that did not answer is not waited for by
	// reviews that can be answered from copies: a review reads several times,
	// and each waiting read holds a connection.
	awayFor = time.Second
)

// keeper is a Reader that has copies of what it has read; those of gate's stores are.
type keeper interface {
	gate.Reader
	// Copies are the copies. current says that they are never older than what is stored,
	// so that they answer without a read.
	Copies() (c *copies.Copies, current bool)
}

// currentOf are the copies of a reader that need no read, nil when it has none.
func currentOf(r gate.Reader) *copies.Copies {
	if k, ok := r.(keeper); ok {
		if c, current := k.Copies(); current {
			return c
		}
	}
	return nil
}

// RecordCopy is a Reader whose answers are those of the store; only when it does not
// answer, copies of small records and tags serve, for grace after the last contact. Within
// a second of such a failure no review waits for the store again whose answer is in the
// copies; Follow asks it meanwhile, and everything reads from it again as soon as it
// answers. (The large values need no copy: the evaluator keeps what it made of them under
// the ids that the record names.) Copies are of facts, never of decisions: policies run
// again on them. Follow keeps them as they were at the last contact, however long ago an
// admission read them. The copies are those of the store, where it has some, so that
// nothing is kept twice. Safe for concurrent use.
type RecordCopy struct {
	reader  gate.Reader
	grace   time.Duration
	now     func() time.Time
	metrics *Metrics
	log     *slog.Logger
	copies  *copies.Copies
	own     bool // the copies are made here, of what was read
	exact   bool // the copies are never outdated

	mu      sync.Mutex
	contact time.Time     // when the copies were last known to be current, by our clock
	skew    time.Duration // store's clock minus ours, then
	away    time.Time     // the store failed; until then nobody need wait. Zero: it answers
}

// NewRecordCopy decorates r.
func NewRecordCopy(r gate.Reader, grace time.Duration, now func() time.Time, m *Metrics, log *slog.Logger) *RecordCopy {
	c := &RecordCopy{reader: r, grace: grace, now: now, metrics: m, log: log}
	if k, ok := r.(keeper); ok {
		c.copies, c.exact = k.Copies()
	} else {
		c.copies, c.own = copies.New(now), true
	}
	return c
}

// Copies are the copies that serve while the store does not answer.
func (c *RecordCopy) Copies() (list *copies.Copies, current bool) { return c.copies, c.exact }

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

// proving is a Reader of a shared store, which can be asked whether copies are what it
// holds; store/redis has one.
type proving interface {
	// Prove asks for what is requested in one call. ok is false where it did not ask, or
	// was not told. Errors: those of Read.
	Prove(ctx context.Context, req gate.ReadRequest) (p copies.Proved, ok bool, err error)
}

// Prove asks the store whether copies are what it holds, in bounded time, and notes whether
// it answered. While it is known to be away it is not asked.
func (c *RecordCopy) Prove(ctx context.Context, req gate.ReadRequest, until time.Time) (p copies.Proved, ok bool) {
	asks, can := c.reader.(proving)
	if !can || c.isAway() {
		return p, false
	}
	soon := time.Now().Add(readTimeout)
	whole := soon.Before(until) // it gets the time that a read gets
	if whole {
		until = soon
	}
	bounded, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	p, ok, err := asks.Prove(bounded, req)
	switch {
	case err == nil && ok:
		c.confirmed()
	case errors.Is(err, gate.ErrStoreUnavailable), whole && err != nil && ctx.Err() == nil && bounded.Err() != nil:
		c.failed(err)
	}
	return p, ok && err == nil
}

// confirmed notes that the store has answered about copies.
func (c *RecordCopy) confirmed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away.IsZero() {
		c.log.Info("the store answers again")
	}
	if c.away = (time.Time{}); !c.contact.IsZero() { // by how much the clocks differ, a read has said
		c.contact = c.now()
	}
}

// ask reads from the store in bounded time and notes whether it answered.
func (c *RecordCopy) ask(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	turns := c.turns(req)
	res, err := c.reader.Read(bounded, req)
	if err == nil {
		c.answered(res)
		c.keep(req, res, turns)
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

// answered notes an answer of the store.
func (c *RecordCopy) answered(res gate.ReadResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away.IsZero() {
		c.log.Info("the store answers again")
	}
	c.contact, c.skew, c.away = c.now(), res.Now.Sub(c.now()), time.Time{}
}

// turns are taken before a read whose answer is kept here, first of its digests.
func (c *RecordCopy) turns(req gate.ReadRequest) (turns []copies.Turn) {
	if !c.own {
		return nil
	}
	for _, d := range req.Digests {
		turns = append(turns, c.copies.EntryTurn(d))
	}
	for _, k := range req.Tags {
		turns = append(turns, c.copies.TagTurn(k))
	}
	return turns
}

// keep keeps what was read, unless the reader does.
func (c *RecordCopy) keep(req gate.ReadRequest, res gate.ReadResult, turns []copies.Turn) {
	if !c.own {
		return
	}
	for i, d := range req.Digests {
		e := res.Digests[d]
		c.copies.KeepEntry(d, copies.Entry{Entry: e, Proof: copies.Proof{Order: e.Record.Version}}, turns[i])
	}
	for i, k := range req.Tags {
		var tag *copies.Tag
		if m, ok := res.Tags[k]; ok {
			tag = &copies.Tag{TagMapping: m}
		}
		c.copies.KeepTag(k, tag, turns[len(req.Digests)+i])
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
		known := c.copies.Entry(d)
		if known == nil {
			return gate.ReadResult{}, false
		}
		e := known.Entry
		e.Copied = true
		res.Digests[d] = e
	}
	for _, k := range req.Tags {
		if t := c.copies.Tag(k); t != nil {
			res.Tags[k] = t.TagMapping
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
