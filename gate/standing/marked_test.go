package standing_test

import (
	"math/rand/v2"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
)

// versioned is a matcher that has a generation.
type versioned struct {
	standing.Matcher
	g      gate.Generation
	loaded bool
}

func (v *versioned) Generation() (gate.Generation, bool) { return v.g, v.loaded }
func (v *versioned) Version() string                     { return "m1" }

// TestOriginsAgreeWithRecords: what is kept of a record says as the record does whether its
// findings have to be computed again.
func TestOriginsAgreeWithRecords(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	m := &versioned{}
	s := &standing.Standing{Matcher: m, Lifts: new(standing.Lifts)}
	seen := map[bool]int{}
	for range 20_000 {
		m.loaded = r.IntN(10) > 0
		m.g = gate.Generation{Number: int64(r.IntN(4)), Content: id(pick("A", "B"))}
		rec := gate.Record{
			Generation: int64(r.IntN(4)), Advisories: id(pick("A", "B")), Matcher: pick("m1", "m1", "m2"),
			InventoryID: pick(string(id("i1")), string(id("i2")), ""), FindingsOf: pick(string(id("i1")), string(id("i2")), ""),
			FindingsID: pick(string(id("f1")), string(id("f2")), string(id("f3")), ""),
		}
		if r.IntN(4) == 0 {
			s.Lifts.HoldAgain(rec.FindingsID, m.g, "m1")
		}
		outdated, stands := s.Outdated(rec), s.StandsAs(rec)
		if rec.InventoryID != "" && rec.FindingsID != "" && rec.FindingsOf == rec.InventoryID && outdated == stands {
			t.Fatalf("generation %+v (loaded: %v), record %+v: outdated: %v, and what is kept of it stands: %v", m.g, m.loaded, rec, outdated, stands)
		}
		if outdated && stands {
			t.Fatalf("generation %+v, record %+v: it is outdated and stands", m.g, rec)
		}
		seen[stands]++
	}
	if seen[true] < 1000 || seen[false] < 1000 {
		t.Errorf("it is compared with %v", seen)
	}
}
