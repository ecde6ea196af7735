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
	n.begin("sha256:base", now)
	n.note(now, "sha256:a")
	n.note(before, "sha256:b")
	if !n.has(now, "sha256:a") || !n.knows(now, "sha256:base") {
		t.Error("newer findings of an image are forgotten")
	}
	if n.knows(before, "sha256:base") {
		t.Error("all is remembered of a generation of which nothing is")
	}
	if n.knows(now, "sha256:other") {
		t.Error("it has replaced other data")
	}
	var started newer // with the generation that is in force
	started.note(now, "sha256:a")
	if started.knows(now, "sha256:base") || started.knows(now, "") {
		t.Error("a process that has just started knows what others have matched before")
	}
}
