//go:build goexperiment.jsonv2

package main

import (
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
