package gate_test

import (
	"context"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

// TestPlatformThatIsConfiguredLater: an index that was read before is judged by
// the platforms of now, since nodes of the new kind would run its other child.
func TestPlatformThatIsConfiguredLater(t *testing.T) {
	s := newSite(t, month(0))
	index, children := s.pushIndex("team/app", "multi")
	s.Source = onlyAMD64{s.Source}
	s.event("team/app", "multi", index)
	s.work()
	l := s.lookup(gate.LookupOptions{})
	image := s.at("team/app", "@"+string(index))
	if a := s.ask(l, image); !a.Permits() {
		t.Fatalf("with one configured platform: got %+v", a)
	}
	s.matcher.bad[children[1]] = gate.SeverityCritical // the arm64 one
	s.Platforms = func(p gate.Platform) bool { return p.OS == "linux" }
	if a := s.ask(l, image); a.Permits() || a.Code != gate.CodeUnscanned {
		t.Errorf("with the platform that nobody has scanned: got %+v, want UNSCANNED", a)
	}
	s.work()
	if a := s.ask(l, image); a.Permits() || a.Code != gate.CodePolicy || a.Platform != "linux/arm64" {
		t.Errorf("after its scan: got %+v, want POLICY for linux/arm64", a)
	}
}

// onlyAMD64 is a registry client with one configured platform.
type onlyAMD64 struct{ gate.Source }

func (o onlyAMD64) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	m, err := o.Source.Resolve(ctx, loc, ref)
	for i, c := range m.Children {
		m.Children[i].Judged = c.Platform.Architecture == "amd64"
	}
	return m, err
}
