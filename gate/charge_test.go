package gate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestImageOfKnownLayersIsCharged: what a digest costs does not depend on what
// the layer cache holds (docs/adr/0006-charged-when-analysed.md).
func TestImageOfKnownLayersIsCharged(t *testing.T) {
	s := newSite(t, month(1))
	s.analyzer.known = true
	a, b := s.push("team/app", "a", 1), s.push("team/app", "b", 2)
	s.event("team/app", "a", a)
	s.event("team/app", "b", b)
	s.work()
	if c := s.charge(a); !c.Served || s.entry(a).State() != gate.StateScanned {
		t.Errorf("an image of known layers: got %+v and %s, want it scanned and charged", c, s.entry(a).State())
	}
	if got := s.entry(b).State(); got != gate.StateQuotaExhausted {
		t.Errorf("the next one under a quota of one: got %s, want quota_exhausted", got)
	}
}

// TestKnownLayersWithoutAResultAreFree: nothing was served and nothing came of
// it.
func TestKnownLayersWithoutAResultAreFree(t *testing.T) {
	s := newSite(t, month(0))
	s.analyzer.known = true
	s.analyzer.fail = func(gate.AnalyzeRequest) error { return fmt.Errorf("merging: %w", gate.ErrScanFailed) }
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	if s.entry(d).State() != gate.StateFailed || s.charge(d) != (gate.Charge{}) || s.used().Used != 0 {
		t.Errorf("got %s, charge %+v, used %d", s.entry(d).State(), s.charge(d), s.used().Used)
	}
}

// TestLostClaimOfKnownLayersStoresNothing: without the charge there is no
// inventory either.
func TestLostClaimOfKnownLayersStoresNothing(t *testing.T) {
	s := newSite(t, month(0))
	s.analyzer.known = true
	d := s.push("team/app", "v1", 1)
	var id string
	s.analyzer.fail = func(gate.AnalyzeRequest) error { _, err := s.store.Cancel(s.ctx, id); return err }
	job, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: gate.Location{Registry: hub, Repository: "team/app"}, Digest: d, Trigger: gate.TriggerPush,
	})
	if err == nil {
		id = job.ID
		job, err = s.store.Claim(s.ctx, s.claim())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Handlers()[gate.JobAnalyze](s.ctx, gate.NewRun(job)); !errors.Is(err, gate.ErrCancelled) {
		t.Errorf("got %v, want ErrCancelled", err)
	}
	if e := s.entry(d); e.Record.InventoryID != "" || s.used().Used != 0 {
		t.Errorf("a cancelled analysis stored %q and used %d", e.Record.InventoryID, s.used().Used)
	}
}

// TestInventoryWithoutAChargeIsCharged by the job that finds it.
func TestInventoryWithoutAChargeIsCharged(t *testing.T) {
	s := newSite(t, month(0))
	d := s.forgotten(1, s.clock.Now())
	_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: gate.Location{Registry: hub, Repository: "team/app"}, Digest: d, Trigger: gate.TriggerPush,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.work()
	if s.analyzer.count() != 0 || !s.charge(d).Served {
		t.Errorf("analyses %d, charge %+v: want none and a kept one", s.analyzer.count(), s.charge(d))
	}
}

// served counts writes that keep a charge.
type served struct {
	gate.Scheduler
	n int
}

func (s *served) Serve(ctx context.Context, lease gate.Lease) error {
	s.n++
	return s.Scheduler.Serve(ctx, lease)
}

// TestChargeIsKeptByOneWrite for each analysis.
func TestChargeIsKeptByOneWrite(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("known_%t", known), func(t *testing.T) {
			s := newSite(t, month(0))
			counts := &served{Scheduler: s.store}
			s.Scheduler, s.analyzer.known = counts, known
			d := s.push("team/app", "v1", 1)
			s.event("team/app", "v1", d)
			s.work()
			if counts.n != 1 {
				t.Errorf("got %d writes, want 1", counts.n)
			}
		})
	}
}

// TestOtherNamesOfADigestCostNothing: tags, repositories, registries, forced
// rescans and another period.
func TestOtherNamesOfADigestCostNothing(t *testing.T) {
	s := newSite(t, month(1))
	d := s.push("team/app", "v1", 1)
	s.push("team/app", "v2", 1)
	s.push("other/copy", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	first := s.charge(d)
	s.clock.Advance(40 * 24 * time.Hour)
	s.event("team/app", "v2", d)
	s.event("other/copy", "v1", d)
	for _, loc := range []gate.Location{{Registry: hub, Repository: "other/copy"}, {Registry: "second", Repository: "team/app"}} {
		_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: d, Trigger: gate.TriggerAPI, Force: true})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.work()
	if got := s.charge(d); got != first || s.used().Used != 0 {
		t.Errorf("charge: got %+v and %d used in the next period, want %+v and none", got, s.used().Used, first)
	}
	if n := s.analyzer.count(); n != 2 {
		t.Errorf("analyses: got %d, want the first and the forced one", n)
	}
}
