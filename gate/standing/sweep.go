package standing

import (
	"context"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Digests lists the digests that have an inventory, in order, page by page:
// those after the given one, at most limit. gate/catalog implements it.
type Digests interface {
	// Scanned is one page. An error ends the sweep; the next one begins again.
	Scanned(ctx context.Context, after gate.Digest, limit int) ([]gate.Digest, error)
}

// Swept is what a sweep did.
type Swept struct {
	Seen      int // digests with an inventory
	Matched   int // of them matched again
	Evaluated int // of them only evaluated again
	Charged   int // of them charged, because the store had lost their charge
	Skipped   int // of them not evaluated, because nothing can have changed
	Missed    int // of them found different by a full sweep: see [Sweeper.Verify]
	Failed    int // left for the next sweep
}

func (s *Swept) add(o Swept) {
	s.Seen, s.Matched, s.Evaluated = s.Seen+o.Seen, s.Matched+o.Matched, s.Evaluated+o.Evaluated
	s.Charged, s.Skipped, s.Missed, s.Failed = s.Charged+o.Charged, s.Skipped+o.Skipped, s.Missed+o.Missed, s.Failed+o.Failed
}

// Sweeper keeps stored answers current: it goes over every digest with an
// inventory. Sweeps do not overlap; one that is asked for while another runs
// waits for it. The last verdicts stay in force meanwhile.
type Sweeper struct {
	standing *Standing
	o        SweepOptions
	mu       sync.Mutex
	audited  time.Time // when the last sweep that looked at every charge began
	kept     kept
	busy     busy
}

// busy tells who wants to know while a sweep matches. The zero value tells nobody.
type busy struct {
	mu   sync.Mutex
	tell func() (over func())
	over func()
}

func (b *busy) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tell != nil && b.over == nil {
		b.over = b.tell()
	}
}

func (b *busy) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over != nil {
		b.over()
		b.over = nil
	}
}

// Scheduler is the part of the store that a sweep accounts with; see store.Scheduler.
type Scheduler interface {
	// ChargesOf are the charges of many digests; those without one are missing. After an
	// error the next sweep looks again.
	ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error)
	// Restore gives a digest a charge that the store has lost and reports whether it
	// did; a charge that is there stays. Repeating it is harmless.
	Restore(ctx context.Context, d gate.Digest, period string, at time.Time) (added bool, err error)
}

// SweepOptions say what is swept; all but Asked, Tags, Marks and Metrics are needed.
type SweepOptions struct {
	Digests   Digests
	Scheduler Scheduler
	Quota     *gate.Quota
	Metrics   *Metrics // nil counts nothing
	// Busy, unless nil, is called before a sweep matches its first image, and what it
	// returns when the sweep is over.
	Busy func() (over func())
	// Asked lists the digests that admission was asked for lately, here or in another
	// process, the last one first: they are swept before the others. nil lists none.
	// Errors end the sweep; the next one begins again.
	Asked func(ctx context.Context) ([]gate.Digest, error)
	// Tags lists the tags that are known to name digests, in the order of their names:
	// what [Standing.Tags] lists of each location, of many digests at once. nil lists
	// none. Errors end the sweep.
	Tags func(ctx context.Context, digests []gate.Digest) (map[gate.Digest][]gate.TagKey, error)
	// Marks returns the marks of digests; see store.Store. nil has none, so that every
	// record is read. Errors end the sweep.
	Marks func(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error)
}

// NewSweeper makes a sweeper over what is listed.
func NewSweeper(s *Standing, o SweepOptions) *Sweeper {
	return &Sweeper{standing: s, o: o, busy: busy{tell: o.Busy}}
}

// Rematch matches every digest whose findings are not of the active generation
// and matcher, and evaluates the others again, but for those whose verdicts cannot have
// changed. It pulls nothing. It charges nothing either, but for charges that the store
// has lost: see audits.page.
func (s *Sweeper) Rematch(ctx context.Context) (Swept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joined(ctx)
	s.kept.begin()
	audits := s.audits()
	swept, err := s.sweep(ctx, task{
		skim: func(ctx context.Context, digests []gate.Digest, swept *Swept) ([]gate.Digest, map[gate.Digest]gate.Mark, error) {
			return s.unread(ctx, digests, audits, swept)
		},
		page: func(ctx context.Context, list []seen, swept *Swept) ([]seen, error) {
			audits.page(ctx, auditedOf(list), swept)
			return s.unsettled(ctx, list, swept)
		},
		visit: s.renew,
	})
	audits.end(err)
	return swept, err
}

// unsettled leaves out the digests whose verdicts cannot have changed: their findings
// are current, nothing is different of all that the verdicts follow from, and the time
// has not come at which it alone may change one.
func (s *Sweeper) unsettled(ctx context.Context, list []seen, swept *Swept) ([]seen, error) {
	p := s.standing
	now, world := p.Now(), p.world()
	digests := make([]gate.Digest, len(list))
	for i := range list {
		digests[i] = list[i].Record.Digest
	}
	held := s.kept.look(digests)
	for i := range list {
		rec := &list[i].Record
		if h := held[rec.Digest]; rec.InventoryID == "" || !h.holds(now) || p.outdated(*rec) {
			delete(held, rec.Digest)
		}
	}
	tags, err := s.tagsOf(ctx, held)
	if err != nil {
		return nil, err
	}
	here := p.surroundings(s.kept.seed, world, now)
	left := list[:0]
	for _, k := range list {
		d := k.Record.Digest
		h, may := held[d]
		if may && h.sum == p.sum(s.kept.seed, world, &k.Record, tags[d]) {
			s.kept.mark(d, h.sum, here.mark(&k.Record, k.mark, tags[d]))
			swept.Skipped++
			continue
		}
		left = append(left, k)
	}
	return left, nil
}

// renew matches one digest if its findings are outdated, and evaluates its verdicts.
func (s *Sweeper) renew(ctx context.Context, k seen, swept *Swept) error {
	p := s.standing
	o := gate.Occasion{Event: gate.EventRescan}
	before := p.world()
	var r renewal
	var err error
	if p.outdated(k.Record) {
		swept.Matched++
		s.busy.begin()
		r, err = p.matchAll(ctx, k.Known, o, nil)
	} else {
		swept.Evaluated++
		r, err = p.evaluateAll(ctx, k.Known, o)
	}
	if err != nil || r.record.InventoryID == "" || !r.by(before.revision) || p.world() != before {
		return err
	}
	if r.wrote || r.record.Version != k.Record.Version {
		k.mark = 0 // that of what was read
	}
	h := holding{sum: p.sum(s.kept.seed, before, &r.record, r.tags), at: r.at.UnixNano()}
	if h.marked = p.surroundings(s.kept.seed, before, r.at).mark(&r.record, k.mark, r.tags); !r.until.IsZero() {
		h.until = r.until.UnixNano()
	}
	s.kept.put(k.Record.Digest, h)
	return nil
}
