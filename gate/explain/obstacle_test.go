package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// TestCauseOfEveryKind: each kind of cause has words with all their parameters, at the
// place where it was met and at another; a kind of a later version has some too.
func TestCauseOfEveryKind(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	here, there := gate.Location{Registry: "hub", Repository: "team/app"}, gate.Location{Registry: "elsewhere-hub", Repository: "tenant/app"}
	seen := map[string]gate.CauseKind{}
	for _, kind := range []gate.CauseKind{
		gate.CauseContent, gate.CauseCredentials, gate.CauseMissing, gate.CauseRefused, gate.CauseServed, gate.CauseNotConfigured,
		gate.CauseAskedToWait, gate.CauseName, gate.CauseCertificate, gate.CauseUnreachable, gate.CauseFailing, gate.CauseQuota,
		gate.CausePulls, gate.CauseWorker, gate.CauseResource, gate.CauseAdvisories, gate.CauseStore, gate.CauseInternal, "of a later version",
	} {
		for _, c := range []gate.Cause{
			{Kind: kind, At: here}, {Kind: kind, At: there}, {Kind: kind, At: here, Until: now.Add(time.Hour)}, {Kind: kind, At: here, Text: "layer 1 is encrypted"},
		} {
			o := explain.Cause(c, here, now)
			if err := refusal.Fits(o.Text); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			text := refusal.English(o.Text)
			if strings.Contains(text, "tenant") || strings.Contains(text, "elsewhere") {
				t.Errorf("%+v: got %q, which names another place", c, text)
			}
			if c == (gate.Cause{Kind: kind, At: here}) {
				if other, ok := seen[text]; ok && kind != "of a later version" {
					t.Errorf("%s and %s say the same: %q", kind, other, text)
				}
				seen[text] = kind
			}
		}
	}
}
