package advisory_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/aquasecurity/trivy-db/pkg/types"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// osvOf is an entry about one package.
func osvOf(id, eco, pkg, events, more string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-02T00:00:00Z","summary":"s","affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]%s}]}`,
		id, eco, pkg, events, more)
}

const fixedIn = `{"introduced":"0"},{"fixed":"%s"}`

// rowOf is what a database has under bucket/package/id.
func rowOf(t *testing.T, dir, bucket, pkg, id string) (types.Advisory, bool) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var adv types.Advisory
	found := false
	err = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		if b != nil {
			b = b.Bucket([]byte(pkg))
		}
		if b == nil || b.Get([]byte(id)) == nil {
			return nil
		}
		found = true
		return json.Unmarshal(b.Get([]byte(id)), &adv)
	})
	if err != nil {
		t.Fatal(err)
	}
	return adv, found
}

func buildOSV(t *testing.T, entries ...string) (advisory.BuildResult, error) {
	t.Helper()
	from := fstest.MapFS{}
	for i, e := range entries {
		from[fmt.Sprintf("%03d.json", i)] = file(e)
	}
	return advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: filepath.Join(t.TempDir(), "db"), Now: now})
}

// TestBuild_ecosystems: every ecosystem of OSV's schema that a package here can have is
// filed where its detector looks.
func TestBuild_ecosystems(t *testing.T) {
	for eco, c := range map[string]struct{ fixed, bucket string }{
		"Go": {"1.2.3", "go::Open Source Vulnerability"}, "npm": {"1.2.3", "npm::Open Source Vulnerability"},
		"PyPI": {"1.2.3", "pip::Open Source Vulnerability"}, "RubyGems": {"1.2.3", "rubygems::Open Source Vulnerability"},
		"crates.io": {"1.2.3", "cargo::Open Source Vulnerability"}, "Packagist": {"1.2.3", "composer::Open Source Vulnerability"},
		"Maven": {"1.2.3", "maven::Open Source Vulnerability"}, "Maven:https://repo.example.com": {"1.2.3", "maven::Open Source Vulnerability"},
		"NuGet": {"1.2.3", "nuget::Open Source Vulnerability"}, "Hex": {"1.2.3", "erlang::Open Source Vulnerability"},
		"Pub": {"1.2.3", "pub::Open Source Vulnerability"}, "SwiftURL": {"1.2.3", "swift::Open Source Vulnerability"},
		"Julia": {"1.2.3", "julia::Open Source Vulnerability"}, "ConanCenter": {"1.2.3", "conan::Open Source Vulnerability"},
		"Bitnami": {"1.2.3", "bitnami::Open Source Vulnerability"}, "Kubernetes": {"1.2.3", "k8s::Open Source Vulnerability"},
		"CocoaPods": {"1.2.3", "cocoapods::Open Source Vulnerability"},
		"Debian:12": {"1.2-3+deb12u1", "debian 12"}, "Ubuntu:22.04:LTS": {"1.2-3ubuntu1", "ubuntu 22.04"}, "Ubuntu:24.10": {"1.2-3", "ubuntu 24.10"},
		"Ubuntu:Pro:18.04:LTS": {"1.2-3", "ubuntu 18.04-ESM"}, "Alpine:v3.19": {"1.2.3-r0", "alpine 3.19"}, "Wolfi": {"1.2.3-r0", "wolfi"},
		"Chainguard": {"1.2.3-r0", "chainguard"}, "MinimOS": {"1.2.3-r0", "minimos"}, "Echo": {"1.2-3", "echo"},
		"AlmaLinux:9": {"32:9.16-1.el9", "alma 9"}, "Photon OS:5.0": {"1.2-3.ph5", "Photon OS 5.0"},
	} {
		built, err := buildOSV(t, osvOf("X-1", eco, "pkg", fmt.Sprintf(fixedIn, c.fixed), ""))
		if err != nil {
			t.Errorf("%s: %v", eco, err)
			continue
		}
		adv, ok := rowOf(t, built.Dir, c.bucket, "pkg", "X-1")
		if fixed := strings.Join(append(adv.PatchedVersions, adv.FixedVersion), ""); !ok || fixed != c.fixed {
			t.Errorf("%s: %q has %+v, want fixed %s; buckets %+v", eco, c.bucket, adv, c.fixed, built.Summary.Buckets)
		}
	}
	for eco, bucket := range map[string]string{
		"SUSE:Linux Enterprise Server 15 SP5": "SUSE Linux Enterprise 15.5", "SUSE:Linux Enterprise Micro 5.5": "SUSE Linux Enterprise Micro 5.5",
		"openSUSE:Leap 15.6": "openSUSE Leap 15.6", "openSUSE:Tumbleweed": "openSUSE Tumbleweed",
	} {
		built, err := buildOSV(t, osvOf("SUSE-1", eco, "openssl", fmt.Sprintf(fixedIn, "1.1-2"), `,"ecosystem_specific":{"binaries":[{"libopenssl1_1":"1.1-2","openssl-tools":"1.1-3"}]}`),
			osvOf("SUSE-2", eco, "curl", fmt.Sprintf(fixedIn, "1-1"), ""))
		if err != nil {
			t.Errorf("%s: %v", eco, err)
			continue
		}
		lib, _ := rowOf(t, built.Dir, bucket, "libopenssl1_1", "SUSE-1")
		tools, _ := rowOf(t, built.Dir, bucket, "openssl-tools", "SUSE-1")
		_, source := rowOf(t, built.Dir, bucket, "openssl", "SUSE-1")
		if lib.FixedVersion != "1.1-2" || tools.FixedVersion != "1.1-3" || source || len(built.Skipped) != 1 {
			t.Errorf("%s: got %+v, %+v, source %v, left out %v", eco, lib, tools, source, built.Skipped)
		}
	}
	for _, eco := range []string{"Rocky Linux:9", "Red Hat:enterprise_linux:9::appstream", "Android", "CRAN", "Debian", "Ubuntu:x", "Alpine", "SUSE:Manager 4",
		"Azure Linux:3", "Alpaquita:23", "BellSoft Hardened Containers:23", "CleanStart", "Mageia:9", "Docker Hardened Images:debian", "Root:Debian:12", "TuxCare",
		"Bioconductor:3.19", "GHC", "Hackage", "opam", "VSCode", "FreeBSD:src:14", "GitHub Actions", "GIT", "Linux", "OSS-Fuzz"} {
		built, err := buildOSV(t, osvOf("X-1", eco, "pkg", fmt.Sprintf(fixedIn, "1"), ""), osvOf("X-2", "npm", "pkg", fmt.Sprintf(fixedIn, "1.0.0"), ""))
		if err != nil || len(built.Summary.Buckets) != 1 || len(built.Skipped) != 1 {
			t.Errorf("%s: want it left out and counted: %v, %+v, %v", eco, err, built.Summary.Buckets, built.Skipped)
		}
	}
}

// TestBuild_distributionRanges: a package of a distribution is affected as long as any
// range says so.
func TestBuild_distributionRanges(t *testing.T) {
	for name, c := range map[string]struct{ entry, fixed, status string }{
		"later_of_two":  {osvOf("X-1", "Debian:12", "p", `{"introduced":"0"},{"fixed":"1.0"},{"introduced":"2.0"},{"fixed":"2.1"}`, ""), "2.1", "unknown"},
		"no_fix":        {osvOf("X-1", "Debian:12", "p", `{"introduced":"0"}`, ""), "", "affected"},
		"last_affected": {osvOf("X-1", "Debian:12", "p", `{"introduced":"0"},{"last_affected":"3"}`, ""), "", "affected"},
		"again_open":    {osvOf("X-1", "Debian:12", "p", `{"introduced":"0"},{"fixed":"1.0"},{"introduced":"2.0"}`, ""), "", "affected"},
	} {
		built, err := buildOSV(t, c.entry)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if adv, ok := rowOf(t, built.Dir, "debian 12", "p", "X-1"); !ok || adv.FixedVersion != c.fixed || adv.Status.String() != c.status {
			t.Errorf("%s: got %+v", name, adv)
		}
	}
	built, err := buildOSV(t, osvOf("DSA-1", "Debian:12", "p", fmt.Sprintf(fixedIn, "2.0"), ""), osvOf("DSA-2", "Debian:12", "p", fmt.Sprintf(fixedIn, "10.0"), ""),
		strings.Replace(osvOf("DSA-3", "Debian:12", "p", fmt.Sprintf(fixedIn, "3.0"), ""), `"summary"`, `"upstream":["CVE-2026-1"],"related":["CVE-2026-2"],"aliases":["CVE-2026-3"],"summary"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"CVE-2026-1": true, "CVE-2026-3": true, "CVE-2026-2": false, "DSA-3": false, "DSA-1": true} {
		if _, ok := rowOf(t, built.Dir, "debian 12", "p", id); ok != want {
			t.Errorf("%s is filed: %v; what is the same flaw or its cause counts, what is related does not", id, ok)
		}
	}
	if _, err := buildOSV(t, osvOf("X-1", "AlmaLinux:9", "p", fmt.Sprintf(fixedIn, "not a version"), "")); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("a version that cannot be compared: %v", err)
	}
	future := strings.Replace(osvOf("X-1", "npm", "p", fmt.Sprintf(fixedIn, "1.0.0"), ""), `"summary"`, `"withdrawn":"2999-01-01T00:00:00Z","summary"`, 1)
	if built, err := buildOSV(t, future); err != nil || built.Summary.Advisories() != 1 {
		t.Errorf("an entry that will be withdrawn: %v", err)
	}
}

// TestBuild_publishersAreUnited: the detectors read the row of the last bucket alone.
func TestBuild_publishersAreUnited(t *testing.T) {
	alias := `"aliases":["CVE-2026-1"],"summary"`
	built, err := buildOSV(t,
		strings.Replace(osvOf("GHSA-aaaa-bbbb-cccc", "Go", "example.com/x", fmt.Sprintf(fixedIn, "2.0.0"), ""), `"summary"`, alias, 1),
		strings.Replace(osvOf("GO-2026-1", "Go", "example.com/x", fmt.Sprintf(fixedIn, "1.0.0"), ""), `"summary"`, alias, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"go::GitHub Security Advisory go", "go::The Go Vulnerability Database"} {
		adv, _ := rowOf(t, built.Dir, b, "example.com/x", "CVE-2026-1")
		if got := strings.Join(adv.VulnerableVersions, " "); !strings.Contains(got, "<2.0.0") || !strings.Contains(got, "<1.0.0") {
			t.Errorf("%s: got %q, want the ranges of both", b, got)
		}
		// Version 1.0.0 is affected by the other's word, and a patched version never is.
		if len(adv.PatchedVersions) > 0 {
			t.Errorf("%s: got the patched versions %q, want none", b, adv.PatchedVersions)
		}
	}
}

func zipped(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func buildZip(t testing.TB, b []byte) (advisory.BuildResult, error) {
	t.Helper()
	return advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"all.zip": &fstest.MapFile{Data: b}}, Out: filepath.Join(t.TempDir(), "db"), Now: now})
}

// TestBuild_zip: osv.dev's all.zip is read entry by entry, and what is hostile in one is
// refused by its place.
func TestBuild_zip(t *testing.T) {
	good := map[string]string{"X-1.json": osvOf("X-1", "npm", "a", fmt.Sprintf(fixedIn, "1.0.0"), ""), "X-2.json": osvOf("X-2", "PyPI", "b", fmt.Sprintf(fixedIn, "1.0.0"), ""), "README.md": "x"}
	built, err := buildZip(t, zipped(t, good))
	if err != nil || built.Summary.Advisories() != 2 {
		t.Fatalf("got %+v, %v", built.Summary, err)
	}
	whole := zipped(t, good)
	lies := bytes.Clone(whole)
	end := bytes.LastIndex(lies, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint32(lies[end+12:], 1<<31)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"bomb":        {zipped(t, map[string]string{"X-1.json": `{"id":"` + strings.Repeat("x", 70<<20) + `"}`}), gate.ErrTooLarge},
		"not_json":    {zipped(t, map[string]string{"X-1.json": "{"}), gate.ErrInvalid},
		"no_json":     {zipped(t, map[string]string{"X-1.txt": "x"}), gate.ErrInvalid},
		"not_a_zip":   {[]byte("<html>"), gate.ErrInvalid},
		"cut_short":   {whole[:len(whole)/2], gate.ErrInvalid},
		"lies":        {lies, gate.ErrTooLarge},
		"empty":       {zipped(t, nil), gate.ErrInvalid},
		"empty_file":  {nil, gate.ErrInvalid},
		"wrong_entry": {zipped(t, map[string]string{"X-1.json": osvOf("not an id", "npm", "a", "", "")}), gate.ErrInvalid},
	} {
		if _, err := buildZip(t, c.data); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "all.zip") {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// FuzzBuild_zip: no archive panics or takes memory without bound.
func FuzzBuild_zip(f *testing.F) {
	f.Add(zipped(f, map[string]string{"X-1.json": osvOf("X-1", "npm", "a", fmt.Sprintf(fixedIn, "1.0.0"), "")}))
	f.Add(zipped(f, nil))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\xff", 18)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := buildZip(t, b); err != nil && !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
}
