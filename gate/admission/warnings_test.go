package admission

import (
	"fmt"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestWarningsWithoutRoomCostNothing: images have dozens of warnings, of which an answer
// has room for some.
func TestWarningsWithoutRoomCostNothing(t *testing.T) {
	about := func(n int) func() {
		j := checkedPlace{place: place{image: "registry.example.com/team/app:1"}}
		for i := range n {
			j.answer.Warnings = append(j.answer.Warnings, fmt.Sprintf("fixable-high: lib%03d has a vulnerability, which is said here at some length; upgrade it to version 1.2.%d", i, i))
		}
		j.answer.Outcome = gate.OutcomeWarn
		return func() {
			var r Response
			r.warnReasons(&j, DetailsFull)
			if len(r.Warnings) < 5 || r.Warnings[len(r.Warnings)-1] != moreWarnings {
				t.Fatalf("%d warnings of %d: %q", len(r.Warnings), n, r.Warnings)
			}
		}
	}
	few, many := testing.AllocsPerRun(20, about(30)), testing.AllocsPerRun(20, about(3000))
	if many > few+1 {
		t.Errorf("3,000 warnings take %.0f allocations, 30 take %.0f", many, few)
	}
}
