package composition_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/scanner/advisory/composition"
)

// content is a database: paths of keys, joined by "/", and values. A path of one part is
// an empty bucket.
type content map[string]string

func source(t testing.TB, name string, c content, replaces ...string) composition.Source {
	t.Helper()
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for path, value := range c {
			parts := strings.Split(path, "/")
			b, err := tx.CreateBucketIfNotExists([]byte(parts[0]))
			if err != nil {
				return err
			}
			for i := 1; i < len(parts)-1; i++ {
				if b, err = b.CreateBucketIfNotExists([]byte(parts[i])); err != nil {
					return err
				}
			}
			if len(parts) > 1 {
				if err := b.Put([]byte(parts[len(parts)-1]), []byte(value)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return composition.Source{Name: name, Dir: dir, Replaces: replaces}
}

func equal(a, b []byte) bool { return bytes.Equal(a, b) }

func compose(t testing.TB, list ...composition.Source) (content, composition.Report) {
	t.Helper()
	dir := t.TempDir()
	report, err := composition.Compose(t.Context(), dir, list, equal)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, dir), report
}

func read(t testing.TB, dir string) content {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := content{}
	var walk func(prefix string, b *bolt.Bucket) error
	walk = func(prefix string, b *bolt.Bucket) error {
		c[prefix] = ""
		return b.ForEach(func(k, v []byte) error {
			delete(c, prefix)
			if v == nil {
				return walk(prefix+"/"+string(k), b.Bucket(k))
			}
			c[prefix+"/"+string(k)] = string(v)
			return nil
		})
	}
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return walk(string(name), b) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	debianRecord = `{"ID":"debian","Name":"Debian Security Tracker","URL":"https://example.com"}`
	acmeRecord   = `{"ID":"osv","Name":"Acme","URL":"https://acme.example.com"}`
)

func fix(version string) string { return fmt.Sprintf(`{"FixedVersion":%q}`, version) }

// by is a row of a united bucket.
func by(id, source, publisher, url, row string) string {
	return fmt.Sprintf(`{"DataSource":{"ID":%q,"Name":"source %s: %s","URL":%q},%s`, id, source, publisher, url, row[1:])
}

// TestSourcesAreUnited: a source adds what those before it do not know, hides nothing, and
// is overruled where it differs.
func TestSourcesAreUnited(t *testing.T) {
	first := source(t, "trivy-db", content{
		"data-source/debian 12":       debianRecord,
		"debian 12/openssl/CVE-1":     fix("1"),
		"debian 12/openssl/CVE-2":     fix("2"),
		"debian 11/zlib/CVE-1":        fix("1"),
		"data-source/debian 11":       debianRecord,
		"vulnerability/CVE-1":         `{"Title":"one","VendorSeverity":{"debian":2}}`,
		"vulnerability/CVE-2":         `{}`,
		"advisory-detail/CVE-1/x/y":   `{}`,
		"Red Hat CPE/cpe/0":           `"cpe:/o:redhat"`,
		"Red Hat/openssl/CVE-1":       `{"Entries":[]}`,
		"data-source/Red Hat":         `{"ID":"redhat","Name":"Red Hat CSAF"}`,
		"data-source/no such release": `{}`,
	})
	second := source(t, "acme", content{
		"data-source/debian 12":      acmeRecord,
		"debian 12/openssl/CVE-1":    fix("9"), // otherwise
		"debian 12/openssl/CVE-2":    fix("2"), // alike
		"debian 12/openssl/CVE-3":    fix("3"),
		"debian 12/curl/CVE-4":       fix("4"),
		"debian 13":                  "",
		"vulnerability/CVE-1":        `{"Title":"two","Description":"text","VendorSeverity":{"debian":4,"osv":3}}`,
		"vulnerability/CVE-3":        `{"Title":"three"}`,
		"Red Hat/openssl/CVE-9":      `{"Entries":[]}`,
		"Red Hat CPE/cpe/0":          `"cpe:/o:other"`,
		"vulnerability-detail/a/b/c": `{}`,
	})
	got, report := compose(t, first, second)
	d := func(row string) string {
		return by("debian", "trivy-db", "Debian Security Tracker", "https://example.com", row)
	}
	a := func(row string) string { return by("osv", "acme", "Acme", "https://acme.example.com", row) }
	want := content{
		"data-source/debian 12":   `{"United":true}`,
		"debian 12/openssl/CVE-1": d(fix("1")),
		"debian 12/openssl/CVE-2": d(fix("2")),
		"debian 12/openssl/CVE-3": a(fix("3")),
		"debian 12/curl/CVE-4":    a(fix("4")),
		"data-source/debian 11":   `{"ID":"debian","Name":"source trivy-db: Debian Security Tracker","URL":"https://example.com"}`,
		"debian 11/zlib/CVE-1":    fix("1"),
		"data-source/debian 13":   `{"Name":"source acme: "}`,
		"debian 13":               "",
		"vulnerability/CVE-1":     `{"Title":"one","Description":"text","VendorSeverity":{"debian":2,"osv":3}}`,
		"vulnerability/CVE-2":     `{}`,
		"vulnerability/CVE-3":     `{"Title":"three"}`,
		"Red Hat CPE/cpe/0":       `"cpe:/o:redhat"`,
		"Red Hat/openssl/CVE-1":   `{"Entries":[]}`,
		"data-source/Red Hat":     `{"ID":"redhat","Name":"source trivy-db: Red Hat CSAF"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantReport := composition.Report{
		Sources: []composition.Tally{
			{Name: "trivy-db", Rows: 4, Buckets: []string{"Red Hat", "debian 11", "debian 12"}},
			{Name: "acme", Rows: 2, Alike: 1, Overruled: 1, Buckets: []string{"debian 12", "debian 13"}, Unused: []string{"Red Hat"}},
		},
		Disagreements: []composition.Disagreement{{Bucket: "debian 12", Package: "openssl", ID: "CVE-1", Decided: "trivy-db", Overruled: "acme"}},
	}
	if diff := cmp.Diff(wantReport, report); diff != "" {
		t.Error(diff)
	}
}

// TestLanguagesAreOne: the publishers of an ecosystem have a bucket each, of which the
// detectors take the last one's row; a source that decides first does so in all of them.
func TestLanguagesAreOne(t *testing.T) {
	first := source(t, "acme", content{
		"vulnerability":           "",
		"npm::Acme/lodash/CVE-1":  `{"VulnerableVersions":["<2"]}`,
		"npm::Acme/left-pad/CVE":  `{"VulnerableVersions":["<3"]}`,
		"data-source/npm::Acme":   acmeRecord,
		"go::Acme/example.com/x":  `{}`,
		"data-source/go::Acme":    acmeRecord,
		"npm::Zeta/lodash/CVE-3":  `{"VulnerableVersions":["<3"]}`,
		"data-source/npm::Zeta":   acmeRecord,
		"npm::Zeta/right-pad/CVE": `{"VulnerableVersions":["<3"]}`,
	})
	second := source(t, "trivy-db", content{
		"npm::GitHub/lodash/CVE-1": `{"VulnerableVersions":["<1"]}`,
		"npm::GitHub/lodash/CVE-2": `{"VulnerableVersions":["<2"]}`,
		"npm::GitHub/left-pad/CVE": `{"VulnerableVersions":["<3"]}`,
		"data-source/npm::GitHub":  `{"ID":"ghsa","Name":"GitHub"}`,
		"pip::GitHub/lodash/CVE-1": `{}`,
	})
	got, report := compose(t, first, second)
	for path, want := range (content{
		"npm::Acme/lodash/CVE-1":   `{"VulnerableVersions":["<2"]}`,
		"npm::GitHub/lodash/CVE-1": "",
		"npm::GitHub/lodash/CVE-2": `{"VulnerableVersions":["<2"]}`,
		"npm::GitHub/left-pad/CVE": "",
		"pip::GitHub/lodash/CVE-1": `{}`,
		"data-source/npm::GitHub":  `{"ID":"ghsa","Name":"source trivy-db: GitHub"}`,
	}) {
		if got[path] != want {
			t.Errorf("%s: got %q, want %q", path, got[path], want)
		}
	}
	if s := report.Sources[1]; s.Rows != 2 || s.Alike != 1 || s.Overruled != 1 {
		t.Errorf("got %+v", s)
	}
	// The other way round the order decides otherwise.
	got, _ = compose(t, second, first)
	if got["npm::GitHub/lodash/CVE-1"] == "" || got["npm::Acme/lodash/CVE-1"] != "" || got["npm::Zeta/lodash/CVE-3"] == "" {
		t.Errorf("in the other order: %v", got)
	}
}

// TestReplacedOnlyWhereSaid: rows of a later source are left out only where the operator
// says so, and are counted.
func TestReplacedOnlyWhereSaid(t *testing.T) {
	db := content{
		"vulnerability": "", "debian 12/a/CVE-1": "{}", "debian 12/a/CVE-2": "{}", "debian 11/a/CVE-1": "{}",
		"npm::G/a/CVE-1": "{}", "Red Hat/a/CVE-1": "{}", "alpine edge/a/CVE-1": "{}",
	}
	own := content{"debian 12/a/CVE-1": "{}", "Red Hat/a/CVE-2": "{}", "npm::Own/b/CVE-1": "{}"}
	for _, c := range []struct {
		replaces []string
		gone     []string
	}{
		{[]string{"debian 12", "Red Hat"}, []string{"debian 12/a/CVE-2", "Red Hat/a/CVE-1"}},
		{[]string{"debian"}, []string{"debian 12/a/CVE-2", "debian 11/a/CVE-1", "debian 11"}},
		{[]string{"npm"}, []string{"npm::G/a/CVE-1", "npm::G"}},
		{[]string{"alpine"}, []string{"alpine edge/a/CVE-1", "alpine edge"}},
		{nil, nil},
	} {
		got, report := compose(t, source(t, "own", own, c.replaces...), source(t, "trivy-db", db))
		for path := range db {
			_, here := got[path]
			gone := false
			for _, g := range c.gone {
				gone = gone || g == path
			}
			if path == "Red Hat/a/CVE-1" {
				continue // never united
			}
			if here == gone {
				t.Errorf("replaces %q: %s is there: %v", c.replaces, path, here)
			}
		}
		replaced := report.Sources[1].Replaced
		if (replaced > 0) != (len(c.replaces) > 0) {
			t.Errorf("replaces %q: %d rows replaced", c.replaces, replaced)
		}
		if told := len(report.Sources[1].Unused) == 1 || len(c.replaces) > 0 && c.replaces[len(c.replaces)-1] == "Red Hat"; !told {
			t.Errorf("replaces %q: nothing says that rows of Red Hat are not used: %+v", c.replaces, report.Sources[1])
		}
	}
}

// TestRulesOfComparingAreNotMixed: versions of a bucket are compared by one rule.
func TestRulesOfComparingAreNotMixed(t *testing.T) {
	one := source(t, "one", content{"vulnerability": "", "data-source/x 1": `{"ID":"osv","Name":"One","NoEpoch":true}`, "x 1/a/CVE-1": fix("1")})
	two := source(t, "two", content{"data-source/x 1": `{"ID":"osv","Name":"Two"}`, "x 1/a/CVE-2": fix("1")})
	three := source(t, "three", content{"data-source/x 1": `{"Name":"Three","NoEpoch": true}`, "x 1/a/CVE-3": fix("1")})
	got, report := compose(t, one, two, three)
	if got["x 1/a/CVE-2"] != "" || got["x 1/a/CVE-3"] == "" || got["data-source/x 1"] != `{"NoEpoch":true,"United":true}` {
		t.Errorf("got %v", got)
	}
	if diff := cmp.Diff([]string{"x 1"}, report.Sources[1].Unused); diff != "" {
		t.Error(diff)
	}
}

// TestEntriesNameTheirSource: the detectors of Rocky and Oracle take the data source of a
// row from its bucket.
func TestEntriesNameTheirSource(t *testing.T) {
	one := source(t, "one", content{"vulnerability": "", "data-source/rocky 9": `{"ID":"rocky","Name":"Rocky"}`, "rocky 9/a/CVE-1": `{"Entries":[{"FixedVersion":"1","Arches":["x86_64"]}]}`})
	two := source(t, "two", content{"rocky 9/a/CVE-2": `{"Entries":[{"FixedVersion":"1","Custom":{"k":1}},{"FixedVersion":"2"}]}`, "rocky 9/a/CVE-3": `{"FixedVersion":"3"}`})
	got, _ := compose(t, one, two)
	if got["data-source/rocky 9"] != `{"ID":"rocky","Name":"source one: Rocky"}` || got["rocky 9/a/CVE-1"] != `{"Entries":[{"FixedVersion":"1","Arches":["x86_64"]}]}` {
		t.Errorf("got %v", got)
	}
	for path, want := range map[string]int{"rocky 9/a/CVE-2": 2, "rocky 9/a/CVE-3": 0} {
		var adv types.Advisories
		if err := json.Unmarshal([]byte(got[path]), &adv); err != nil {
			t.Fatal(err)
		}
		customs := []any{adv.Custom}
		for i, e := range adv.Entries {
			if i == 0 {
				customs = nil
			}
			customs = append(customs, e.Custom)
		}
		for _, custom := range customs {
			if name := composition.SourceOfCustom(custom); name != "two" || len(adv.Entries) != want {
				t.Errorf("%s: got %q of %s", path, name, got[path])
			}
		}
	}
}

// TestComposedAgain: a composition can be a source.
func TestComposedAgain(t *testing.T) {
	one := source(t, "one", content{"vulnerability": "", "data-source/x 1": acmeRecord, "x 1/a/CVE-1": `{"DataSource":{"ID":"old"}, "FixedVersion":"1"}`})
	two := source(t, "two", content{"data-source/x 1": `{"ID":"osv","Name":"source other: Two"}`, "x 1/a/CVE-2": "{}"})
	got, _ := compose(t, one, two)
	if got["x 1/a/CVE-1"] != by("osv", "one", "Acme", "https://acme.example.com", fix("1")) || got["x 1/a/CVE-2"] != `{"DataSource":{"ID":"osv","Name":"source two: Two"}}` {
		t.Errorf("got %v", got)
	}
}

// many is a database with packages that fit into their parent's page and such that do not.
func many(t testing.TB, name string, packages, from int) composition.Source {
	c := content{"vulnerability": ""}
	for p := range packages {
		rows := 1
		switch p % 7 {
		case 3:
			rows = 12 // near what fits
		case 5:
			rows = 40
		}
		for r := range rows {
			id := fmt.Sprintf("CVE-2025-%05d", from+p*3+r)
			c[fmt.Sprintf("debian 12/package-%04d/%s", p, id)] = fix(strings.Repeat("1", 1+(p+r)%30))
			c["vulnerability/"+id] = `{"Title":"` + strings.Repeat("t", (p*r)%90) + `"}`
		}
	}
	c["data-source/debian 12"] = debianRecord
	return source(t, name, c)
}

// TestSameBytes: the same sources give the same bytes, wherever they came from.
func TestSameBytes(t *testing.T) {
	var before []byte
	for range 3 {
		dir := t.TempDir()
		if _, err := composition.Compose(t.Context(), dir, []composition.Source{many(t, "one", 600, 0), many(t, "two", 500, 9), many(t, "three", 400, 1000)}, equal); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "trivy.db"))
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(b, before) {
			t.Fatal("the same sources gave other bytes")
		}
		before = b
	}
}

// TestNames: what is no name of a source is the publisher's.
func TestNames(t *testing.T) {
	for in, want := range map[string][2]string{
		"source acme: Debian: x": {"acme", "Debian: x"},
		"source acme: ":          {"acme", ""},
		"Debian":                 {"", "Debian"},
		"source Acme: x":         {"", "source Acme: x"},
		"source acme":            {"", "source acme"},
	} {
		if source, publisher := composition.SplitName(in); source != want[0] || publisher != want[1] {
			t.Errorf("%q: got %q, %q", in, source, publisher)
		}
	}
	for _, names := range [][]string{{"a", "a"}, {"A"}, {""}, {"a/b"}, {strings.Repeat("a", 41)}} {
		var list []composition.Source
		for _, n := range names {
			list = append(list, source(t, n, content{"vulnerability": ""}))
		}
		if _, err := composition.Compose(t.Context(), t.TempDir(), list, equal); err == nil {
			t.Errorf("sources %q: no error", names)
		}
	}
}

// TestHostileRows: what is no advisory ends the composition with its place.
func TestHostileRows(t *testing.T) {
	ok := source(t, "ok", content{"vulnerability": "", "debian 12/a/CVE-1": "{}"})
	for want, c := range map[string]content{
		`bucket "debian 12": package "a": CVE-2 of source "bad"`: {"debian 12/a/CVE-2": "[]"},
		`there is a bucket where an advisory is wanted`:          {"debian 12/a/CVE-2/x": "{}"},
		`CVE-3 of source "bad"`:                                  {"vulnerability/CVE-3": "{"},
	} {
		if _, nested := c["vulnerability/CVE-3"]; nested {
			ok = source(t, "ok", content{"vulnerability/CVE-3": "{}"})
		}
		_, err := composition.Compose(t.Context(), t.TempDir(), []composition.Source{ok, source(t, "bad", c)}, equal)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		ok = source(t, "ok", content{"vulnerability": "", "debian 12/a/CVE-1": "{}"})
	}
}

// TestArchitecturesAreUnited: a repository of RPM packages has one architecture, and the
// source of one does not hide what that of another says.
func TestArchitecturesAreUnited(t *testing.T) {
	const record = `{"ID":"hce","Name":"HCE","URL":"https://example.com"}`
	row := func(version, arch string) string {
		return fmt.Sprintf(`{"Custom":{"statements":[{"fixedVersion":%q,"arches":[%q]}]}}`, version, arch)
	}
	of := func(name, version, arch string) composition.Source {
		return source(t, name, content{"data-source/HCE 2.0": record, "HCE 2.0/curl/CVE-1": row(version, arch), "vulnerability/CVE-1": `{}`})
	}
	got, report := compose(t, of("x86", "1-2", "x86_64"), of("arm", "1-3", "aarch64"), of("late", "1-4", "aarch64"))
	for _, want := range []string{`{"fixedVersion":"1-2","arches":["x86_64"]}`, `{"fixedVersion":"1-3","arches":["aarch64"]}`} {
		if !strings.Contains(got["HCE 2.0/curl/CVE-1"], want) {
			t.Errorf("got %s, want %s in it", got["HCE 2.0/curl/CVE-1"], want)
		}
	}
	if strings.Contains(got["HCE 2.0/curl/CVE-1"], "1-4") || report.Sources[1].Rows != 1 || report.Sources[2].Overruled != 1 {
		t.Errorf("got %s, %+v", got["HCE 2.0/curl/CVE-1"], report.Sources)
	}
}
