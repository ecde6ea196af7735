package standing

import (
	"context"
	"slices"
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
func (a *audits) page(ctx context.Context, list []audited, swept *Swept) {
	list = slices.DeleteFunc(list, func(x audited) bool { return !a.all && a.began.Sub(x.at).Abs() >= auditFresh })
	if len(list) == 0 {
		return
	}
	digests := make([]gate.Digest, len(list))
	for i, x := range list {
		digests[i] = x.digest
	}
	charges, err := a.o.Scheduler.ChargesOf(ctx, digests)
	for _, x := range list {
		if err == nil && !charges[x.digest].Served {
			err = a.restore(ctx, x, swept)
		}
		if err != nil {
			a.failed = true
			swept.Failed++
			a.standing.Log.Warn("sweeping a digest", "digest", x.digest, "error", err)
			return // the store answers no better for the others
		}
	}
}

// audited is an analysed digest, and when that was; zero where it is not known.
type audited struct {
	digest gate.Digest
	at     time.Time
}

// auditedOf are those of a list that are analysed.
func auditedOf(list []seen) []audited {
	analysed := make([]audited, 0, len(list))
	for i := range list {
		if rec := &list[i].Record; rec.InventoryID != "" {
			analysed = append(analysed, audited{rec.Digest, rec.AnalyzedAt})
		}
	}
	return analysed
}

func (a *audits) restore(ctx context.Context, x audited, swept *Swept) error {
	at := x.at
	if at.IsZero() {
		at = a.standing.Now()
	}
	added, err := a.o.Scheduler.Restore(ctx, x.digest, a.o.Quota.Period(at).Key, at)
	if added {
		swept.Charged++
	}
	return err
}
