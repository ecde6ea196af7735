package lookup

import (
	"testing"

	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// TestStateTexts: each state of a job has a text with all its parameters.
func TestStateTexts(t *testing.T) {
	waits := &explain.Obstacle{Text: refusal.Say(refusal.QuotaForGood, nil)}
	for _, s := range []state{{}, {usual: 7}, {running: true}, {running: true, usual: 7}, {waits: waits}} {
		for name, keys := range map[string]stateKeys{"in progress": inProgress, "newly queued": newlyQueued} {
			if err := refusal.Fits(s.text(keys)); err != nil {
				t.Errorf("%+v, %s: %v", s, name, err)
			}
		}
	}
}
