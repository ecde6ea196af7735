package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// TestFindingsOfAnIndex: those of all its images together, each with its platforms,
// and nothing looks clean that was not looked at.
func TestFindingsOfAnIndex(t *testing.T) {
	s := newSite(t, nil)
	platform := func(arch string) gate.Platform { return gate.Platform{OS: "linux", Architecture: arch} }
	set := digest("set")
	s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: set, Kind: gate.KindIndex, Children: []gate.Child{
		{Digest: digest("amd"), Platform: platform("amd64"), Judged: true},
		{Digest: digest("arm"), Platform: platform("arm64"), Judged: true},
		{Digest: digest("arm"), Platform: gate.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, Judged: true},
		{Digest: digest("ppc"), Platform: platform("ppc64le")},
	}}))
	_, err := s.store.AddLocation(s.ctx, set, loc("app"))
	s.no(err)
	amd, arm := s.image("amd", loc("app")), s.image("arm", loc("app"))
	target := "/images/" + string(set) + "/findings"
	s.refused(s.send("GET", "/api/v1"+target, "", nil), http.StatusNotFound, "none of its 4 images has an inventory")

	both, one := found("CVE-1", gate.SeverityCritical), found("CVE-2", gate.SeverityLow)
	s.scanned(amd, both)
	var v view.FindingsDetail
	s.get(target, &v)
	if v.MatchedAt != nil || len(v.Vulnerabilities) != 1 || len(v.Platforms) != 4 || v.Platforms[1].AnalyzedAt != nil || v.Platforms[1].State != gate.StateNotScanned {
		t.Errorf("one of two: got %+v, want findings, and matchedAt null", v)
	}
	s.scanned(arm, both, one)
	v = view.FindingsDetail{}
	s.get(target, &v)
	got := map[string][]string{}
	for _, f := range v.Vulnerabilities {
		got[f.ID] = f.Platforms
	}
	want := map[string][]string{"CVE-1": {"linux/amd64", "linux/arm64", "linux/arm64/v8"}, "CVE-2": {"linux/arm64", "linux/arm64/v8"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("platforms of the findings (-want +got):\n%s", diff)
	}
	if v.Digest != set || v.MatchedAt == nil || v.Packages != 2 || v.Advisories == nil || v.Risks[gate.RiskSecrets].Coverage != gate.Partial ||
		v.Risks[gate.RiskSecrets].Reason == "one file" {
		t.Errorf("both: got %+v", v)
	}
	var shown []string
	for _, p := range v.Platforms {
		shown = append(shown, p.Platform)
		if (p.AnalyzedAt != nil) != (p.Platform != "linux/ppc64le") || p.Judged == (p.Platform == "linux/ppc64le") {
			t.Errorf("platform %s: got %+v", p.Platform, p)
		}
	}
	if !slices.Equal(shown, []string{"linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/ppc64le"}) {
		t.Errorf("platforms: got %q", shown)
	}
	v = view.FindingsDetail{}
	s.get(target+"?severity=LOW", &v)
	if len(v.Vulnerabilities) != 1 || v.Vulnerabilities[0].ID != "CVE-2" {
		t.Errorf("LOW: got %+v", v.Vulnerabilities)
	}
	v = view.FindingsDetail{}
	s.get("/images/"+string(amd)+"/findings", &v)
	if len(v.Platforms) != 1 || v.Platforms[0].Platform != "linux/amd64" || v.Vulnerabilities[0].Platforms != nil {
		t.Errorf("one image: got %+v", v.Platforms)
	}
}
