package advisory_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

const twoPackages = `distribution: debian
release: '12'
advisories:
- {package: openssl, id: CVE-2025-9230, fixedVersion: '3', severity: HIGH, vendorIDs: [DSA-1, DSA-2]}
- {package: expat, id: CVE-2024-45491, fixedVersion: '2'}
vulnerabilities:
- {id: CVE-2025-9230, severity: HIGH, title: t, description: d}
`

func TestDiff(t *testing.T) {
	edit := func(old, text string) string { return strings.Replace(twoPackages, old, text, 1) }
	for name, c := range map[string]struct {
		after string
		want  advisory.Difference
	}{
		"same": {twoPackages, advisory.Difference{}},
		"fixed_version": {edit("'3'", "'4'"), advisory.Difference{
			Packages: []advisory.PackageKey{{Bucket: "debian 12", Package: "openssl"}}}},
		"added_and_removed": {edit("expat", "zlib"), advisory.Difference{
			Packages: []advisory.PackageKey{{Bucket: "debian 12", Package: "expat"}, {Bucket: "debian 12", Package: "zlib"}}}},
		"reordered":         {edit("[DSA-1, DSA-2]", "[DSA-2, DSA-1]"), advisory.Difference{}},
		"severity_changed":  {edit("severity: HIGH, title", "severity: LOW, title"), advisory.Difference{Vulnerabilities: []string{"CVE-2025-9230"}}},
		"new_text":          {edit("description: d", "description: longer"), advisory.Difference{}},
		"new_title":         {edit("title: t", "title: u"), advisory.Difference{Vulnerabilities: []string{"CVE-2025-9230"}}},
		"release_got_known": {edit("'12'", "'13'"), advisory.Difference{Buckets: []string{"debian 12", "debian 13"}}},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := build(t, fstest.MapFS{"a.yaml": file(twoPackages)})
			after, _ := build(t, fstest.MapFS{"a.yaml": file(c.after)})
			got, err := advisory.Diff(t.Context(), before, after)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
			if got.Empty() != cmp.Equal(c.want, advisory.Difference{}) {
				t.Errorf("Empty: got %v", got.Empty())
			}
		})
	}
}

// TestDiff_red_hat: the buckets of Red Hat's products are not packages.
func TestDiff_red_hat(t *testing.T) {
	withCPE := func(value string) string {
		dir, _ := build(t, fstest.MapFS{"a.yaml": file(twoPackages)})
		db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			root, err := tx.CreateBucket([]byte("Red Hat CPE"))
			if err != nil {
				return err
			}
			b, err := root.CreateBucket([]byte("repository"))
			if err != nil {
				return err
			}
			return b.Put([]byte("rhel-8"), []byte(value))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, c := range map[string]struct {
		before, after string
		want          bool
	}{"same": {"[1,2]", "[2,1]", false}, "changed": {"[1,2]", "[1,3]", true}} {
		t.Run(name, func(t *testing.T) {
			got, err := advisory.Diff(t.Context(), withCPE(c.before), withCPE(c.after))
			if err != nil || got.RedHat != c.want || len(got.Packages)+len(got.Buckets) > 0 {
				t.Errorf("got %+v %v, want RedHat %v alone", got, err, c.want)
			}
		})
	}
}

func TestDiff_missing(t *testing.T) {
	dir, _ := build(t, fstest.MapFS{"a.yaml": file(twoPackages)})
	if _, err := advisory.Diff(t.Context(), dir, t.TempDir()); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// TestDiff_values: what findings show counts, and what they do not show does not.
func TestDiff_values(t *testing.T) {
	with := func(bucket, pkg, key, value string) string {
		dir, _ := build(t, fstest.MapFS{"a.yaml": file(twoPackages)})
		db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err == nil && pkg != "" {
				b, err = b.CreateBucketIfNotExists([]byte(pkg))
			}
			if err != nil {
				return err
			}
			return b.Put([]byte(key), []byte(value))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	pip := advisory.Difference{Packages: []advisory.PackageKey{{Bucket: "pip::x", Package: "django"}}}
	detail := func(id string) advisory.Difference { return advisory.Difference{Vulnerabilities: []string{id}} }
	for name, c := range map[string]struct {
		bucket, pkg, key string
		before, after    string
		want             advisory.Difference
	}{
		"versions_reordered":   {"pip::x", "django", "CVE-2024-1", `{"PatchedVersions":["1","2"]}`, `{"PatchedVersions":["2","1"]}`, pip},
		"entries_reordered":    {"pip::x", "django", "CVE-2024-1", `{"Entries":[{"FixedVersion":"1"},{"FixedVersion":"2"}]}`, `{"Entries":[{"FixedVersion":"2"},{"FixedVersion":"1"}]}`, pip},
		"vendor_ids_reordered": {"pip::x", "django", "CVE-2024-1", `{"VendorIDs":["1","2"]}`, `{"VendorIDs":["2","1"]}`, advisory.Difference{}},
		"large_indices":        {"pip::x", "django", "CVE-2024-1", `{"Affected":[9007199254740992]}`, `{"Affected":[9007199254740993]}`, pip},
		"no_json":              {"pip::x", "django", "CVE-2024-1", `{`, `{ `, pip},
		"links_of_a_cve":       {"vulnerability", "", "CVE-2024-1", `{"References":["a"]}`, `{"References":["b"]}`, advisory.Difference{}},
		"links_of_others":      {"vulnerability", "", "ELSA-1", `{"References":["a"]}`, `{"References":["b"]}`, detail("ELSA-1")},
		"score":                {"vulnerability", "", "CVE-2024-1", `{"CVSS":{"nvd":{"V3Score":1}}}`, `{"CVSS":{"nvd":{"V3Score":2}}}`, detail("CVE-2024-1")},
		"score_of_version_4":   {"vulnerability", "", "CVE-2024-1", `{"CVSS":{"nvd":{"V40Score":1}}}`, `{"CVSS":{"nvd":{"V40Score":2}}}`, advisory.Difference{}},
		"severity_of_a_vendor": {"vulnerability", "", "CVE-2024-1", `{"VendorSeverity":{"nvd":1}}`, `{"VendorSeverity":{"nvd":1,"ghsa":2}}`, detail("CVE-2024-1")},
		"publication":          {"vulnerability", "", "CVE-2024-1", `{"PublishedDate":"2024-01-01T00:00:00Z"}`, `{"PublishedDate":"2024-01-02T00:00:00Z"}`, detail("CVE-2024-1")},
		"source":               {"data-source", "", "debian 12", `{"ID":"debian"}`, `{"ID":"nvd"}`, advisory.Difference{Buckets: []string{"debian 12"}}},
		"name_of_a_source":     {"data-source", "", "debian 12", `{"ID":"debian","Name":"a"}`, `{"ID":"debian","Name":"b"}`, advisory.Difference{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := advisory.Diff(t.Context(), with(c.bucket, c.pkg, c.key, c.before), with(c.bucket, c.pkg, c.key, c.after))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Diff (-want +got):\n%s", diff)
			}
		})
	}
}
