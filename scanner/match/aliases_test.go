package match_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func osvEntry(id, aliases string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, `{"id":%q,"modified":"2026-11-01T00:00:00Z"%s,"affected":[{"package":{"ecosystem":"Go","name":"golang.org/x/net"},
 "ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"0.41.0"}]}]}]}`, id, aliases)}
}

// TestAliases: a finding has the other names of its vulnerability, those that its own
// advisory gives and those that another source gives, and the root of its application;
// places that depend on any of the names are known.
func TestAliases(t *testing.T) {
	m := load(t, fstest.MapFS{
		// GitHub's advisory came before its CVE did; Go's database knows both.
		"ghsa.json":  osvEntry("GHSA-aaaa-bbbb-0001", ""),
		"go.json":    osvEntry("GO-2026-0001", `,"aliases":["CVE-2026-0001","GHSA-aaaa-bbbb-0001"],"related":["CVE-2026-7777"]`),
		"alone.json": osvEntry("GHSA-aaaa-bbbb-0002", `,"aliases":["GO-2026-0002"]`),
		// An advisory of a distribution about two CVEs is not a name of either.
		"dsa.json": {Data: []byte(`{"id":"DSA-1-1","modified":"2026-11-01T00:00:00Z","upstream":["CVE-2026-0003","CVE-2026-0004"],
 "affected":[{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.15-1"}]}]}]}`)},
	})
	inv := debian("12.5", deb("libssl3", "openssl", "3.0.14-1"))
	inv.Applications = []gate.Application{{Type: "gobinary", FilePath: "app", Packages: []gate.Package{
		{Name: "example.com/app", Version: "v1.2.3", ID: "example.com/app@v1.2.3", Relationship: "root", PURL: "pkg:golang/example.com/app@v1.2.3"},
		{Name: "golang.org/x/net", Version: "v0.40.0", ID: "golang.org/x/net@v0.40.0", Relationship: "direct", PURL: "pkg:golang/golang.org/x/net@v0.40.0"},
	}}}
	f := find(t, m, inv)
	got := map[string][]string{}
	for _, v := range f.Vulnerabilities {
		got[v.ID] = v.Aliases
		want := ""
		if v.Package == "golang.org/x/net" {
			want = "pkg:golang/example.com/app@v1.2.3"
		}
		if v.Root != want {
			t.Errorf("%s: root %q, want %q", v.ID, v.Root, want)
		}
	}
	want := map[string][]string{
		"GHSA-aaaa-bbbb-0001": {"CVE-2026-0001"}, "CVE-2026-0001": {"GHSA-aaaa-bbbb-0001", "GO-2026-0001"},
		"GHSA-aaaa-bbbb-0002": {"GO-2026-0002"}, "CVE-2026-0003": nil, "CVE-2026-0004": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
	l := m.Lookups(inv, f).Vulnerabilities
	if diff := cmp.Diff([]string{"CVE-2026-0001", "CVE-2026-0003", "CVE-2026-0004", "GHSA-aaaa-bbbb-0001", "GHSA-aaaa-bbbb-0002", "GO-2026-0001", "GO-2026-0002"}, l); diff != "" {
		t.Errorf("lookups (-want +got):\n%s", diff)
	}
}

// TestRoots: only the one root with a version is the application.
func TestRoots(t *testing.T) {
	m := load(t, fstest.MapFS{"ghsa.json": osvEntry("GHSA-aaaa-bbbb-0001", "")})
	net := gate.Package{Name: "golang.org/x/net", Version: "v0.40.0", ID: "golang.org/x/net@v0.40.0"}
	one := gate.Package{Name: "a", ID: "a", Version: "v1.0.0", Relationship: "root", PURL: "pkg:golang/a@v1.0.0"}
	two, bare := one, one
	two.Name, two.PURL = "b", "pkg:golang/b@v1.0.0"
	bare.Version, bare.PURL = "", "pkg:golang/a"
	for name, c := range map[string]struct {
		pkgs []gate.Package
		want string
	}{
		"one": {[]gate.Package{one, net}, one.PURL}, "none": {[]gate.Package{net}, ""}, "two": {[]gate.Package{one, two, net}, ""},
		"no_version": {[]gate.Package{bare, net}, ""}, "one_and_one_without": {[]gate.Package{one, bare, net}, ""},
	} {
		f := find(t, m, app("gobinary", "app", c.pkgs...))
		if len(f.Vulnerabilities) != 1 || f.Vulnerabilities[0].Root != c.want {
			t.Errorf("%s: got %+v, want the root %q", name, f.Vulnerabilities, c.want)
		}
	}
}
