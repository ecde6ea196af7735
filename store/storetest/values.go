package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

var valueCases = []testCase{
	{"inventory_comes_back_whole", func(e *env) {
		want := inventory("a", "set-1")
		e.no(e.s.PutInventory(e.ctx, 1, want))
		got, err := e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(want, got); diff != "" {
			e.Fatalf("inventory (-want +got):\n%s", diff)
		}
		r := e.record("a")
		if r.InventoryID == "" || r.AnalyzerSet != "set-1" || !r.AnalyzedAt.Equal(want.AnalyzedAt) {
			e.Fatalf("got %+v", r)
		}
	}},
	{"ids_are_those_of_the_content", func(e *env) {
		one := e.scanned("a", 1)
		if again := e.scanned("a", 2); again != one {
			e.Fatalf("the same inventory has ids %q and %q", one, again)
		}
		e.no(e.s.PutInventory(e.ctx, 3, inventory("a", "set-2")))
		if e.record("a").InventoryID == one {
			e.Fatalf("another inventory has the same id")
		}
	}},
	{"large_values", func(e *env) {
		inv := inventory("a", "set-1")
		for i := range 20_000 {
			inv.Packages = append(inv.Packages, gate.Package{Name: name("package", i), Version: "1.2.3", Licenses: []string{"GPL-2.0-or-later"}})
		}
		e.no(e.s.PutInventory(e.ctx, 1, inv))
		got, err := e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(inv, got); diff != "" {
			e.Fatal("20,000 packages do not come back")
		}
	}},
	{"newer_format_is_a_conflict", func(e *env) {
		inv := inventory("a", "set-1")
		inv.Format = gate.InventoryFormat + 1
		e.no(e.s.PutInventory(e.ctx, 1, inv))
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrConflict)
	}},
	{"unknown_values", func(e *env) {
		_, err := e.s.Inventory(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
		_, err = e.s.Findings(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
	}},
	{"findings_come_back_with_their_summary", func(e *env) {
		want := findings("a", e.scanned("a", 1), 4)
		e.no(e.s.PutFindings(e.ctx, want))
		got, err := e.s.Findings(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(want, got); diff != "" {
			e.Fatalf("findings (-want +got):\n%s", diff)
		}
		r := e.record("a")
		if r.FindingsID == "" || r.FindingsOf != r.InventoryID || r.Generation != 4 || r.Matcher != "m1" ||
			!r.MatchedAt.Equal(want.MatchedAt) || r.Counts != (gate.Counts{Critical: 1, Low: 1}) {
			e.Fatalf("got %+v", r)
		}
	}},
	{"findings_of_another_inventory_conflict", func(e *env) {
		e.want(e.s.PutFindings(e.ctx, findings("a", "", 1)), gate.ErrConflict)
		e.want(e.s.PutFindings(e.ctx, findings("a", "sha256:1", 1)), gate.ErrConflict)
		old := e.scanned("a", 1)
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		e.want(e.s.PutFindings(e.ctx, findings("a", old, 1)), gate.ErrConflict)
		_, err := e.s.Findings(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
	}},
	{"older_generation_conflicts_unless_the_inventory_is_new", func(e *env) {
		id := e.scanned("a", 1)
		e.no(e.s.PutFindings(e.ctx, findings("a", id, 5)))
		e.want(e.s.PutFindings(e.ctx, findings("a", id, 4)), gate.ErrConflict)
		same := findings("a", id, 5)
		same.Matcher = "m2"
		e.no(e.s.PutFindings(e.ctx, same))
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		e.no(e.s.PutFindings(e.ctx, findings("a", e.record("a").InventoryID, 4)))
		if r := e.record("a"); r.Generation != 4 {
			e.Fatalf("got generation %d", r.Generation)
		}
	}},
	{"a_rescan_does_not_hide_the_last_findings", func(e *env) {
		id := e.scanned("a", 1)
		e.no(e.s.PutFindings(e.ctx, findings("a", id, 5)))
		e.no(e.s.Fence(e.ctx, digest("a"), 2))
		e.no(e.s.PutInventory(e.ctx, 2, inventory("a", "set-2")))
		r := e.record("a")
		if r.FindingsID == "" || r.FindingsOf != id || r.InventoryID == id {
			e.Fatalf("got %+v", r)
		}
		got, err := e.s.Findings(e.ctx, digest("a"))
		e.no(err)
		if got.InventoryID != id {
			e.Fatalf("got findings of %q", got.InventoryID)
		}
	}},
}

func verdict(loc gate.Location, outcome gate.Outcome, at time.Time) gate.Verdict {
	return gate.Verdict{Location: loc, Decision: gate.Decision{
		Outcome: outcome, Code: gate.CodePolicy, PolicyRevision: "r1", EvaluatedAt: at,
		Reasons: []gate.Reason{{Action: gate.OutcomeDeny, Code: gate.CodePolicy, Rule: "fixable", Msg: "openssl & <co>", Findings: []string{"CVE-1"}}},
	}}
}

var verdictCases = []testCase{
	{"stored_for_known_locations", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		v := verdict(app, gate.OutcomeDeny, e.now())
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{v, verdict(other, gate.OutcomeAllow, e.now())}))
		r := e.record("a")
		if len(r.Locations) != 1 {
			e.Fatalf("a verdict made a location: %+v", r.Locations)
		}
		if diff := cmp.Diff(v.Decision, r.Locations[0].Verdict); diff != "" {
			e.Fatalf("verdict (-want +got):\n%s", diff)
		}
	}},
	{"unchanged_but_for_its_time_writes_nothing", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		before := e.record("a")
		seq := e.lastSeq()
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now().Add(time.Hour))}))
		if diff := cmp.Diff(before, e.record("a")); diff != "" || e.lastSeq() != seq {
			e.Fatalf("it was written:\n%s", diff)
		}
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeWarn, e.now())}))
		if e.record("a").Version <= before.Version {
			e.Fatalf("another outcome was not written")
		}
	}},
	{"unknown_digest", func(e *env) {
		e.no(e.s.PutVerdicts(e.ctx, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		if e.record("a").Known() {
			e.Fatalf("a verdict made a record")
		}
	}},
}
