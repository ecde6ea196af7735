package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store/storetest"
)

// audited counts how many charges are looked at, and in how many calls.
type audited struct {
	standing.Scheduler
	looks, calls int
	fail         error
}

func (a *audited) ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error) {
	a.looks += len(digests)
	a.calls++
	if a.fail != nil {
		return nil, a.fail
	}
	return a.Scheduler.ChargesOf(ctx, digests)
}

// forgotten records an analysis of which the scheduler knows nothing, which is
// what is left when it has lost its last second and the record has not.
func (s *site) forgotten(seed uint64, at time.Time) gate.Digest {
	s.t.Helper()
	d := s.push("team/app", "v1", seed)
	err := s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: gate.KindImage})
	if err == nil {
		err = storetest.PutInventory(s.ctx, s.store, 1, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-1", AnalyzedAt: at})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *site) charge(d gate.Digest) gate.Charge {
	s.t.Helper()
	c, err := s.store.Charged(s.ctx, d)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) rematch(sweeper *standing.Sweeper) standing.Swept {
	s.t.Helper()
	swept, err := sweeper.Rematch(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return swept
}

func TestSweepRestoresLostCharges(t *testing.T) {
	s := newSite(t, month(1))
	known := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", known)
	s.work()
	before := s.charge(known)
	old := s.forgotten(2, s.clock.Now().Add(-40*24*time.Hour))
	fresh := s.forgotten(3, s.clock.Now().Add(-time.Minute))
	sweeper := s.sweeper(listed{known, old, fresh})

	if swept := s.rematch(sweeper); swept.Charged != 2 {
		t.Errorf("first sweep: got %+v, want two digests charged", swept)
	}
	for d, want := range map[gate.Digest]gate.Charge{
		known: before,
		old:   {Period: "2026-08", At: s.clock.Now().Add(-40 * 24 * time.Hour), Served: true},
		fresh: {Period: "2026-09", At: s.clock.Now().Add(-time.Minute), Served: true},
	} {
		if got := s.charge(d); got.Period != want.Period || !got.At.Equal(want.At) || got.Served != want.Served {
			t.Errorf("charge of %s: got %+v, want %+v", d.Short(), got, want)
		}
	}
	if use := s.used(); use.Used != 2 {
		t.Errorf("used: got %d, want 2, which is over the limit", use.Used)
	}
	if swept := s.rematch(sweeper); swept.Charged != 0 {
		t.Errorf("second sweep: got %+v, want nothing charged", swept)
	}
}

// TestSweepLooksAtFewCharges: a sweep runs every five minutes and must not cost
// a round trip for each digest; those of a page take one.
func TestSweepLooksAtFewCharges(t *testing.T) {
	s := newSite(t, month(0))
	counts := &audited{Scheduler: s.store}
	s.sweeping = counts
	old := s.forgotten(1, s.clock.Now().Add(-2*time.Hour))
	fresh := s.forgotten(2, s.clock.Now())
	unknown := gate.Digest("sha256:" + pad(1)) // lists may lag behind
	sweeper := s.sweeper(listed{old, fresh, unknown})
	looks := func(what string, want int) {
		t.Helper()
		counts.looks, counts.calls = 0, 0
		s.rematch(sweeper)
		if counts.looks != want || counts.calls != min(want, 1) {
			t.Errorf("%s looked at %d charges in %d calls, want %d in one", what, counts.looks, counts.calls, want)
		}
	}
	counts.fail = errors.Join(gate.ErrStoreUnavailable, errors.New("down"))
	looks("the first sweep, in vain,", 2)
	counts.fail = nil
	looks("the first sweep that could", 2)
	looks("the next sweep", 1)
	s.clock.Advance(time.Hour)
	looks("a sweep an hour later", 0)
	s.clock.Advance(23 * time.Hour)
	looks("a sweep a day later", 2)
	if s.charge(old).Period == "" || s.charge(fresh).Period == "" {
		t.Error("a digest is not charged")
	}
}
