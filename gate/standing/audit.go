package standing

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// When the charges of analysed digests are looked at, a page of them in a round trip.
// What a shared store loses is its last second, or the lag of its replica, so that
// every sweep looks at the digests that were analysed within the hour. The first sweep
// of a process and one a day look at all, for what was lost while no process swept.
const (
	auditFresh = time.Hour
	auditEvery = 24 * time.Hour
)

// audits are the looks at charges of one sweep.
type audits struct {
	*Sweeper
	began  time.Time
	all    bool
	failed bool
}

func (s *Sweeper) audits() *audits {
	began := s.standing.Now()
	return &audits{Sweeper: s, began: began, all: began.Sub(s.audited).Abs() >= auditEvery}
}

// end remembers a sweep that has looked at every charge; err is that of the sweep.
func (a *audits) end(err error) {
	if a.all && !a.failed && err == nil {
		a.audited = a.began
	}
}

// page charges the analysed digests of a page that have no charge: the scheduler's part
// of a shared store may have lost it while the record, which is located elsewhere,
// survived (DESIGN.md §5 rule 6). Without it a forced analysis would charge the digest a
// second time, in another period. A look that fails is repeated by the next sweep.
func (a *audits) page(ctx context.Context, read []gate.Known, swept *Swept) {
	var records []gate.Record
	var digests []gate.Digest
	for _, k := range read {
		if rec := k.Record; rec.InventoryID != "" && (a.all || a.began.Sub(rec.AnalyzedAt).Abs() < auditFresh) {
			records, digests = append(records, rec), append(digests, rec.Digest)
		}
	}
	if len(digests) == 0 {
		return
	}
	charges, err := a.o.Scheduler.ChargesOf(ctx, digests)
	for _, rec := range records {
		if err == nil && !charges[rec.Digest].Served {
			err = a.restore(ctx, rec, swept)
		}
		if err != nil {
			a.failed = true
			swept.Failed++
			a.standing.Log.Warn("sweeping a digest", "digest", rec.Digest, "error", err)
			return // the store answers no better for the others
		}
	}
}

func (a *audits) restore(ctx context.Context, rec gate.Record, swept *Swept) error {
	at := rec.AnalyzedAt
	if at.IsZero() {
		at = a.standing.Now()
	}
	added, err := a.o.Scheduler.Restore(ctx, rec.Digest, a.o.Quota.Period(at).Key, at)
	if added {
		swept.Charged++
	}
	return err
}
