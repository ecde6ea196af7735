package standing

import (
	"context"
	"errors"
	"fmt"
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
	Queued    int // of them queued for a new analysis
	Charged   int // of them charged, because the store had lost their charge
	Failed    int // left for the next sweep
}

// Sweeper keeps stored answers current: it goes over every digest with an
// inventory. Sweeps do not overlap; one that is asked for while another runs
// waits for it. The last verdicts stay in force meanwhile.
type Sweeper struct {
	standing *Standing
	o        SweepOptions
	mu       sync.Mutex
	audited  time.Time // when the last sweep that looked at every charge began
}

// Scheduler is the part of the store that a sweep queues in and accounts with;
// see store.Scheduler.
type Scheduler interface {
	// Enqueue queues an analysis, or joins the live job. After an error the next sweep
	// queues it.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	// Charged is the charge of a digest, the zero Charge when there is none.
	Charged(ctx context.Context, d gate.Digest) (gate.Charge, error)
	// Restore gives a digest a charge that the store has lost and reports whether it
	// did; a charge that is there stays. Repeating it is harmless.
	Restore(ctx context.Context, d gate.Digest, period string, at time.Time) (added bool, err error)
}

// SweepOptions say what is swept; all are needed.
type SweepOptions struct {
	Digests   Digests
	Scheduler Scheduler
	Quota     *gate.Quota
}

// NewSweeper makes a sweeper over what is listed.
func NewSweeper(s *Standing, o SweepOptions) *Sweeper {
	return &Sweeper{standing: s, o: o}
}

// Rematch matches every digest whose findings are not of the active generation
// and matcher, and evaluates the others again. It pulls nothing. It charges
// nothing either, but for charges that the store has lost: see [Sweeper.audit].
func (s *Sweeper) Rematch(ctx context.Context) (Swept, error) {
	p := s.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	began, audited := p.Now(), true
	all := began.Sub(s.audited).Abs() >= auditEvery
	swept, err := s.sweep(ctx, func(k gate.Known, swept *Swept) error {
		var auditing error
		rec := k.Record
		if rec.InventoryID != "" && (all || began.Sub(rec.AnalyzedAt).Abs() < auditFresh) {
			auditing = s.audit(ctx, rec, swept)
			audited = audited && auditing == nil
		}
		return errors.Join(auditing, s.rematch(ctx, k, swept))
	})
	if all && audited && err == nil {
		s.audited = began
	}
	return swept, err
}

func (s *Sweeper) rematch(ctx context.Context, k gate.Known, swept *Swept) error {
	p := s.standing
	o := gate.Occasion{Event: gate.EventRescan}
	// Without a generation known images are still decided.
	if _, loaded := p.Matcher.Generation(); !loaded || p.current(k.Record) || p.overtaken(k.Record) {
		swept.Evaluated++
		return p.RenewVerdicts(ctx, k, o)
	}
	swept.Matched++
	return p.Match(ctx, k, o)
}

// When the charges of analysed digests are looked at, which costs a round trip for
// each. What a shared store loses is its last second, or the lag of its replica, so
// that every sweep looks at the digests that were analysed within the hour. The first
// sweep of a process and one a day look at all, for what was lost while no process
// swept.
const (
	auditFresh = time.Hour
	auditEvery = 24 * time.Hour
)

// audit charges an analysed digest that has no charge: the scheduler's part of
// a shared store may have lost it while the record, which is located elsewhere,
// survived (DESIGN.md §5 rule 6). Without it a forced analysis would charge the
// digest a second time, in another period.
func (s *Sweeper) audit(ctx context.Context, rec gate.Record, swept *Swept) error {
	p := s.standing
	charge, err := s.o.Scheduler.Charged(ctx, rec.Digest)
	if err != nil || charge.Served {
		return err
	}
	at := rec.AnalyzedAt
	if at.IsZero() {
		at = p.Now()
	}
	added, err := s.o.Scheduler.Restore(ctx, rec.Digest, s.o.Quota.Period(at).Key, at)
	if added {
		swept.Charged++
	}
	return err
}

// Reanalyze queues the analysis of every digest whose inventory was made by another
// analyzer set than set, which is the present one. The digests were charged before, so
// that this is free.
func (s *Sweeper) Reanalyze(ctx context.Context, set string) (Swept, error) {
	p := s.standing
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep(ctx, func(k gate.Known, swept *Swept) error {
		rec := k.Record
		if rec.AnalyzerSet == set {
			return nil
		}
		for _, l := range rec.Locations {
			if _, ok := p.Registries.ByName(l.Registry); !ok || l.Gone {
				continue
			}
			swept.Queued++
			_, _, err := s.o.Scheduler.Enqueue(ctx, gate.JobRequest{
				Kind: gate.JobAnalyze, Location: l.Location, Digest: rec.Digest, Trigger: gate.TriggerRescan, Force: true,
			})
			return err
		}
		return nil // nowhere to pull it from any more: what is known stays
	})
}

// sweepPage is how many digests are read at a time. What is written of one that has
// changed since is refused, and read again.
const sweepPage = 200

// sweep visits every digest with an inventory; s.mu is held.
func (s *Sweeper) sweep(ctx context.Context, visit func(gate.Known, *Swept) error) (swept Swept, err error) {
	var after gate.Digest
	for {
		page, err := s.o.Digests.Scanned(ctx, after, sweepPage)
		if err != nil || len(page) == 0 {
			return swept, err
		}
		after = page[len(page)-1]
		res, err := s.standing.Records.Read(ctx, gate.ReadRequest{Digests: page})
		if err != nil {
			return swept, err
		}
		for _, d := range page {
			if ctx.Err() != nil {
				return swept, fmt.Errorf("sweeping: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
			}
			swept.Seen++
			err := visit(gate.Known{Entry: res.Digests[d]}, &swept)
			if errors.Is(err, gate.ErrAdvisoriesUnavailable) {
				return swept, err
			}
			if err != nil {
				swept.Failed++
				s.standing.Log.Warn("sweeping a digest", "digest", d, "error", err)
			}
		}
	}
}
