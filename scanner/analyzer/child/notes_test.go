//go:build goexperiment.jsonv2

package child

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// TestKindsOfGap: each note has a kind, and a layer's result cannot invent one.
func TestKindsOfGap(t *testing.T) {
	n := &notes{}
	n.fail(gate.RiskVulnerabilities, "dpkg", "var/lib/dpkg/status", "broken")
	n.fail(gate.RiskVulnerabilities, "npm", "", "broken")
	n.failKind(gate.RiskVulnerabilities, gate.GapJarWithoutCoordinates, "jar", "a.jar", "no name")
	var l protocol.Part
	n.into(&l)
	l.Errors = append(l.Errors, gate.AnalyzerError{Risk: gate.RiskSecrets, Kind: "invented", Path: "z"})

	merged := &notes{}
	merged.carry(l, func(string) bool { return true })
	got := map[string]string{}
	for _, e := range merged.errors {
		got[e.Path] = e.Kind
	}
	want := map[string]string{
		"var/lib/dpkg/status": gate.GapUnreadable, "": gate.GapAnalyzerFailed,
		"a.jar": gate.GapJarWithoutCoordinates, "z": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestErrorsOverTheCap: what is not listed is counted by risk and kind, over
// all layers.
func TestErrorsOverTheCap(t *testing.T) {
	layer := func(path string) (p protocol.Part) {
		n := &notes{}
		for i := range protocol.MaxNotes - 10 {
			n.fail(gate.RiskVulnerabilities, "dpkg", fmt.Sprint(path, i), "broken")
		}
		for i := range 20 {
			n.failKind(gate.RiskVulnerabilities, gate.GapJarWithoutCoordinates, "jar", fmt.Sprint(path, "j", i), "no name")
			n.fail(gate.RiskSecrets, analyzerSecrets, fmt.Sprint(path, "s", i), "broken")
		}
		n.leaveOut(gate.Skip{Risk: gate.RiskSecrets, Reason: "binary file", Files: 1, Size: 10})
		n.leaveOut(gate.Skip{Risk: gate.RiskSecrets, Reason: "binary file", Files: 1, Size: 20})
		n.into(&p)
		return p
	}
	merged, all := &notes{}, func(string) bool { return true }
	merged.carry(layer("a"), all)
	forged := layer("b")
	forged.MoreErrors = append(forged.MoreErrors, gate.ErrorCount{Risk: gate.RiskSecrets, Kind: "invented", Count: 1},
		gate.ErrorCount{Risk: "invented", Count: 1}, gate.ErrorCount{Risk: gate.RiskVulnerabilities, Count: -5})
	merged.carry(forged, all)
	var got protocol.Part
	merged.into(&got)
	sum := map[gate.Risk]map[string]int{gate.RiskVulnerabilities: {}, gate.RiskSecrets: {}}
	for _, e := range got.Errors {
		sum[e.Risk][e.Kind]++
	}
	for _, c := range got.MoreErrors {
		sum[c.Risk][c.Kind] += c.Count
	}
	want := map[gate.Risk]map[string]int{
		gate.RiskVulnerabilities: {gate.GapUnreadable: 2 * (protocol.MaxNotes - 10), gate.GapJarWithoutCoordinates: 40},
		gate.RiskSecrets:         {gate.GapUnreadable: 40, "": 1},
	}
	if diff := cmp.Diff(want, sum); diff != "" || len(got.Errors) != protocol.MaxNotes {
		t.Errorf("%d errors listed; all (-want +got):\n%s", len(got.Errors), diff)
	}
	wantLeft := []gate.Skip{{Risk: gate.RiskSecrets, Reason: "binary file", Files: 4, Size: 60}}
	if diff := cmp.Diff(wantLeft, got.LeftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}
