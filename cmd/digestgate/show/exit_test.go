package show

import (
	"io"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
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
		{"scanned_and_allowed", gate.StateScanned, gate.OutcomeAllow, "", ExitAllow},
		{"scanned_and_warned", gate.StateScanned, gate.OutcomeWarn, "", ExitAllow},
		{"one_platform_failed", gate.StateFailed, gate.OutcomeAllow, "", ExitNoVerdict},
		{"one_platform_waits_for_quota", gate.StateQuotaExhausted, gate.OutcomeWarn, "", ExitNoVerdict},
		{"one_platform_denied", gate.StateFailed, gate.OutcomeDeny, gate.CodePolicy, ExitDeny},
		{"unassessable", gate.StateUnassessable, gate.OutcomeNone, gate.CodeUnassessable, ExitNoVerdict},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := view.ImageDetail{State: c.state, Verdict: &view.Verdict{Decision: c.decision, Code: c.code}}
			if got := ExitCode(PrintVerdict(io.Discard, "json", v)); got != c.want {
				t.Errorf("got exit %d, want %d", got, c.want)
			}
		})
	}
}

// What to do stands at the end of a reason.
func TestPrintVerdict_prints_reasons_to_their_end(t *testing.T) {
	msg := strings.Repeat("x", maxReason-len("add it")) + "add it"
	var out strings.Builder
	v := view.ImageDetail{State: gate.StateScanned, Verdict: &view.Verdict{Decision: gate.OutcomeDeny, Code: gate.CodePolicy,
		Reasons: []gate.Reason{{Action: gate.OutcomeDeny, Rule: "r", Msg: msg}}}}
	_ = PrintVerdict(&out, "table", v)
	if !strings.Contains(out.String(), msg) {
		t.Errorf("got %q, want the whole reason", out.String())
	}
}
