package gate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/pipeline"
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
	pipeline.Scheduler
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

// TestTheTurnOfThePeriod: at the limit new digests wait and say so, known ones
// go on being decided, and every period lets on as many as it has room for, the
// oldest first.
func TestTheTurnOfThePeriod(t *testing.T) {
	const limit, all = 2, 5
	s := newSite(t, gate.QuotaConfig{Limit: limit, Period: "day", TimeZone: "Asia/Shanghai"})
	l := s.lookup(lookup.Options{})
	var digests []gate.Digest
	for i := range all {
		tag := fmt.Sprint("v", i)
		d := s.push("team/app", tag, uint64(i+1))
		digests = append(digests, d)
		s.event("team/app", tag, d)
		s.clock.Advance(time.Second)
	}
	for done := limit; ; done += limit {
		s.work()
		for i, d := range digests {
			a := s.ask(l, s.at("team/app", "@"+string(d)))
			want, code := gate.StateQuotaExhausted, gate.CodeQuotaExhausted
			if i < done {
				want, code = gate.StateScanned, ""
			}
			if got := s.entry(d).State(); got != want || a.Code != code || a.Permits() != (i < done) {
				t.Errorf("digest %d of %d after %d: got %s and %+v, want %s and %q", i, all, done, got, a, want, code)
			}
		}
		if use, want := s.used().Used, int64(min(limit, all-done+limit)); use != want {
			t.Errorf("used after %d: got %d, want %d", done, use, want)
		}
		if done >= all {
			break
		}
		// Nothing is let on a moment too early.
		s.clock.Advance(s.Quota.ResetsAt(s.clock.Now()).Sub(s.clock.Now()) - time.Second)
		if s.work(); s.entry(digests[done]).State() != gate.StateQuotaExhausted {
			t.Fatalf("digest %d was let on before the turn", done)
		}
		s.clock.Advance(time.Second)
	}
}

// TestTenThousandDeliveries of one digest, while it is analysed and after, are
// one analysis and one charge.
func TestTenThousandDeliveries(t *testing.T) {
	const deliveries, senders = 10_000, 50
	s := newSite(t, month(1))
	d := s.push("team/app", "v1", 1)
	intake := intake.New(s.Registries, s.Quota, s.store)
	push := []gate.Push{{Kind: gate.PushArrived, Host: s.registry.Host, Repository: "team/app", Tag: "v1", Digest: d}}
	herd := func() {
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range deliveries / senders / 2 {
					if _, err := intake.Take(s.ctx, hub, push); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	herd()
	s.work()
	herd()
	s.work()
	if n, use := s.analyzer.count(), s.used(); n != 1 || use.Used != 1 || use.Avoided != deliveries-1 {
		t.Errorf("analyses %d, %+v: want one of each and %d avoided", n, use, deliveries-1)
	}
}
