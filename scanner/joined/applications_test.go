package joined

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// TestApplicationsByTheOperator: the configured source of a statement about an application
// hides only where the configuration says that it may, after each reload, and an explanation
// says the same.
func TestApplicationsByTheOperator(t *testing.T) {
	s := newSite(t)
	const text = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "Acme", "timestamp": "2026-11-01T00:00:00Z", "version": 1, "statements": [
 {"vulnerability": {"name": "CVE-2026-0001"}, "status": "not_affected", "justification": "component_not_present",
  "products": [{"@id": "pkg:golang/example.com/app@v1.2.3", "subcomponents": [{"@id": "pkg:golang/golang.org/x/net"}]}]}]}`
	path := s.write("acme.json", text)
	for i, applications := range []bool{false, true, false} {
		config := vex.Config{Name: "acme", Path: path, Checksum: checksum(text), Repositories: []string{"r/**"}, MaxAge: 60 * 24 * time.Hour, Applications: applications}
		if err := config.Validate(); err != nil {
			t.Fatal(err)
		}
		set := s.process("a", func(o *Options) { o.VEX = []vex.Config{config} })
		s.follow(set.Follow(t.Context()))
		e, err := Explain([]byte(text), "acme", []vex.Config{config}, s.now())
		if err != nil {
			t.Fatal(err)
		}
		for name, tables := range map[string]*Tables{"in_force": set.Tables(), "explained": e.Tables} {
			_, got := tables.Hides(gate.Whereabouts{Digest: image, Location: gate.Location{Registry: "r", Repository: "a"}},
				&gate.Vulnerability{ID: "CVE-2026-0001", PURL: "pkg:golang/golang.org/x/net@v0.40.0", Root: "pkg:golang/example.com/app@v1.2.3"}, s.now())
			if got != applications {
				t.Errorf("%d, %s: hidden %t", i, name, got)
			}
		}
		st := set.Status()[3].Sources[0]
		if (st.Statements == 1) != applications || (len(st.Refused) == 1) == applications || (len(e.Effect.Refused) == 1) == applications {
			t.Errorf("%d: status %+v, explained as %+v", i, st, e.Effect)
		}
	}
}
