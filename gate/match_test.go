package gate_test

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestOvertakenMatchEndsWell: a worker whose advisory data is older than what
// others have matched with leaves their findings alone, and its jobs end.
func TestOvertakenMatchEndsWell(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.matcher.activate(3)
	s.event("team/app", "v1", d)
	s.work()
	s.matcher.activate(2) // as another process has it
	if err := s.standing.Match(s.ctx, gate.Known{Entry: s.entry(d)}, gate.Occasion{Event: gate.EventRescan}); err != nil {
		t.Errorf("matching with older data: %v", err)
	}
	swept, err := s.sweeper(listed{d}).Rematch(s.ctx)
	if err != nil || swept.Failed != 0 || swept.Matched != 0 || swept.Evaluated != 1 {
		t.Errorf("sweeping with older data: %+v, %v", swept, err)
	}
	s.event("team/app", "v2", d)
	s.work()
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Digests: []gate.Digest{d}})
	if err != nil {
		t.Fatal(err)
	}
	if rec := res.Digests[d].Record; rec.Generation != 3 {
		t.Errorf("findings are of generation %d, want those of 3", rec.Generation)
	}
}
