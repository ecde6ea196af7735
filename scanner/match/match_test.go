package match_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
)

var clock = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func now() time.Time { return clock }

var (
	_ standing.Matcher = (*match.Matcher)(nil)
	_ advisory.Loader  = (*match.Matcher)(nil)
)

const image gate.Digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// build makes a database from sources.
func build(t testing.TB, from fs.FS) (dir string, g gate.Generation) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "db")
	r, err := advisory.Build(context.Background(), advisory.BuildOptions{From: from, Out: out, UpdatedAt: clock.Add(-time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return out, gate.Generation{Number: 1, Content: r.Content, UpdatedAt: r.UpdatedAt, ActivatedAt: clock}
}

// samples is a matcher with the real advisories that the project keeps.
func samples(t testing.TB) *match.Matcher {
	t.Helper()
	return load(t, os.DirFS("../advisory/testdata/sources"))
}

func load(t testing.TB, from fs.FS) *match.Matcher {
	t.Helper()
	m := match.New(slog.New(slog.DiscardHandler), now)
	dir, g := build(t, from)
	if err := m.Load(context.Background(), dir, g); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func find(t testing.TB, m *match.Matcher, inv *gate.Inventory) *gate.Findings {
	t.Helper()
	f, err := m.Match(context.Background(), inv)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// deb is a package of Debian as the dpkg analyser reports it.
func deb(name, src, version string) gate.Package {
	epoch, rest, hasEpoch := strings.Cut(version, ":")
	p := gate.Package{Name: name, SrcName: src, Arch: "amd64", ID: name + "@" + version}
	if hasEpoch {
		_, _ = fmt.Sscan(epoch, &p.Epoch)
		version = rest
	}
	p.Version, p.Release = version, ""
	if i := strings.LastIndex(version, "-"); i >= 0 {
		p.Version, p.Release = version[:i], version[i+1:]
	}
	p.SrcVersion, p.SrcRelease, p.SrcEpoch = p.Version, p.Release, p.Epoch
	return p
}

func debian(release string, pkgs ...gate.Package) *gate.Inventory {
	return &gate.Inventory{Format: 1, Digest: image, OS: gate.OS{Family: "debian", Name: release}, Packages: pkgs}
}

func app(kind, file string, pkgs ...gate.Package) *gate.Inventory {
	return &gate.Inventory{Format: 1, Digest: image, Applications: []gate.Application{{Type: kind, FilePath: file, Packages: pkgs}}}
}

// row is what most tests look at.
func rows(f *gate.Findings) []string {
	out := []string{}
	for _, v := range f.Vulnerabilities {
		out = append(out, fmt.Sprintf("%s %s %s<%s %s %s", v.Package, v.ID, v.InstalledVersion, v.FixedVersion, v.Severity, v.Status))
	}
	return out
}

func TestMatch_finds(t *testing.T) {
	m := samples(t)
	for name, c := range map[string]struct {
		inv  *gate.Inventory
		want []string
	}{
		"debian": {
			debian("12.5", deb("libexpat1", "expat", "2.5.0-1"), deb("tar", "tar", "1.34+dfsg-1.2+deb12u1"), deb("bash", "bash", "5.2.15-2+b7")),
			[]string{
				"libexpat1 CVE-2024-45490 2.5.0-1<2.5.0-1+deb12u1 UNKNOWN fixed",
				"libexpat1 CVE-2024-45491 2.5.0-1<2.5.0-1+deb12u1 CRITICAL fixed",
				"libexpat1 CVE-2024-45492 2.5.0-1<2.5.0-1+deb12u1 CRITICAL fixed",
			},
		},
		"alpine": {
			&gate.Inventory{Format: 1, Digest: image, OS: gate.OS{Family: "alpine", Name: "3.9.4"}, Packages: []gate.Package{
				{ID: "musl@1.1.20-r4", Name: "musl", Version: "1.1.20-r4", SrcName: "musl", SrcVersion: "1.1.20-r4"},
				{ID: "musl-utils@1.1.20-r5", Name: "musl-utils", Version: "1.1.20-r5", SrcName: "musl", SrcVersion: "1.1.20-r5"},
			}},
			[]string{"musl CVE-2019-14697 1.1.20-r4<1.1.20-r5 CRITICAL fixed"},
		},
		"go_binary": {
			app("gobinary", "usr/bin/app", gate.Package{ID: "golang.org/x/text@v0.3.6", Name: "golang.org/x/text", Version: "v0.3.6"},
				gate.Package{ID: "stdlib@v1.26.6", Name: "stdlib", Version: "v1.26.6"}),
			[]string{
				"golang.org/x/text CVE-2021-38561 v0.3.6<0.3.7 HIGH fixed",
				"golang.org/x/text CVE-2022-32149 v0.3.6<0.3.8 HIGH fixed",
				"golang.org/x/text CVE-2026-56852 v0.3.6<0.39.0 UNKNOWN fixed",
			},
		},
		"npm": {
			app("node-pkg", "", gate.Package{ID: "lodash@4.17.20", Name: "lodash", Version: "4.17.20", FilePath: "app/node_modules/lodash/package.json"},
				gate.Package{ID: "lodash@4.17.21", Name: "lodash", Version: "4.17.21"}),
			[]string{"lodash CVE-2021-23337 4.17.20<4.17.21 HIGH fixed"},
		},
		"nothing_inside": {&gate.Inventory{Format: 1, Digest: image}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, m, c.inv)
			if diff := cmp.Diff(c.want, rows(f)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if f.Unassessable != "" || len(f.Gaps) > 0 {
				t.Errorf("got unassessable %q, gaps %v", f.Unassessable, f.Gaps)
			}
		})
	}
}

// TestMatch_fields pins the narrow form of one finding completely.
func TestMatch_fields(t *testing.T) {
	m := samples(t)
	layer := gate.Digest("sha256:2222222222222222222222222222222222222222222222222222222222222222")
	f := find(t, m, app("gobinary", "usr/bin/app", gate.Package{
		ID: "golang.org/x/text@v0.3.6", Name: "golang.org/x/text", Version: "v0.3.6", Layer: layer, PURL: "pkg:golang/golang.org/x/text@v0.3.6",
	}))
	published := time.Date(2021, 10, 6, 17, 51, 21, 0, time.UTC)
	want := gate.Vulnerability{
		ID: "CVE-2021-38561", Package: "golang.org/x/text", PackageID: "golang.org/x/text@v0.3.6", Type: "gobinary", Path: "usr/bin/app",
		InstalledVersion: "v0.3.6", FixedVersion: "0.3.7", Status: "fixed", Severity: gate.SeverityHigh, SeveritySource: "nvd", CVSS: 7.5,
		Title: "Out-of-bounds read in golang.org/x/text/language", URL: "https://avd.aquasec.com/nvd/cve-2021-38561",
		PublishedAt: &published, Layer: layer, PURL: "pkg:golang/golang.org/x/text@v0.3.6", Source: gate.SourceTrivyDB,
		Aliases: []string{"GHSA-ppp9-7jff-5vj2", "GO-2021-0113"},
	}
	if diff := cmp.Diff(want, f.Vulnerabilities[0]); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
	if got := f.Vulnerabilities[2]; got.CVSS != -1 || got.Severity != gate.SeverityUnknown || got.PublishedAt != nil {
		t.Errorf("a finding without a grade: got %+v", got)
	}
	gen, ok := m.Generation()
	if !ok || f.Generation != 1 || f.Advisories != gen.Content || !f.UpdatedAt.Equal(clock.Add(-time.Hour)) || f.Matcher != m.Version() || f.Digest != image || !f.MatchedAt.Equal(clock) {
		t.Errorf("identity: got %+v, generation %+v", f, gen)
	}
	if !strings.Contains(m.Version(), "trivy@") {
		t.Errorf("Version: got %q", m.Version())
	}
}

// TestMatch_unassessable: what the data cannot judge is never clean.
func TestMatch_unassessable(t *testing.T) {
	m := samples(t)
	redHat := gate.Package{Name: "bash", Version: "5", Release: "1", Arch: "x86_64", BuildInfo: &gate.BuildInfo{ContentSets: []string{"rhel-99"}}}
	for name, c := range map[string]struct {
		os   gate.OS
		repo string
		pkgs []gate.Package
		want string
	}{
		"unknown_release":          {gate.OS{Family: "debian", Name: "77"}, "", nil, `does not know the release "debian 77"`},
		"testing":                  {gate.OS{Family: "debian", Name: "trixie/sid"}, "", nil, `release "debian trixie/sid"`},
		"no_release":               {gate.OS{Family: "debian"}, "", nil, "does not say which release of debian"},
		"no_release_amazon":        {gate.OS{Family: "amazon", Name: " "}, "", nil, "does not say which release of amazon"},
		"ubuntu":                   {gate.OS{Family: "ubuntu", Name: "24.04"}, "", nil, `release "ubuntu 24.04"`},
		"ubuntu_extended":          {gate.OS{Family: "ubuntu", Name: "20.04", Extended: true}, "", nil, `release "ubuntu 20.04-ESM"`},
		"debian_extended":          {gate.OS{Family: "debian", Name: "12", Extended: true}, "", nil, `release "debian 12-ESM"`},
		"alpine_repository":        {gate.OS{Family: "alpine", Name: "3.9.1"}, "alpine edge", nil, `release "alpine edge"`},
		"wolfi":                    {gate.OS{Family: "wolfi", Name: "20230201"}, "", nil, `release "wolfi"`},
		"no_detector":              {gate.OS{Family: "fedora", Name: "40"}, "", nil, `no advisories for the distribution "fedora"`},
		"core_os":                  {gate.OS{Family: "coreos", Name: "40"}, "", nil, `no advisories for the distribution "coreos"`},
		"invented":                 {gate.OS{Family: "my\x1b[31mlinux", Name: "1"}, "", nil, `no advisories for the distribution "my\x1b[31mlinux"`},
		"red_hat_without_data":     {gate.OS{Family: "redhat", Name: "9.1"}, "", []gate.Package{redHat}, "no advisories of Red Hat"},
		"rapidfort":                {gate.OS{Family: "ubuntu", Name: "24.04", Supplier: "rapidfort"}, "", nil, "nothing of RapidFort"},
		"seal":                     {gate.OS{Family: "debian", Name: "12"}, "", []gate.Package{deb("seal-bash", "seal-bash", "5-1")}, "nothing of Seal"},
		"packages_of_no_one":       {gate.OS{}, "", []gate.Package{deb("bash", "bash", "5-1")}, "1 packages of a distribution that could not be identified"},
		"root_io_unknown_release":  {gate.OS{Family: "debian", Name: "13"}, "", []gate.Package{deb("bash", "bash", "5-1.root.io.1")}, `release "debian 13"`},
		"alma_and_other_rpm_based": {gate.OS{Family: "alma", Name: "9.3"}, "", nil, `release "alma 9"`},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, m, &gate.Inventory{Format: 1, Digest: image, OS: c.os, PackageRepository: c.repo, Packages: c.pkgs})
			if !strings.Contains(f.Unassessable, c.want) {
				t.Errorf("Unassessable: got %q, want %q", f.Unassessable, c.want)
			}
		})
	}
	t.Run("rest_is_matched", func(t *testing.T) {
		inv := app("node-pkg", "", gate.Package{ID: "lodash@4.17.20", Name: "lodash", Version: "4.17.20"})
		inv.OS = gate.OS{Family: "debian", Name: "77"}
		if f := find(t, m, inv); f.Unassessable == "" || len(f.Vulnerabilities) != 1 {
			t.Errorf("got %q and %v, want the findings of the other packages", f.Unassessable, rows(f))
		}
	})
}

func TestMatch_gaps(t *testing.T) {
	m := samples(t)
	third := deb("docker-ce", "docker-ce", "5:24.0.7-1")
	third.Repository = &gate.PackageOrigin{Class: "third-party"}
	inv := debian("12", third, deb("strange", "strange", "not a version!"), deb("tar", "tar", "1.34+dfsg-1.2+deb12u1"))
	inv.Applications = []gate.Application{
		{Type: "conda-pkg", Packages: []gate.Package{{Name: "numpy", Version: "1.0"}}},
		{Type: "python-pkg", Packages: []gate.Package{{Name: "django", Version: "3.0"}}},
		{Type: "gobinary", FilePath: "app", Packages: []gate.Package{{Name: "example.com/app", Version: ""}, {Name: "example.com/b", Version: "(devel)"}, {Name: "example.com/c", Version: "v1.0.0"}}},
	}
	want := []gate.Gap{
		{Package: "django", Version: "3.0", Reason: "the advisory data has no source for the ecosystem pip"},
		{Package: "docker-ce", Version: "5:24.0.7-1", Reason: "comes from a third party, which the distribution's advisories do not cover"},
		{Package: "example.com/app", Reason: "has no version"},
		{Package: "example.com/b", Version: "(devel)", Reason: "has a version that cannot be compared"},
		{Package: "numpy", Version: "1.0", Reason: "there are no advisories for packages of type conda-pkg"},
		{Package: "strange", Version: "not a version!", Reason: "has a version that cannot be compared"},
	}
	if diff := cmp.Diff(want, find(t, m, inv).Gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	t.Run("bounded", func(t *testing.T) {
		var many []gate.Package
		for i := range 1500 {
			many = append(many, gate.Package{Name: fmt.Sprintf("p%04d", i), Version: "1"})
		}
		gaps := find(t, m, app("conda-pkg", "", many...)).Gaps
		if len(gaps) != 1001 || gaps[1000].Reason != "and 500 more packages" {
			t.Errorf("got %d gaps, the last %+v", len(gaps), gaps[len(gaps)-1])
		}
	})
}

func TestMatch_end_of_life(t *testing.T) {
	m := load(t, fstest.MapFS{
		"a.yaml": {Data: []byte("distribution: debian\nrelease: '8'\nadvisories: []\n")},
		"b.yaml": {Data: []byte("distribution: debian\nrelease: '13'\nadvisories: []\n")},
	})
	for release, want := range map[string]bool{"8.11": true, "13.1": false} {
		if f := find(t, m, debian(release)); f.EOL != want || f.Unassessable != "" {
			t.Errorf("debian %s: got EOL %v, unassessable %q, want %v", release, f.EOL, f.Unassessable, want)
		}
	}
}

func TestMatch_without_data(t *testing.T) {
	m := match.New(nil, nil)
	if _, err := m.Match(t.Context(), debian("12")); !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		t.Errorf("Match: got %v, want ErrAdvisoriesUnavailable", err)
	}
	if g, ok := m.Generation(); ok {
		t.Errorf("Generation: got %v", g)
	}
	if err := m.Load(t.Context(), t.TempDir(), gate.Generation{Number: 1, Content: image}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Load of an empty directory: got %v, want ErrInvalid", err)
	}
	if _, err := m.Match(t.Context(), debian("12")); !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		t.Errorf("Match after a failed Load: got %v, want ErrAdvisoriesUnavailable", err)
	}
}

func TestMatch_refuses(t *testing.T) {
	m := samples(t)
	if _, err := m.Match(t.Context(), nil); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("no inventory: got %v", err)
	}
	if _, err := m.Match(t.Context(), &gate.Inventory{Format: gate.InventoryFormat + 1}); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("later format: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Match(ctx, debian("12", deb("tar", "tar", "1-1"))); !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("cancelled: got %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Match(t.Context(), debian("12")); !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
		t.Errorf("closed: got %v", err)
	}
}

// TestMatch_hostile: text and shapes that no honest image has.
func TestMatch_hostile(t *testing.T) {
	m := samples(t)
	long := strings.Repeat("A\x00\xff\u202e", 10_000)
	for _, family := range []string{"debian", "ubuntu", "alpine", "redhat", "centos", "amazon", "rocky", "alma", "oracle", "sles", "opensuse-leap", "photon", "azurelinux", "cbl-mariner", "echo", "activestate", long} {
		for _, release := range []string{"", ".", "....", " ", "-ESM", "12", long} {
			inv := &gate.Inventory{
				Format: 1, Digest: image, OS: gate.OS{Family: family, Name: release, Extended: true}, PackageRepository: release,
				Packages: []gate.Package{{}, {Name: long, Version: long, SrcName: "expat", SrcVersion: "0"}, {Name: "gpg-pubkey"}, {Epoch: -1, SrcEpoch: -1, Version: ":", SrcVersion: ":-:"}},
				Applications: []gate.Application{
					{Type: "gobinary", FilePath: long, Packages: []gate.Package{{}, {Name: "golang.org/x/text", Version: "v0"}, {Name: long, Version: long}}},
					{Type: "node-pkg", Packages: []gate.Package{{Name: "lodash", Version: "0", FilePath: long, PURL: long, ID: long}}}, {Type: long}, {},
				},
			}
			f, err := m.Match(t.Context(), inv)
			if err != nil {
				t.Fatalf("%.20q %.20q: %v", family, release, err)
			}
			b, err := json.Marshal(f)
			if err != nil || len(b) > 100_000 {
				t.Errorf("%.20q %.20q: findings of %d bytes, %v", family, release, len(b), err)
			}
		}
	}
}

// TestMatch_too_many: an inventory made to fill memory ends in a bounded answer.
func TestMatch_too_many(t *testing.T) {
	var y strings.Builder
	y.WriteString("distribution: debian\nrelease: '12'\nadvisories:\n")
	for i := range 600 {
		fmt.Fprintf(&y, "- {package: linux, id: CVE-2024-%d, status: affected}\n", i)
	}
	m := load(t, fstest.MapFS{"a.yaml": {Data: []byte(y.String())}})
	var pkgs []gate.Package
	for i := range 90 {
		pkgs = append(pkgs, deb(fmt.Sprintf("linux-%d", i), "linux", "6.1-1"))
	}
	f := find(t, m, debian("12", pkgs...))
	if len(f.Vulnerabilities) != 50_000 || !strings.Contains(f.Unassessable, "more than 50000 findings") {
		t.Errorf("got %d findings, unassessable %q", len(f.Vulnerabilities), f.Unassessable)
	}
}

// TestMatch_is_a_function: the order of packages and of Go's maps never shows.
func TestMatch_is_a_function(t *testing.T) {
	m := samples(t)
	inv := debian("12", deb("libexpat1", "expat", "2.5.0-1"), deb("libexpat1-dev", "expat", "2.5.0-1"), deb("libssl3", "openssl", "3.0.11-1"), deb("libc6", "glibc", "2.36-9"))
	inv.Applications = []gate.Application{{Type: "gobinary", FilePath: "a", Packages: []gate.Package{
		{ID: "golang.org/x/text@v0.3.0", Name: "golang.org/x/text", Version: "v0.3.0"}, {ID: "golang.org/x/net@v0.1.0", Name: "golang.org/x/net", Version: "v0.1.0"}}}}
	want, err := json.Marshal(find(t, m, inv))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		rand.Shuffle(len(inv.Packages), func(i, j int) { inv.Packages[i], inv.Packages[j] = inv.Packages[j], inv.Packages[i] })
		got, err := json.Marshal(find(t, m, inv))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
