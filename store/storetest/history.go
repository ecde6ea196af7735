package storetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/history"
	"github.com/digestgate/digestgate/store"
)

// changing are findings with a change in which an advisory came and one went.
func (e *env) changing(name, id string, generation int64) *gate.Findings {
	f := findings(name, id, generation)
	seen := e.now().Add(-time.Hour).Truncate(time.Second)
	f.Change = &gate.StandingChange{Event: gate.EventRescan, Generation: generation, Findings: &gate.FindingsChange{
		Before: gate.FindingsRef{Generation: generation - 1, Counts: gate.Counts{High: 1}},
		After:  gate.FindingsRef{Generation: generation, Advisories: digest(fmt.Sprint("advisories ", generation)), Counts: gate.Counts{Critical: 1}},
		Found: gate.ChangedFindings{Total: gate.Counts{Critical: 1}, List: []gate.Vulnerability{{
			ID: "CVE-2026-0001", Package: "openssl", PackageID: "openssl@3.0.1", InstalledVersion: "3.0.1", FixedVersion: "3.0.2", Severity: gate.SeverityCritical,
		}}},
		Fixed: gate.ChangedFindings{Total: gate.Counts{High: 1}, List: []gate.Vulnerability{{
			ID: "CVE-2025-0007", Package: "zlib", Path: "usr/lib", InstalledVersion: "1.2", Severity: gate.SeverityHigh, FirstSeen: seen,
		}}},
		Severity: []gate.SeverityChange{{Vulnerability: gate.Vulnerability{ID: "CVE-2024-0001", Package: "curl", Severity: gate.SeverityLow}, Before: gate.SeverityHigh}},
		Unseen:   gate.Counts{Low: 2}, Incomplete: true, Analysed: true,
	}}
	return f
}

func (e *env) history(name string, q gate.HistoryQuery) []gate.HistoryEntry {
	e.Helper()
	list, err := e.s.History(e.ctx, digest(name), q)
	e.no(err)
	return list
}

// rested stores a verdict of an outcome and a rule at a location.
func (e *env) rested(name string, loc gate.Location, o gate.Outcome, rule string) {
	e.Helper()
	_, err := e.s.AddLocation(e.ctx, digest(name), loc)
	e.no(err)
	v := gate.Verdict{Location: loc, Decision: gate.Decision{Outcome: o, EvaluatedAt: e.now(), Reasons: []gate.Reason{{Rule: rule}}}}
	basis := e.basis(name)
	basis.Event = gate.EventPush
	_, err = e.s.PutVerdicts(e.ctx, digest(name), basis, []gate.Verdict{v})
	e.no(err)
}

func numbersOf(list []gate.HistoryEntry) (numbers []int64) {
	for _, x := range list {
		numbers = append(numbers, x.Number)
	}
	return numbers
}

var historyCases = []testCase{
	{"findings_that_change_something_are_one_entry", func(e *env) {
		id := e.scanned("a", 1)
		from := e.lastSeq()
		f := e.changing("a", id, 1)
		want := *f.Change
		for range 3 { // of several that write the same, one has written
			before := e.record("a").FindingsID
			if before == "" {
				_, err := e.s.PutFindings(e.ctx, f, "")
				e.no(err)
				continue
			}
			written, err := e.s.PutFindings(e.ctx, f, before)
			if e.no(err); !written.Same {
				e.Fatal("the same findings were written twice")
			}
		}
		_, err := e.s.PutFindings(e.ctx, e.changing("a", id, 2), "sha256:other")
		e.want(err, gate.ErrConflict)
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 3))) // which say no change
		got := e.history("a", gate.HistoryQuery{})
		if len(got) != 1 {
			e.Fatalf("got %d entries, want 1: %+v", len(got), got)
		}
		want.Digest, want.At = digest("a"), got[0].At
		if diff := cmp.Diff(want, got[0].StandingChange); diff != "" {
			e.Errorf("entry (-want +got):\n%s", diff)
		}
		if age := e.now().Sub(got[0].At); age < 0 || age > time.Hour {
			e.Errorf("the entry is of %s, it is %s", got[0].At, e.now())
		}
		told, _ := e.changes(from)
		var named []int64
		for _, c := range told {
			if c.History != 0 {
				named = append(named, c.History)
			}
		}
		if diff := cmp.Diff(numbersOf(got), named); diff != "" {
			e.Errorf("entries that the feed names (-want +got):\n%s", diff)
		}
	}},
	{"verdicts_that_differ_are_entries", func(e *env) {
		for _, loc := range []gate.Location{app, other} {
			_, err := e.s.AddLocation(e.ctx, digest("a"), loc)
			e.no(err)
		}
		from := e.lastSeq()
		e.rested("a", app, gate.OutcomeDeny, "no_critical")
		e.rested("a", app, gate.OutcomeDeny, "no_critical")
		e.rested("a", other, gate.OutcomeAllow, "")
		e.rested("a", app, gate.OutcomeDeny, "no_root") // the outcome stays
		e.rested("a", app, gate.OutcomeAllow, "")
		verdict := func(o gate.Outcome, rules ...string) gate.VerdictRef {
			return gate.VerdictRef{Outcome: o, Rules: rules}
		}
		none := gate.VerdictRef{}
		want := [][]gate.VerdictChange{
			{{Location: app, Before: verdict(gate.OutcomeDeny, "no_root"), After: verdict(gate.OutcomeAllow)}},
			{{Location: app, Before: verdict(gate.OutcomeDeny, "no_critical"), After: verdict(gate.OutcomeDeny, "no_root")}},
			{{Location: other, Before: none, After: verdict(gate.OutcomeAllow)}},
			{{Location: app, Before: none, After: verdict(gate.OutcomeDeny, "no_critical")}},
		}
		got := e.history("a", gate.HistoryQuery{})
		var verdicts [][]gate.VerdictChange
		for _, x := range got {
			verdicts = append(verdicts, x.Verdicts)
			if x.Event != gate.EventPush || x.Findings != nil {
				e.Errorf("got %+v", x)
			}
		}
		if diff := cmp.Diff(want, verdicts); diff != "" {
			e.Fatalf("entries (-want +got):\n%s", diff)
		}
		followed, next, err := history.After(e.ctx, e.s, from, 1000)
		e.no(err)
		if diff := cmp.Diff([]int64{got[3].Number, got[2].Number, got[0].Number}, numbersOf(followed)); diff != "" {
			e.Errorf("followed (-want +got):\n%s", diff)
		}
		if again, _, err := history.After(e.ctx, e.s, from, 1000); err != nil || !cmp.Equal(again, followed) {
			e.Errorf("followed again: got %v, %v", numbersOf(again), err)
		}
		if rest, _, err := history.After(e.ctx, e.s, next, 1000); err != nil || len(rest) > 0 {
			e.Errorf("after all: got %v, %v", numbersOf(rest), err)
		}
	}},
	{"is_read_in_pages_and_since_a_time", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		var middle time.Time
		for i := range 10 {
			if i == 5 {
				middle = e.now()
			}
			e.rested("a", app, gate.OutcomeDeny, fmt.Sprint("rule ", i))
			e.advance(time.Minute)
		}
		all := e.history("a", gate.HistoryQuery{})
		var paged []gate.HistoryEntry
		for before := int64(0); ; {
			page := e.history("a", gate.HistoryQuery{Before: before, Limit: 3})
			if len(page) == 0 {
				break
			}
			paged, before = append(paged, page...), page[len(page)-1].Number
		}
		if diff := cmp.Diff(all, paged); diff != "" || len(all) != 10 {
			e.Errorf("%d in pages (-want +got):\n%s", len(all), diff)
		}
		for i := 1; i < len(all); i++ {
			if all[i].Number >= all[i-1].Number || all[i].At.After(all[i-1].At) {
				e.Errorf("%+v is behind %+v", all[i], all[i-1])
			}
		}
		if got := e.history("a", gate.HistoryQuery{Since: middle}); len(got) != 5 {
			e.Errorf("since %s: got %d entries, want 5", middle, len(got))
		}
		if got := e.history("unknown", gate.HistoryQuery{}); len(got) != 0 {
			e.Errorf("of an unknown digest: got %+v", got)
		}
		_, err = e.s.History(e.ctx, "sha256:no digest", gate.HistoryQuery{})
		e.want(err, gate.ErrDigestInvalid)
	}},
	{"keeps_the_newest", func(e *env) {
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		for i := range store.MaxHistory + 20 {
			e.rested("a", app, gate.OutcomeDeny, fmt.Sprint("rule ", i))
		}
		got := e.history("a", gate.HistoryQuery{})
		if len(got) != store.MaxHistory || got[0].Verdicts[0].After.Rules[0] != fmt.Sprint("rule ", store.MaxHistory+19) {
			e.Errorf("got %d entries, the newest is %+v", len(got), got[0])
		}
		exported := e.section(store.SectionRecords, "")
		if n := len(exported[0].Record.History); n != store.MaxHistory {
			e.Errorf("%d entries are exported", n)
		}
	}},
	{"an_entry_is_bounded_whatever_is_in_it", func(e *env) {
		id := e.scanned("a", 1)
		f := e.changing("a", id, 1)
		long := strings.Repeat("ä", 1<<16)
		list := make([]gate.Vulnerability, gate.MaxChanged)
		for i := range list {
			list[i] = gate.Vulnerability{ID: fmt.Sprint("CVE-", i), Package: long, Path: long, Severity: gate.SeverityHigh}
		}
		f.Change.Findings.Found = gate.ChangedFindings{List: list, Total: gate.Counts{High: 5000}}
		f.Change.Findings.After.Unassessable = long
		e.no(PutFindings(e.ctx, e.s, f))
		got := e.history("a", gate.HistoryQuery{})
		if len(got) != 1 || got[0].Findings.Found.Total.High != 5000 || len(got[0].Findings.Found.List) == 0 || got[0].Findings.Found.List[0].ID != "CVE-0" {
			e.Fatalf("got %d entries", len(got))
		}
		if n := len(e.section(store.SectionRecords, "")[0].Record.History[0].Data); n > store.MaxHistoryEntry {
			e.Errorf("the entry has %d bytes", n)
		}
		first := findings("a", id, 2)
		first.Change = &gate.StandingChange{Findings: &gate.FindingsChange{First: true, Found: gate.ChangedFindings{List: list, Total: gate.Counts{High: 100}}}}
		e.no(PutFindings(e.ctx, e.s, first))
		if got := e.history("a", gate.HistoryQuery{Limit: 1}); !got[0].Findings.First || len(got[0].Findings.Found.List) != 0 || got[0].Findings.Found.Total.High != 100 {
			e.Errorf("first findings: got %+v", got[0].Findings)
		}
	}},
	{"outlives_a_crash_and_goes_on", func(e *env) {
		id := e.scanned("a", 1)
		e.no(PutFindings(e.ctx, e.s, e.changing("a", id, 1)))
		e.rested("a", app, gate.OutcomeDeny, "no_critical")
		want := e.history("a", gate.HistoryQuery{})
		e.crash()
		if diff := cmp.Diff(want, e.history("a", gate.HistoryQuery{})); diff != "" || len(want) != 2 {
			e.Fatalf("%d entries (-want +got):\n%s", len(want), diff)
		}
		e.no(PutFindings(e.ctx, e.s, e.changing("a", id, 2)))
		if got := e.history("a", gate.HistoryQuery{}); len(got) != 3 || got[0].Number <= got[1].Number {
			e.Errorf("got %v", numbersOf(got))
		}
	}},
	{"of_many_writers_each_change_is_one_entry", func(e *env) {
		id := e.scanned("a", 1)
		const generations = 20
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for g := int64(1); g <= generations; g++ {
					entry, err := gate.ReadEntry(e.ctx, e.s, digest("a"))
					if err != nil {
						e.Error(err)
						return
					}
					if entry.Record.Generation >= g {
						continue
					}
					_, _ = e.s.PutFindings(e.ctx, e.changing("a", id, g), entry.Record.FindingsID) // or another was faster
				}
			})
		}
		workers.Wait()
		var got []int64
		for _, x := range e.history("a", gate.HistoryQuery{}) {
			got = append(got, x.Generation)
		}
		for i := 1; i < len(got); i++ {
			if got[i] >= got[i-1] {
				e.Fatalf("generations in the history, the newest first: %v", got)
			}
		}
		if len(got) == 0 || got[0] != generations {
			e.Errorf("generations in the history: %v", got)
		}
	}},
}

// historyCopies is that a copy has the history, in its place.
var historyCopies = []copyCase{
	{"history_comes_along", func(from, to *env) {
		id := from.scanned("a", 1)
		from.no(PutFindings(from.ctx, from.s, from.changing("a", id, 1)))
		from.rested("a", app, gate.OutcomeDeny, "no_critical")
		to.take(from.pieces())
		want := from.history("a", gate.HistoryQuery{})
		if diff := cmp.Diff(want, to.history("a", gate.HistoryQuery{}), cmpopts.EquateEmpty()); diff != "" || len(want) != 2 {
			to.Fatalf("%d entries (-want +got):\n%s", len(want), diff)
		}
		from.rested("a", app, gate.OutcomeAllow, "")
		to.take(from.pieces())
		if got := to.history("a", gate.HistoryQuery{}); len(got) != 3 {
			to.Errorf("got %d entries after another, want 3", len(got))
		}
		to.rested("a", app, gate.OutcomeDeny, "again")
		if got := to.history("a", gate.HistoryQuery{}); len(got) != 4 || got[0].Number <= got[1].Number {
			to.Errorf("got %v", numbersOf(got))
		}
	}},
}
