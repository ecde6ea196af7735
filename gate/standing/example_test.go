package standing_test

import (
	"context"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
)

// withdrawn is a source of findings: packages that must not run in any version. It says
// what it has found, and policies decide what that means.
type withdrawn struct{ names map[string]string } // package → advisory

var _ standing.Matcher = withdrawn{}

func (w withdrawn) Match(_ context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	g, _ := w.Generation()
	found := &gate.Findings{Digest: inv.Digest, Generation: g.Number, UpdatedAt: g.UpdatedAt, Matcher: w.Version()}
	for _, p := range inv.Packages { // sorted, and so are the findings
		if id, ok := w.names[p.Name]; ok {
			found.Vulnerabilities = append(found.Vulnerabilities, gate.Vulnerability{
				ID: id, Package: p.Name, InstalledVersion: p.Version, Severity: gate.SeverityCritical, CVSS: -1,
			})
		}
	}
	return found, nil
}

// Generation has the time of the data itself: policies refuse data that is too old.
func (w withdrawn) Generation() (gate.Generation, bool) {
	return gate.Generation{Number: 1, UpdatedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}, true
}

// Version changes when the same data gives other findings; every image is then matched
// again.
func (w withdrawn) Version() string { return "withdrawn/1" }

// A matcher compares an inventory with its data. It reads no image and asks no network.
func ExampleMatcher() {
	m := withdrawn{names: map[string]string{"event-stream": "OWN-2018-1"}}
	found, err := m.Match(context.Background(), &gate.Inventory{
		Packages: []gate.Package{{Name: "event-stream", Version: "3.3.6"}, {Name: "express", Version: "4.18.2"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range found.Vulnerabilities {
		fmt.Println(v.Package, v.InstalledVersion, v.ID, v.Severity)
	}
	// Output: event-stream 3.3.6 OWN-2018-1 CRITICAL
}

// denials is told what became different, and keeps the images that may not run any
// more. It only writes down: whoever is told of it waits elsewhere.
type denials struct{ lines []string }

var _ standing.Changes = (*denials)(nil)

func (d *denials) Changed(_ context.Context, c gate.StandingChange) {
	for _, v := range c.Verdicts {
		if v.After.Outcome == gate.OutcomeDeny && !v.First() {
			d.lines = append(d.lines, fmt.Sprintf("%s: %s, now %s by %v", v.Location, v.Before.Outcome, v.After.Outcome, v.After.Rules))
		}
	}
}

// A change is told once, after it was written, by the process that has written it.
func ExampleChanges() {
	var d denials
	d.Changed(context.Background(), gate.StandingChange{
		Event:    gate.EventRescan,
		Findings: &gate.FindingsChange{Found: gate.ChangedFindings{Total: gate.Counts{Critical: 1}}},
		Verdicts: []gate.VerdictChange{{
			Location: gate.Location{Registry: "hub", Repository: "team/app"},
			Before:   gate.VerdictRef{Outcome: gate.OutcomeAllow},
			After:    gate.VerdictRef{Outcome: gate.OutcomeDeny, Code: gate.CodePolicy, Rules: []string{"fixable-critical"}},
		}},
	})
	fmt.Println(d.lines)
	// Output: [hub/team/app: allow, now deny by [fixable-critical]]
}
