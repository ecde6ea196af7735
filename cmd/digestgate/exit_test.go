package main

import (
	"io"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
)

// TestExitCodeOfAnImageThatIsNotWhollyScanned: what is known of some platforms
// of an index is no verdict on the index, unless it is a denial.
func TestExitCodeOfAnImageThatIsNotWhollyScanned(t *testing.T) {
	for _, c := range []struct {
		name     string
		state    gate.State
		decision gate.Outcome
		code     gate.Code
		want     int
	}{
		{"scanned_and_allowed", gate.StateScanned, gate.OutcomeAllow, "", exitAllow},
		{"scanned_and_warned", gate.StateScanned, gate.OutcomeWarn, "", exitAllow},
		{"one_platform_failed", gate.StateFailed, gate.OutcomeAllow, "", exitNoVerdict},
		{"one_platform_waits_for_quota", gate.StateQuotaExhausted, gate.OutcomeWarn, "", exitNoVerdict},
		{"one_platform_denied", gate.StateFailed, gate.OutcomeDeny, gate.CodePolicy, exitDeny},
		{"unassessable", gate.StateUnassessable, gate.OutcomeNone, gate.CodeUnassessable, exitNoVerdict},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := api.ImageDetail{State: c.state, Verdict: &api.Verdict{Decision: c.decision, Code: c.code}}
			if got := exitCode(printVerdict(io.Discard, "json", v)); got != c.want {
				t.Errorf("got exit %d, want %d", got, c.want)
			}
		})
	}
}
