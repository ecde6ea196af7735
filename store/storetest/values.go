package storetest

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

var valueCases = []testCase{
	{"inventory_comes_back_whole", func(e *env) {
		want := inventory("a", "set-1")
		e.no(PutInventory(e.ctx, e.s, 1, want))
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
		e.no(PutInventory(e.ctx, e.s, 3, inventory("a", "set-2")))
		if e.record("a").InventoryID == one {
			e.Fatalf("another inventory has the same id")
		}
	}},
	{"large_values", func(e *env) {
		inv := inventory("a", "set-1")
		for i := range 20_000 {
			inv.Packages = append(inv.Packages, gate.Package{Name: name("package", i), Version: "1.2.3", Licenses: []string{"GPL-2.0-or-later"}})
		}
		e.no(PutInventory(e.ctx, e.s, 1, inv))
		got, err := e.s.Inventory(e.ctx, digest("a"))
		e.no(err)
		if diff := cmp.Diff(inv, got); diff != "" {
			e.Fatal("20,000 packages do not come back")
		}
	}},
	{"newer_format_is_a_conflict", func(e *env) {
		inv := inventory("a", "set-1")
		inv.Format = gate.InventoryFormat + 1
		e.no(PutInventory(e.ctx, e.s, 1, inv))
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
		e.no(PutFindings(e.ctx, e.s, want))
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
	{"the_record_summarizes_the_values_that_it_names", func(e *env) {
		e.scanned("a", 1)
		if r := e.record("a"); r.Summarized() {
			e.Fatalf("without findings: got %+v", r.Summary)
		}
		e.no(PutFindings(e.ctx, e.s, findings("a", e.record("a").InventoryID, 4)))
		e.wantSummary("a")
		other := inventory("a", "set-2")
		other.OS.Name, other.Secrets = "13", []gate.Secret{{Rule: "r", Path: "p"}}
		e.no(PutInventory(e.ctx, e.s, 2, other))
		r := e.record("a")
		if s := r.Summary; s.Inventory.Of != r.InventoryID || s.Inventory.Release != "13" || s.Inventory.Secrets != 1 || s.Findings.Of != r.FindingsID {
			e.Fatalf("after another inventory: got %+v", s)
		}
		next := findings("a", r.InventoryID, 5)
		next.Matched = inventory("b", "set-9").Summarize("another") // which the record does not name
		e.no(PutFindings(e.ctx, e.s, next))
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		e.wantSummary("a")
	}},
	{"writes_say_what_they_led_to", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		same := func(what string, got gate.Written, want string) {
			e.Helper()
			if r := e.record("a"); got.ID != want || got.ID == "" || got.Version != r.Version {
				e.Errorf("%s: got %+v, want id %s and version %d", what, got, want, r.Version)
			}
		}
		before := e.record("a").Version
		inv, err := e.s.PutInventory(e.ctx, 1, inventory("a", "set-1"))
		e.no(err)
		same("inventory", inv, e.record("a").InventoryID)
		if !inv.Follows(before) {
			e.Errorf("nothing was written in between: got version %d after %d", inv.Version, before)
		}
		f := findings("a", inv.ID, 4)
		first, err := e.s.PutFindings(e.ctx, f, "")
		e.no(err)
		same("findings", first, e.record("a").FindingsID)
		if !first.Follows(inv.Version) {
			e.Errorf("nothing was written in between: got version %d after %d", first.Version, inv.Version)
		}
		again, err := e.s.PutFindings(e.ctx, f, "")
		e.no(err)
		same("the same findings", again, first.ID)
		if again.Version != first.Version || !again.Same || first.Same || inv.Same {
			e.Errorf("writing the same findings again: got %+v after %+v", again, first)
		}
		_, err = e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		later, err := e.s.PutFindings(e.ctx, findings("a", inv.ID, 5), first.ID)
		e.no(err)
		if later.Follows(first.Version) {
			e.Errorf("a location came in between: got version %d after %d", later.Version, first.Version)
		}
	}},
	{"findings_in_place_of_others_conflict", func(e *env) {
		id := e.scanned("a", 1)
		_, err := e.s.PutFindings(e.ctx, findings("a", id, 1), "sha256:1")
		e.want(err, gate.ErrConflict)
		first, err := e.s.PutFindings(e.ctx, findings("a", id, 1), "")
		e.no(err)
		_, err = e.s.PutFindings(e.ctx, findings("a", id, 2), "")
		e.want(err, gate.ErrConflict)
		if r := e.record("a"); r.FindingsID != first.ID || r.Generation != 1 {
			e.Fatalf("refused findings were written: %+v", r)
		}
		_, err = e.s.PutFindings(e.ctx, findings("a", id, 2), first.ID)
		e.no(err)
	}},
	{"findings_of_another_inventory_conflict", func(e *env) {
		e.want(PutFindings(e.ctx, e.s, findings("a", "", 1)), gate.ErrConflict)
		e.want(PutFindings(e.ctx, e.s, findings("a", "sha256:1", 1)), gate.ErrConflict)
		old := e.scanned("a", 1)
		e.no(PutInventory(e.ctx, e.s, 2, inventory("a", "set-2")))
		e.want(PutFindings(e.ctx, e.s, findings("a", old, 1)), gate.ErrConflict)
		_, err := e.s.Findings(e.ctx, digest("a"))
		e.want(err, gate.ErrNotFound)
	}},
	{"older_generation_conflicts_unless_the_inventory_is_new", func(e *env) {
		id := e.scanned("a", 1)
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 5)))
		e.want(PutFindings(e.ctx, e.s, findings("a", id, 4)), gate.ErrConflict)
		same := findings("a", id, 5)
		same.Matcher = "m2"
		e.no(PutFindings(e.ctx, e.s, same))
		e.no(PutInventory(e.ctx, e.s, 2, inventory("a", "set-2")))
		e.no(PutFindings(e.ctx, e.s, findings("a", e.record("a").InventoryID, 4)))
		if r := e.record("a"); r.Generation != 4 {
			e.Fatalf("got generation %d", r.Generation)
		}
	}},
	{"a_rescan_does_not_hide_the_last_findings", func(e *env) {
		id := e.scanned("a", 1)
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 5)))
		e.no(e.s.Fence(e.ctx, digest("a"), 2))
		e.no(PutInventory(e.ctx, e.s, 2, inventory("a", "set-2")))
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
	{"what_stood_is_returned_once", func(e *env) {
		for _, loc := range []gate.Location{app, other} {
			_, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			e.no(err)
		}
		basis := e.basis("a")
		put := func(verdicts ...gate.Verdict) []gate.Verdict {
			e.Helper()
			replaced, err := e.s.PutVerdicts(e.ctx, digest("a"), basis, verdicts)
			e.no(err)
			return replaced
		}
		deny, allow := verdict(app, gate.OutcomeDeny, e.now()), verdict(app, gate.OutcomeAllow, e.now())
		elsewhere := verdict(other, gate.OutcomeDeny, e.now())
		for _, step := range []struct {
			what      string
			got, want []gate.Verdict
		}{
			{"first verdicts", put(deny, elsewhere, verdict(web, gate.OutcomeDeny, e.now())), []gate.Verdict{{Location: app}, {Location: other}}},
			{"the same again", put(deny, elsewhere), nil},
			{"another at one of two locations", put(allow, elsewhere), []gate.Verdict{deny}},
		} {
			if diff := cmp.Diff(step.want, step.got); diff != "" {
				e.Errorf("%s (-want +got):\n%s", step.what, diff)
			}
		}
	}},
	{"of_another_basis_conflict", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		stale := map[string]gate.Basis{"before_the_manifest": e.basis("a")}
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		stale["before_the_inventory"] = e.basis("a")
		id := e.scanned("a", 1)
		stale["before_the_findings"] = e.basis("a")
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 1)))
		stale["of_older_findings"] = e.basis("a")
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 2)))
		before := e.record("a")
		for name, basis := range stale {
			_, err := e.s.PutVerdicts(e.ctx, digest("a"), basis, []gate.Verdict{verdict(app, gate.OutcomeAllow, e.now())})
			if !errors.Is(err, gate.ErrConflict) {
				e.Errorf("%s: got %v, want a conflict", name, err)
			}
		}
		if diff := cmp.Diff(before, e.record("a")); diff != "" {
			e.Fatalf("a refused verdict was written:\n%s", diff)
		}
		_, err = e.s.PutVerdicts(e.ctx, digest("a"), e.basis("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())})
		e.no(err)
		unassessable := e.basis("b")
		e.no(e.s.PutUnassessable(e.ctx, digest("b"), 1, "encrypted"))
		_, err = e.s.PutVerdicts(e.ctx, digest("b"), unassessable, nil)
		e.want(err, gate.ErrConflict)
	}},
	{"at_the_version_that_was_read", func(e *env) {
		for _, loc := range []gate.Location{app, other} {
			_, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			e.no(err)
		}
		e.no(PutFindings(e.ctx, e.s, findings("a", e.scanned("a", 1), 1)))
		before := e.record("a")
		put := func(what string, basis gate.Basis, v gate.Verdict, replaced gate.Decision) {
			e.Helper()
			got, err := e.s.PutVerdicts(e.ctx, digest("a"), basis, []gate.Verdict{v})
			e.no(err)
			if diff := cmp.Diff([]gate.Verdict{{Location: v.Location, Decision: replaced}}, got); diff != "" {
				e.Errorf("%s: replaced (-want +got):\n%s", what, diff)
			}
		}
		first, second, third := verdict(app, gate.OutcomeDeny, e.now()), verdict(other, gate.OutcomeWarn, e.now()), verdict(app, gate.OutcomeAllow, e.now())
		put("nothing was written since", before.Basis(), first, gate.Decision{})
		put("a verdict was written since", before.Basis(), second, gate.Decision{})
		put("nothing was written since, again", e.basis("a"), third, first.Decision)
		// Nothing else has changed, however a verdict was written.
		want := before
		want.Version += 3
		want.Locations = e.record("a").Locations
		if diff := cmp.Diff(want, e.record("a")); diff != "" {
			e.Errorf("the record (-want +got):\n%s", diff)
		}
		for _, l := range want.Locations {
			stands := map[gate.Location]gate.Decision{app: third.Decision, other: second.Decision}[l.Location]
			if diff := cmp.Diff(stands, l.Verdict); diff != "" {
				e.Errorf("at %s (-want +got):\n%s", l.Location, diff)
			}
		}
		e.no(PutFindings(e.ctx, e.s, findings("a", before.InventoryID, 2)))
		_, err := e.s.PutVerdicts(e.ctx, digest("a"), want.Basis(), []gate.Verdict{first})
		e.want(err, gate.ErrConflict)
		if f, err := e.s.Findings(e.ctx, digest("a")); err != nil || f.Generation != 2 {
			e.Errorf("findings: %+v, %v", f, err)
		}
	}},
	{"another_outcome_is_told", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		put := func(v gate.Verdict, told int) {
			e.Helper()
			seq := e.lastSeq()
			e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{v}))
			if diff := cmp.Diff(v.Decision, e.record("a").Locations[0].Verdict); diff != "" {
				e.Errorf("verdict (-want +got):\n%s", diff)
			}
			if got, _ := e.changes(seq); len(got) != told {
				e.Errorf("%s: got %+v, want %d changes", v.Outcome, got, told)
			}
		}
		put(verdict(app, gate.OutcomeDeny, e.now()), 1)
		for _, revision := range []string{"r2", "r3"} {
			v := verdict(app, gate.OutcomeDeny, e.now())
			v.PolicyRevision, v.Reasons[0].Msg = revision, "other words by "+revision
			put(v, 0)
		}
		put(verdict(app, gate.OutcomeWarn, e.now()), 1)
	}},
	{"stored_for_known_locations", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		v := verdict(app, gate.OutcomeDeny, e.now())
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{v, verdict(other, gate.OutcomeAllow, e.now())}))
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
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		before := e.record("a")
		seq := e.lastSeq()
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now().Add(time.Hour))}))
		if diff := cmp.Diff(before, e.record("a")); diff != "" || e.lastSeq() != seq {
			e.Fatalf("it was written:\n%s", diff)
		}
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeWarn, e.now())}))
		if e.record("a").Version <= before.Version {
			e.Fatalf("another outcome was not written")
		}
	}},
	{"unknown_digest", func(e *env) {
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		if e.record("a").Known() {
			e.Fatalf("a verdict made a record")
		}
	}},
}

// wantSummary compares the summary of a record with the values that are stored.
func (e *env) wantSummary(name string) {
	e.Helper()
	r := e.record(name)
	inv, err := e.s.Inventory(e.ctx, digest(name))
	e.no(err)
	f, err := e.s.Findings(e.ctx, digest(name))
	e.no(err)
	want := gate.Summary{Inventory: inv.Summarize(r.InventoryID), Findings: f.Summarize(r.FindingsID)}
	if diff := cmp.Diff(want, r.Summary); diff != "" || !r.Summarized() {
		e.Errorf("the summary of %s (-want +got):\n%s", name, diff)
	}
}
