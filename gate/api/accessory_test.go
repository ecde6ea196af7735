package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// other records a manifest that is not an image.
func (s *site) other(name string, kind gate.ManifestKind, subject gate.Digest, tag string) gate.Digest {
	s.Helper()
	d := digest(name)
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: kind, Subject: subject}))
	_, err := s.store.AddLocation(s.ctx, d, loc("app"))
	s.no(err)
	if tag != "" {
		s.tag(loc("app"), tag, d)
	}
	return d
}

// TestAccessoriesAreShownWithTheirImage: signatures, attestations and SBOMs are no
// images that nobody has scanned.
func TestAccessoriesAreShownWithTheirImage(t *testing.T) {
	s := newSite(t, nil)
	image := s.image("image", loc("app"))
	s.tag(loc("app"), "v1", image)
	base := strings.Replace(string(image), ":", "-", 1)
	want := []view.Accessory{
		{Digest: s.other("referrer", gate.KindArtifact, image, ""), Kind: gate.KindArtifact, Registry: "hub", Repository: "app"},
		{Digest: s.other("att", gate.KindAttestation, "", base+".att"), Kind: gate.KindAttestation, Registry: "hub", Repository: "app", Tag: base + ".att"},
		{Digest: s.other("list", gate.KindIndex, "", base), Kind: gate.KindIndex, Registry: "hub", Repository: "app", Tag: base},
		{Digest: s.other("bom", gate.KindSBOM, image, ""), Kind: gate.KindSBOM, Registry: "hub", Repository: "app"},
		{Digest: s.other("sig", gate.KindSignature, "", base+".sig"), Kind: gate.KindSignature, Registry: "hub", Repository: "app", Tag: base + ".sig"},
	}
	chart := s.other("chart", gate.KindChart, "", "chart-1")
	elsewhere := s.other("lone", gate.KindSignature, digest("not known"), "")
	s.catchUp()

	var v view.ImageDetail
	s.get("/images/"+string(image), &v)
	if diff := cmp.Diff(want, v.Accessories); diff != "" {
		t.Errorf("the image (-want +got):\n%s", diff)
	}
	digests := func(query string) (list []gate.Digest) {
		var page imageList
		s.get("/images"+query, &page)
		for _, i := range page.Images {
			list = append(list, i.Digest)
			if i.Digest == image {
				if diff := cmp.Diff(want, i.Accessories); diff != "" {
					t.Errorf("the row (-want +got):\n%s", diff)
				}
			}
		}
		return list
	}
	if got := digests(""); !slices.Equal(got, []gate.Digest{chart, image}) {
		t.Errorf("the list: got %v, want the chart and the image", got)
	}
	if got := digests("?state=not_scanned"); !slices.Equal(got, []gate.Digest{image}) {
		t.Errorf("not scanned: got %v, want the image", got)
	}
	if got := digests("?kind=signature"); !slices.Equal(got, []gate.Digest{elsewhere, want[4].Digest}) {
		t.Errorf("signatures: got %v", got)
	}
	s.get("/images/"+string(want[3].Digest), &v)
	if v.Subject != image || v.State != gate.StateUnassessable || !strings.Contains(v.Unassessable, "its kind is sbom") {
		t.Errorf("the SBOM: got %+v", v)
	}
}
