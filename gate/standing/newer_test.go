package standing

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestNewer_late: a question that began under the generation before does not have what is
// known of the present one forgotten.
func TestNewer_late(t *testing.T) {
	var n newer
	now, before := gate.Generation{Number: 2}, gate.Generation{Number: 1}
	n.note(now, "sha256:a")
	n.note(before, "sha256:b")
	if !n.has(now, "sha256:a") || !n.knows(now) {
		t.Error("newer findings of an image are forgotten")
	}
	if n.knows(before) {
		t.Error("all is remembered of a generation of which nothing is")
	}
}
