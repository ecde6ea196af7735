package gate_test

import (
	"context"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// TestPlatformThatIsConfiguredLater: an index that was read before is judged by
// the platforms of now, since nodes of the new kind would run its other child.
func TestPlatformThatIsConfiguredLater(t *testing.T) {
	s := newSite(t, month(0))
	index, children := s.pushIndex("team/app", "multi")
	s.Source = onlyAMD64{s.Source}
	s.event("team/app", "multi", index)
	s.work()
	l := s.lookup(lookup.Options{})
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

// TestRunnableImageThatIsCalledAnAttestation: what an index calls the attestation of
// another image neither counts for the index nor is admitted for it. By its own digest
// it is judged as the image that it is.
func TestRunnableImageThatIsCalledAnAttestation(t *testing.T) {
	s := newSite(t, month(0))
	good := s.members()[0]
	unknown := v1.Platform{OS: "unknown", Architecture: "unknown"}
	img, err := fake.RandomImage(666, v1.Platform{OS: "linux", Architecture: "amd64"}, 50)
	if err != nil {
		t.Fatal(err)
	}
	digestOf := func(i any) gate.Digest {
		t.Helper()
		h, err := i.(v1.Image).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return gate.Digest(h.String())
	}
	evil, called := digestOf(img), fake.Child{Add: img, Platform: &unknown, Annotations: map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(digestOf(good.Add)),
	}}
	s.matcher.bad[evil] = gate.SeverityCritical
	l := s.lookup(lookup.Options{})
	byDigest := s.at("team/app", "@"+string(evil))
	push := func(tag string, children ...fake.Child) string {
		t.Helper()
		index, err := s.registry.PushIndex("team/app", tag, fake.NewIndex(children...))
		if err != nil {
			t.Fatal(err)
		}
		s.event("team/app", tag, index)
		s.work()
		return s.at("team/app", "@"+string(index))
	}

	index := push("good", good, called)
	if a := s.ask(l, index); !a.Permits() {
		t.Errorf("an index with an attestation: got %+v, want it judged by its image", a)
	}
	if got := s.entry(evil); got.Record.Known() || s.used().Used != 1 {
		t.Errorf("the attestation: got %+v and %d charged, want nothing recorded and its image charged", got, s.used().Used)
	}
	if a := s.ask(l, byDigest); a.Permits() || a.Code != gate.CodeUnscanned {
		t.Errorf("by its digest: got %+v, want UNSCANNED", a)
	}
	s.work()
	if a := s.ask(l, byDigest); a.Permits() || a.Code != gate.CodePolicy {
		t.Errorf("by its digest, scanned: got %+v, want POLICY", a)
	}
	if a := s.ask(l, index); !a.Permits() {
		t.Errorf("the index afterwards: got %+v, want it judged by its image", a)
	}
	if a := s.ask(l, push("alone", called)); a.Permits() || a.Code != gate.CodeUnassessable || !strings.Contains(english(a), "no images") {
		t.Errorf("an index of that alone: got %+v, want UNASSESSABLE", a)
	}
}
