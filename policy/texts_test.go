package policy

import (
	"context"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// TestConditionsHaveTexts: what the engine says itself can be said in another language,
// and its message is the same in English.
func TestConditionsHaveTexts(t *testing.T) {
	e := newEngine(t, Options{})
	inv := testInventory()
	inv.PackageDatabase = false
	questions := []gate.Question{question(inv, testFindings())}
	for _, state := range []gate.State{
		gate.StateNotScanned, gate.StateQueued, gate.StateScanning, gate.StateScanned, gate.StateFailed, gate.StateQuotaExhausted,
		gate.StateCancelled, gate.StateUnassessable,
	} {
		questions = append(questions, gate.Question{State: state})
	}
	for _, q := range questions {
		d := e.Evaluate(context.Background(), q)
		if len(d.Reasons) == 0 {
			t.Errorf("%s: no reason", q.State)
		}
		for _, r := range d.Reasons {
			if err := refusal.Fits(r.Text); err != nil {
				t.Errorf("%s: %v", q.State, err)
			}
			if got := gate.Printable(refusal.English(r.Text), maxMsgBytes); got != r.Msg {
				t.Errorf("%s: the message is %q, the text %q", q.State, r.Msg, got)
			}
		}
	}
}
