package advisory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// clock is when the tests take place: after every time in testdata.
var clock = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func now() time.Time { return clock }

// build makes a database in a new directory and returns its path.
func build(t *testing.T, from fstest.MapFS) (string, advisory.BuildResult) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "db")
	r, err := advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: out, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return out, r
}

// value reads one value of a built database; "" when it is not there.
func value(t *testing.T, dir string, keys ...string) string {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	err = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(keys[0]))
		for _, k := range keys[1 : len(keys)-1] {
			if b == nil {
				return nil
			}
			b = b.Bucket([]byte(k))
		}
		if b != nil {
			got = string(b.Get([]byte(keys[len(keys)-1])))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestBuild_samples(t *testing.T) {
	out := filepath.Join(t.TempDir(), "db")
	r, err := advisory.Build(t.Context(), advisory.BuildOptions{From: os.DirFS("testdata/sources"), Out: out, UpdatedAt: clock.Add(-time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := []advisory.EcosystemCount{
		{Ecosystem: "alpine", Buckets: 3, Packages: 12, Advisories: r.Summary.Ecosystems()[0].Advisories},
		{Ecosystem: "debian", Buckets: 1, Packages: 9, Advisories: 45},
		{Ecosystem: "go", Buckets: 1, Packages: 14, Advisories: r.Summary.Ecosystems()[2].Advisories},
		{Ecosystem: "npm", Buckets: 1, Packages: 2, Advisories: 2},
	}
	if diff := cmp.Diff(want, r.Summary.Ecosystems()); diff != "" {
		t.Errorf("ecosystems (-want +got):\n%s", diff)
	}
	if r.Skipped["withdrawn OSV entries"] != 1 {
		t.Errorf("skipped: got %v, want one withdrawn entry", r.Skipped)
	}
	if !r.UpdatedAt.Equal(clock.Add(-time.Hour)) {
		t.Errorf("UpdatedAt: got %v", r.UpdatedAt)
	}
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"debian 12", "expat", "CVE-2024-45491"}, `{"FixedVersion":"2.5.0-1+deb12u1"}`},
		{[]string{"alpine 3.9", "musl", "CVE-2019-14697"}, `{"FixedVersion":"1.1.20-r5"}`},
		{[]string{"alpine 3.10", "musl", "CVE-2019-14697"}, `{"FixedVersion":"1.1.22-r3"}`},
		{[]string{"go::The Go Vulnerability Database", "golang.org/x/text", "CVE-2020-14040"},
			`{"VendorIDs":["GO-2020-0015","GHSA-5rcv-m4m3-hfh7"],"VulnerableVersions":["\u003c0.3.3"],"PatchedVersions":["0.3.3"]}`},
		// A vulnerability without a CVE keeps its own name.
		{[]string{"go::The Go Vulnerability Database", "golang.org/x/crypto", "GO-2026-5932"}, `{"VulnerableVersions":["\u003e=0"]}`},
		{[]string{"npm::GitHub Security Advisory npm", "lodash", "CVE-2021-23337"},
			`{"VendorIDs":["GHSA-35jh-r3h4-6jhm"],"VulnerableVersions":["\u003c4.17.21"],"PatchedVersions":["4.17.21"]}`},
		{[]string{"data-source", "debian 12"},
			`{"ID":"debian","Name":"Debian Security Tracker","URL":"https://salsa.debian.org/security-tracker-team/security-tracker"}`},
	} {
		if got := value(t, out, c.keys...); got != c.want {
			t.Errorf("%q: got %s, want %s", c.keys, got, c.want)
		}
	}
	var lodash types.Vulnerability
	if err := json.Unmarshal([]byte(value(t, out, "vulnerability", "CVE-2021-23337")), &lodash); err != nil {
		t.Fatal(err)
	}
	if lodash.VendorSeverity["ghsa"] != types.SeverityHigh || lodash.CVSS["ghsa"].V3Score != 7.2 || lodash.Title != "Command Injection in lodash" || lodash.PublishedDate == nil {
		t.Errorf("lodash: got %+v", lodash)
	}
	if got := value(t, out, "vulnerability", "CVE-2024-45491"); !strings.Contains(got, `"nvd":4`) {
		t.Errorf("the grade of nvd.yaml is missing: %s", got)
	}
}

// TestBuild_every_cve: an entry about two CVEs yields both. Trivy's own reader
// of OSV keeps one of them.
func TestBuild_every_cve(t *testing.T) {
	out := filepath.Join(t.TempDir(), "db")
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: os.DirFS("testdata/sources/go"), Out: out, Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"CVE-2020-15106", "CVE-2020-15112"} {
		if value(t, out, "go::The Go Vulnerability Database", "go.etcd.io/etcd", id) == "" {
			t.Errorf("%s of GO-2020-0005 is missing", id)
		}
	}
}

func TestBuild_same_bytes(t *testing.T) {
	read := func() (db, meta []byte) {
		out := filepath.Join(t.TempDir(), "db")
		if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: os.DirFS("testdata/sources"), Out: out, UpdatedAt: clock, Now: now}); err != nil {
			t.Fatal(err)
		}
		db, err := os.ReadFile(filepath.Join(out, "trivy.db"))
		if err != nil {
			t.Fatal(err)
		}
		meta, err = os.ReadFile(filepath.Join(out, "metadata.json"))
		if err != nil {
			t.Fatal(err)
		}
		return db, meta
	}
	db, meta := read()
	for range 3 {
		db2, meta2 := read()
		if !bytes.Equal(db, db2) || !bytes.Equal(meta, meta2) {
			t.Fatal("two builds of the same sources differ")
		}
	}
}

const tracker = `{"tar":{"CVE-2022-48303":{"description":"GNU Tar through 1.34 has a one-byte out-of-bounds read","releases":{
  "bookworm":{"status":"resolved","fixed_version":"1.34+dfsg-1.2","urgency":"unimportant"},
  "bullseye":{"status":"open","urgency":"low","nodsa":"Minor issue","nodsa_reason":"ignored"},
  "trixie":{"status":"resolved","fixed_version":"0","urgency":"not yet assigned"},
  "sid":{"status":"resolved","fixed_version":"1.34+dfsg-1.2","urgency":"unimportant"}}}}}`

func TestBuild_debian_tracker(t *testing.T) {
	out, r := build(t, fstest.MapFS{"tracker.json": file(tracker)})
	for _, c := range []struct{ bucket, want string }{
		{"debian 12", `{"Severity":1,"FixedVersion":"1.34+dfsg-1.2"}`},
		{"debian 11", `{"Severity":1,"Status":5}`},
		{"debian 13", ""}, // never affected
	} {
		if got := value(t, out, c.bucket, "tar", "CVE-2022-48303"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.bucket, got, c.want)
		}
	}
	// trixie is known although nothing affects it: its images are clean, not
	// unassessable.
	var names []string
	for _, b := range r.Summary.Buckets {
		names = append(names, b.Name)
	}
	if diff := cmp.Diff([]string{"debian 11", "debian 12", "debian 13"}, names); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	if r.Skipped[`issues of Debian release "sid"`] != 1 {
		t.Errorf("skipped: got %v", r.Skipped)
	}
}

func TestBuild_alpine(t *testing.T) {
	out, r := build(t, fstest.MapFS{
		"v3.20/main.yaml": file("distroversion: v3.20\npackages:\n- pkg:\n    name: a\n    secfixes:\n" +
			"      2.10-r1: [CVE-2020-1, 'CVE 2020-2', 'CVE_2020-3 (+ regression fix)', XSA-1]\n      2.9-r0: [CVE-2020-1]\n      \"0\": [CVE-2020-9]\n      2.10: [CVE-2020-4]\n" +
			"- pkg: {name: b, secfixes: {2-r0: [CVE-2020-6], 10-r0: [CVE-2020-7]}}\n"),
		"v3.20/community.json": file(`{"distroversion":"v3.20","packages":[{"pkg":{"name":"b","secfixes":{"1-r0":["GHSA-aaaa-bbbb-cccc CVE-2020-5"],"10-r0":["CVE-2020-6"],"2-r0":["CVE-2020-7"]}}}]}`),
		"edge/main.yaml":       file("distroversion: edge\npackages: []\n"),
	})
	for _, c := range []struct{ pkg, id, want string }{
		{"a", "CVE-2020-1", "2.10-r1"}, // the later of two fixes, by the rules of apk
		{"a", "CVE-2020-2", "2.10-r1"},
		{"a", "CVE-2020-3", "2.10-r1"},
		{"a", "CVE-2020-4", "2.10"}, // not the number 2.1
		{"a", "CVE-2020-9", ""},     // never affected
		{"b", "CVE-2020-5", "1-r0"},
		{"b", "CVE-2020-6", "10-r0"}, // community is read first; the later fix counts either way
		{"b", "CVE-2020-7", "10-r0"},
		{"b", "GHSA-aaaa-bbbb-cccc", ""},
	} {
		var adv types.Advisory
		if got := value(t, out, "alpine 3.20", c.pkg, c.id); got != "" {
			if err := json.Unmarshal([]byte(got), &adv); err != nil {
				t.Fatal(err)
			}
		}
		if adv.FixedVersion != c.want {
			t.Errorf("%s %s: got %q, want %q", c.pkg, c.id, adv.FixedVersion, c.want)
		}
	}
	if got := r.Summary.Buckets[len(r.Summary.Buckets)-1]; got != (advisory.BucketCount{Name: "alpine edge"}) {
		t.Errorf("the release without fixes has no bucket: got %+v", got)
	}
}

func TestBuild_bad_sources(t *testing.T) {
	osv := func(affected string) string {
		return `{"id":"GO-1","modified":"2024-01-01T00:00:00Z","affected":[{"package":{"name":"a","ecosystem":"Go"},` + affected + `}]}`
	}
	for name, c := range map[string]struct{ file, content, want string }{
		"not_json":          {"a.json", `{`, `"a.json": parsing JSON`},
		"not_yaml":          {"a.yaml", "a: [", `"a.yaml": parsing YAML`},
		"unknown_format":    {"x/a.json", `{"hello":1}`, `"x/a.json": unknown format with the keys hello`},
		"osv_id":            {"a.json", `{"id":"../../etc","modified":"2024-01-01T00:00:00Z","affected":[]}`, `field id`},
		"osv_severity":      {"a.json", strings.Replace(osv(`"versions":["1"]`), `"affected"`, `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/XX"}],"affected"`, 1), `field severity[0].score`},
		"secdb_release":     {"a.yaml", "distroversion: ../3.1\npackages: []", `field distroversion`},
		"secdb_version":     {"a.yaml", "distroversion: v3.1\npackages: [{pkg: {name: a, secfixes: {'a b': [CVE-2020-1]}}}]", `version "a b"`},
		"own_unknown_field": {"a.yaml", "distribution: debian\nrelease: '12'\nadvisorys: []", `advisorys`},
		"own_release":       {"a.yaml", "distribution: debian\nrelease: bookworm\nadvisories: []", `field release: got "bookworm"`},
		"own_distribution":  {"a.yaml", "distribution: gentoo\nrelease: '1'\nadvisories: []", `field distribution: got "gentoo"`},
		"own_no_fix":        {"a.yaml", "distribution: debian\nrelease: '12'\nadvisories: [{package: a, id: CVE-2020-1}]", `field advisories[0].fixedVersion: is empty`},
		"own_severity":      {"a.yaml", "distribution: debian\nrelease: '12'\nadvisories: [{package: a, id: CVE-2020-1, status: affected, severity: BAD}]", `field advisories[0].severity: got "BAD"`},
		"own_version":       {"a.yaml", "distribution: debian\nrelease: '12'\nadvisories: [{package: a, id: CVE-2020-1, fixedVersion: 'x y'}]", `field advisories[0].fixedVersion`},
		"own_source":        {"a.yaml", "vulnerabilities: [{id: CVE-2020-1, source: me}]", `field vulnerabilities[0].source`},
		"tracker_status":    {"a.json", strings.Replace(tracker, `"open"`, `"maybe"`, 1), `release "bullseye": field status: got "maybe"`},
		"nothing":           {"README.md", "hello", `hold no advisories`},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "db")
			_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{c.file: file(c.content)}, Out: out, Now: now})
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
			if entries, _ := os.ReadDir(filepath.Dir(out)); len(entries) != 0 {
				t.Errorf("the failed build left %v", entries)
			}
		})
	}
}

func TestBuild_keeps_what_is_there(t *testing.T) {
	good := fstest.MapFS{"a.yaml": file("distribution: debian\nrelease: '12'\nadvisories: []\n")}
	out, first := build(t, good)

	_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"a.json": file("{")}, Out: out, Now: now})
	if err == nil {
		t.Fatal("building from a broken source: got no error")
	}
	db, err := advisory.Inspect(t.Context(), out, clock)
	if err != nil || db.Content != first.Content {
		t.Errorf("after a failed build: got %v %v, want the former content", db, err)
	}

	good["b.yaml"] = file("distribution: ubuntu\nrelease: '24.04'\nadvisories: []\n")
	second, err := advisory.Build(t.Context(), advisory.BuildOptions{From: good, Out: out, Now: now})
	if err != nil || second.Content == first.Content {
		t.Errorf("building again: got %v %v, want another content", second.Content, err)
	}

	if err := os.WriteFile(filepath.Join(out, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: good, Out: out, Now: now}); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("building over a directory with other files: got %v", err)
	}
}

func TestBuild_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS("testdata/sources"), Out: filepath.Join(t.TempDir(), "db"), Now: now})
	if !errors.Is(err, gate.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
}
