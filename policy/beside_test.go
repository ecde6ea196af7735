package policy

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestBesideHides: what is found beside an image takes its finding out, of this image and
// not of another that is alike, also from memory; and it goes when the document goes.
func TestBesideHides(t *testing.T) {
	e := joinedEngine(t, `deny contains {"rule": "any", "msg": v.id} if some v in input.findings.vulnerabilities`, &fakeTables{})
	alike := joinedImage("alike", "CVE-2026-1111")
	q := joinedImage("stated", "CVE-2026-1111")
	_, f, _ := q.Load(t.Context())
	f.Beside = &gate.BesideVEX{Documents: []gate.BesideDocument{{Source: "acme", Statements: "CVE-2026-1111"}}}
	q.Record.TakeFindings("fbeside", f)
	for range 2 {
		if got := ruling(e.Evaluate(t.Context(), alike)); got != "deny any" {
			t.Errorf("an image that is alike: got %q", got)
		}
		if got := ruling(e.Evaluate(t.Context(), q)); got != "allow " {
			t.Errorf("with a document: got %q", got)
		}
	}
	f.Beside = &gate.BesideVEX{Refused: map[string]int{"not signed": 1}}
	q.Record.TakeFindings("fgone", f)
	if got := ruling(e.Evaluate(t.Context(), q)); got != "deny any" {
		t.Errorf("without: got %q", got)
	}
}
