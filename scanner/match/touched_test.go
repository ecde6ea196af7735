package match_test

import (
	stdcmp "cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
)

// content is a small database: values by their path, the parts of which are separated
// by "|".
type content map[string]string

// releases are the buckets of distributions, with the form of their advisories.
var releases = []string{
	"debian 12", "debian 13", "alpine 3.20", "ubuntu 24.04", "ubuntu 20.04-ESM", "rocky 9", "Oracle Linux 9", "alma 9", "amazon linux 2023",
	"Azure Linux 3.0", "Photon OS 5.0", "SUSE Linux Enterprise 15.6", "openSUSE Leap 15.6", "wolfi", "chainguard", "echo", "minimos", "bottlerocket",
	"openEuler 22.03-LTS-SP3", "Anolis OS 8", "UnionTech OS 20-1060d", "Red Hat", "root.io debian 12", "root.io alpine 3.20", "seal debian", "seal Red Hat 9", "rapidfort ubuntu 24.04", "rapidfort Red Hat 9",
}

// ownBuckets are those of them that Trivy has no detector for.
var ownBuckets = []string{"openEuler 22.03-LTS-SP3", "Anolis OS 8", "UnionTech OS 20-1060d"}

var sourcesOfLanguages = []string{"pip::GitHub", "pip::OSV", "seal pip::Seal", "npm::GitHub", "npm::Node", "seal npm::Seal", "go::Go", "rubygems::GitHub", "maven::GitHub", "nuget::GitHub"}

var (
	names   = []string{"openssl", "zlib", "curl", "seal-zlib", "nodejs:18::npm", "npm"}
	library = []string{"django", "left-pad", "seal-django", "@seal-security/left-pad", "rack"}
	found   = []string{"CVE-2024-1", "CVE-2024-2", "CVE-2024-3", "GHSA-aaaa-bbbb-cccc", "ELSA-2024-7"}
	fixes   = []string{"1.2-1", "1.4-1", "2.0-1", ""}
)

func draw[T any](t *rapid.T, from []T) T { return from[rapid.IntRange(0, len(from)-1).Draw(t, "of")] }

func chance(t *rapid.T, percent int) bool {
	return rapid.IntRange(0, 99).Draw(t, "percent") < percent
}

// advisoryRow is one advisory in the form that the detector of the bucket reads.
func advisoryRow(t *rapid.T, bucket, id string) string {
	fixed := draw(t, fixes)
	switch {
	case bucket == "Red Hat":
		// As in Red Hat's data: an advisory of a CVE has no fix, and no two others have the
		// same. Of two with one fix the detector takes any, in the order of a Go map.
		switch id {
		case "GHSA-aaaa-bbbb-cccc":
			fixed = draw(t, fixes[:2])
		case "ELSA-2024-7":
			fixed = fixes[2]
		default:
			fixed = ""
		}
		return fmt.Sprintf(`{"Entries":[{"FixedVersion":%q,"Cves":[{"ID":%q,"Severity":%d}],"Arches":["x86_64","%s"],"Affected":[%d],"Status":%d}]}`,
			fixed, draw(t, found[:3]), rapid.IntRange(0, 4).Draw(t, "severity"), draw(t, []string{"aarch64", "s390x"}), rapid.IntRange(1, 3).Draw(t, "cpe"), rapid.IntRange(0, 3).Draw(t, "status"))
	case slices.Contains(ownBuckets, bucket):
		return fmt.Sprintf(`{"VendorIDs":["V-1","V-%d"],"Severity":%d,"Custom":{"statements":[{"fixedVersion":%q,"status":2,"arches":[%q,"src"],"source":%t,"noEpoch":%t},{"fixedVersion":%q,"status":5,"arches":["aarch64"]}]}}`,
			rapid.IntRange(2, 3).Draw(t, "vendor"), rapid.IntRange(0, 4).Draw(t, "severity"), fixed, draw(t, []string{"x86_64", "aarch64", "noarch"}), chance(t, 50), chance(t, 50), draw(t, fixes))
	case strings.HasPrefix(bucket, "rocky"), strings.HasPrefix(bucket, "Oracle"):
		return fmt.Sprintf(`{"FixedVersion":"","Entries":[{"FixedVersion":%q,"Arches":[%q]},{"FixedVersion":%q,"Arches":["aarch64"]}]}`,
			fixed, draw(t, []string{"x86_64", "aarch64"}), draw(t, fixes))
	case strings.Contains(bucket, "::"), strings.HasPrefix(bucket, "seal"), strings.HasPrefix(bucket, "rapidfort"):
		below := draw(t, []string{"1.3.0", "2.0.0", "9.0.0"})
		return fmt.Sprintf(`{"VulnerableVersions":["<%s"],"PatchedVersions":[%q,%q]}`, below, below, draw(t, []string{"9.1.0", "9.2.0"}))
	}
	return fmt.Sprintf(`{"FixedVersion":%q,"Severity":%d,"VendorIDs":["V-1","V-%d"]}`, fixed, rapid.IntRange(0, 4).Draw(t, "severity"), rapid.IntRange(2, 3).Draw(t, "vendor"))
}

func detailRow(t *rapid.T) string {
	return fmt.Sprintf(`{"Title":%q,"Description":%q,"Severity":%q,"VendorSeverity":{%q:%d,"nvd":%d},"CVSS":{"nvd":{"V3Score":%d.5,"V40Vector":%q}},"References":["https://linux.oracle.com/errata/%d","https://example.com"],"PublishedDate":"2024-01-0%dT00:00:00Z"}`,
		draw(t, []string{"a title", "another"}), draw(t, []string{"text", "more text"}), draw(t, []string{"LOW", "HIGH"}),
		draw(t, []string{"debian", "ghsa", "redhat", "alpine", "rocky"}), rapid.IntRange(0, 4).Draw(t, "vendor"), rapid.IntRange(0, 4).Draw(t, "nvd"),
		rapid.IntRange(0, 9).Draw(t, "score"), draw(t, []string{"x", "y"}), rapid.IntRange(1, 2).Draw(t, "link"), rapid.IntRange(1, 3).Draw(t, "day"))
}

var swapped = regexp.MustCompile(`"PatchedVersions":\[("[^"]*"),("[^"]*")\]`)

// other is a record with one field changed.
func other(t *rapid.T, record string) string {
	fields := []string{`"Title":"[^"]*"`, `"Description":"[^"]*"`, `"Severity":"[^"]*"`, `"VendorSeverity":[{][^}]*}`, `"V3Score":[0-9.]*`, `"V40Vector":"[^"]*"`, `"References":[^]]*]`, `"PublishedDate":"[^"]*"`}
	field := regexp.MustCompile(draw(t, fields))
	fresh := detailRow(t)
	if record == "" || record == "{}" {
		return fresh
	}
	return field.ReplaceAllLiteralString(record, field.FindString(fresh))
}

func (c content) addBucket(t *rapid.T, bucket string) {
	pool := names
	if strings.Contains(bucket, "::") {
		pool = library
	}
	c["data-source|"+bucket] = fmt.Sprintf(`{"ID":%q,"Name":"n","BaseID":%q}`, draw(t, []string{"debian", "ghsa", "redhat"}), draw(t, []string{"", "alpine"}))
	for _, name := range pool {
		for _, id := range found {
			if chance(t, 30) {
				c[bucket+"|"+name+"|"+id] = advisoryRow(t, bucket, id)
			}
		}
	}
	c[bucket+"|so that it exists|CVE-1999-1"] = "{}"
}

func (c content) dropBucket(bucket string) {
	for path := range c {
		if strings.HasPrefix(path, bucket+"|") || path == "data-source|"+bucket {
			delete(c, path)
		}
	}
}

// drawContent makes a database of some of the releases and sources.
func drawContent(t *rapid.T) content {
	c := content{"vulnerability|CVE-1999-1": "{}"}
	for _, bucket := range slices.Concat(releases, sourcesOfLanguages) {
		if chance(t, 85) {
			c.addBucket(t, bucket)
		}
	}
	for _, id := range found {
		if chance(t, 80) {
			c["vulnerability|"+id] = detailRow(t)
		}
	}
	for _, repository := range []string{"rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms", "extra"} {
		c["Red Hat CPE|repository|"+repository] = fmt.Sprintf("[%d,%d]", rapid.IntRange(1, 3).Draw(t, "cpe"), rapid.IntRange(1, 3).Draw(t, "cpe"))
	}
	c["Red Hat CPE|nvr|ubi9-1-x86_64"] = "[2]"
	return c
}

// next is the database after a day: usually little has changed.
func (c content) next(t *rapid.T) content {
	n := content{}
	for path, value := range c {
		n[path] = value
	}
	paths := make([]string, 0, len(c))
	for path := range c {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for range rapid.IntRange(0, 4).Draw(t, "changes") {
		path := draw(t, paths)
		bucket, _, _ := strings.Cut(path, "|")
		switch rapid.IntRange(0, 9).Draw(t, "change") {
		case 0, 1: // withdrawn
			if path != "vulnerability|CVE-1999-1" {
				delete(n, path)
			}
		case 2, 3: // another fixed version, severity, architecture, product
			switch bucket {
			case "vulnerability":
				n[path] = other(t, c[path])
			case "Red Hat CPE":
				n[path] = fmt.Sprintf("[%d]", rapid.IntRange(1, 4).Draw(t, "cpe"))
			case "data-source":
				n[path] = fmt.Sprintf(`{"ID":%q}`, draw(t, []string{"debian", "nvd", "alpine"}))
			default:
				n[path] = advisoryRow(t, bucket, path[strings.LastIndex(path, "|")+1:])
				if chance(t, 30) { // the same versions in another order
					n[path] = swapped.ReplaceAllString(c[path], `"PatchedVersions":[$2,$1]`)
				}
			}
		case 4: // details alone
			path := "vulnerability|" + draw(t, found)
			n[path] = other(t, n[path])
		case 5: // a new advisory
			b := draw(t, slices.Concat(releases, sourcesOfLanguages))
			if c["data-source|"+b] != "" {
				pool := names
				if strings.Contains(b, "::") {
					pool = library
				}
				id := draw(t, found)
				n[b+"|"+draw(t, pool)+"|"+id] = advisoryRow(t, b, id)
			}
		case 6: // a release or a source comes
			n.addBucket(t, draw(t, slices.Concat(releases, sourcesOfLanguages)))
		case 7: // or goes
			n.dropBucket(draw(t, slices.Concat(releases, sourcesOfLanguages)))
		case 8: // or is renamed
			from, to := draw(t, releases[:6]), draw(t, releases[:6])
			if from != to {
				n.dropBucket(to)
				for path, value := range c {
					if rest, ok := strings.CutPrefix(path, from+"|"); ok {
						n[to+"|"+rest] = value
					}
				}
				n["data-source|"+to] = `{"ID":"debian"}`
				n.dropBucket(from)
			}
		case 9:
			n["Red Hat CPE|repository|"+draw(t, []string{"rhel-9-for-x86_64-baseos-rpms", "extra"})] = fmt.Sprintf("[%d]", rapid.IntRange(1, 4).Draw(t, "cpe"))
		}
	}
	return n
}

// write makes the directory of a database.
func (c content) write(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{NoSync: true, NoGrowSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		for path, value := range c {
			parts := strings.Split(path, "|")
			b, err := tx.CreateBucketIfNotExists([]byte(parts[0]))
			for _, part := range parts[1 : len(parts)-1] {
				if err == nil {
					b, err = b.CreateBucketIfNotExists([]byte(part))
				}
			}
			if err == nil {
				err = b.Put([]byte(parts[len(parts)-1]), []byte(value))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// distributions are what random images are of.
var distributions = []gate.OS{
	{Family: "debian", Name: "12.5"}, {Family: "debian", Name: "13"}, {Family: "alpine", Name: "3.20.3"}, {Family: "ubuntu", Name: "24.04"},
	{Family: "ubuntu", Name: "20.04", Extended: true}, {Family: "rocky", Name: "9.4"}, {Family: "oracle", Name: "9.4"}, {Family: "alma", Name: "9.4"},
	{Family: "amazon", Name: "2023.6"}, {Family: "azurelinux", Name: "3.0"}, {Family: "photon", Name: "5.0"}, {Family: "sles", Name: "15.6"},
	{Family: "opensuse-leap", Name: "15.6"}, {Family: "wolfi", Name: "1"}, {Family: "chainguard", Name: "1"}, {Family: "echo", Name: "1"}, {Family: "minimos", Name: "1"},
	{Family: "openeuler", Name: "22.03-LTS-SP3"}, {Family: "anolis", Name: "8.8"}, {Family: "uniontech", Name: "20-1060d"},
	{Family: "bottlerocket", Name: "1"}, {Family: "redhat", Name: "9.4"}, {Family: "centos", Name: "9"}, {Family: "ubuntu", Name: "24.04", Supplier: "rapidfort"}, {},
}

func drawImage(t *rapid.T) *gate.Inventory {
	inv := &gate.Inventory{Format: 1, Digest: image, OS: draw(t, distributions)}
	if inv.OS.Family == "alpine" && chance(t, 30) {
		inv.PackageRepository = "alpine 3.20"
	}
	marker := chance(t, 25) // rebuilt by a third party
	for i, name := range []string{"openssl", "zlib", "curl", "npm"} {
		if inv.OS.Family == "" || chance(t, 40) {
			continue
		}
		p := gate.Package{ID: name, Name: name, Version: "1.3", Release: "1", Arch: draw(t, []string{"x86_64", "aarch64", "noarch"}), SrcName: draw(t, []string{name, "openssl"}), SrcVersion: "1.3", SrcRelease: "1"}
		if inv.OS.Family == "alpine" {
			p.Version, p.Release, p.SrcVersion, p.SrcRelease = "1.3-r1", "", "1.3-r1", ""
		}
		if name == "npm" && chance(t, 50) {
			p.ModularityLabel = "nodejs:18:80300:229f"
		}
		switch {
		case marker && inv.OS.Family == "debian":
			p.Release = "1.root.io.1"
		case marker && i == 0:
			p.Name, p.SrcName = "seal-zlib", "seal-zlib"
		case inv.OS.Family == "redhat" && chance(t, 30):
			p.BuildInfo = &gate.BuildInfo{ContentSets: []string{"extra__9"}, Nvr: "ubi9-1", Arch: "x86_64"}
		case inv.OS.Family == "echo":
			p.Release = "1+e1"
		case inv.OS.Supplier == "rapidfort":
			p.Release = "1+rf.1"
		}
		inv.Packages = append(inv.Packages, p)
	}
	for _, kind := range []string{"python-pkg", "node-pkg", "gobinary", "gemspec", "jar", "nuget", "conda-pkg"} {
		if chance(t, 75) {
			continue
		}
		a := gate.Application{Type: kind, FilePath: "app/" + kind}
		for _, name := range library {
			if chance(t, 50) {
				a.Packages = append(a.Packages, gate.Package{ID: name, Name: draw(t, []string{name, strings.ToUpper(name)}), Version: draw(t, []string{"1.2.0", "1.2.0-sp1", "1.9.0"})})
			}
		}
		inv.Applications = append(inv.Applications, a)
	}
	return inv
}

// touches applies what is touched to lookups, as the index of a catalog does.
func touches(touched gate.Touched, l gate.Lookups) bool {
	hit := func(changed, held []string) bool {
		return slices.ContainsFunc(held, func(key string) bool { return slices.Contains(changed, key) })
	}
	return touched.Class != nil && touched.Class(l.Class) || hit(touched.Packages, l.Packages) || hit(touched.Packages, l.Libraries) ||
		hit(touched.Vulnerabilities, l.Vulnerabilities)
}

// TestTouched_untouched_findings_stay: for random inventories and a row of databases,
// an image that no difference has touched has the findings that a full match gives.
func TestTouched_untouched_findings_stay(t *testing.T) {
	checks(t, 40)
	var images, untouched, differ, alone int
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		inventories := make([]*gate.Inventory, 6)
		for i := range inventories {
			inventories[i] = drawImage(rt)
		}
		m := match.New(nil, now)
		defer m.Close()
		type state struct {
			findings *gate.Findings
			lookups  gate.Lookups
		}
		states := make([]state, len(inventories))
		c, former := drawContent(rt), ""
		for day := range 3 {
			dir := filepath.Join(t.TempDir(), fmt.Sprintf("%d-%d", round, day))
			c.write(t, dir)
			g := gate.Generation{Number: int64(day + 1), Content: gate.Digest(fmt.Sprintf("sha256:%064d", day))}
			if err := m.Load(t.Context(), dir, g); err != nil {
				t.Fatal(err)
			}
			var touched gate.Touched
			if former != "" {
				d, err := advisory.Diff(t.Context(), former, dir)
				if err != nil {
					t.Fatal(err)
				}
				touched = match.Touched(t.Context(), d)
			}
			for i, inv := range inventories {
				full := find(t, m, inv)
				if s := states[i]; day > 0 {
					images++
					same := cmp.Diff(s.findings, full, cmpopts.IgnoreFields(gate.Findings{}, "Generation", "Advisories", "UpdatedAt", "MatchedAt"))
					if same != "" {
						differ++
					}
					if !touches(touched, s.lookups) {
						untouched++
						if same != "" {
							rt.Errorf("an image of %+v is not touched, and its findings differ (-lifted +matched):\n%s\ntouched: %+v\nlookups: %+v", inv.OS, same, touched, s.lookups)
						}
						continue // its findings stay, and are compared with the next day's
					}
				}
				l := m.Lookups(inv, full)
				if last := states[i].lookups; day > 0 {
					// What is said of other findings alone is what the inventory says too.
					if again, ok := m.LookupsAgain(last.Class, full); ok {
						alone++
						if again.Class != l.Class || !slices.Equal(again.Vulnerabilities, l.Vulnerabilities) || !slices.Equal(last.Packages, l.Packages) || !slices.Equal(last.Libraries, l.Libraries) {
							rt.Errorf("of other findings: got %+v, want %+v", again, l)
						}
					}
				}
				states[i] = state{full, l}
			}
			former, c = dir, c.next(rt)
		}
	})
	t.Logf("%d images, %d untouched, %d with other findings", images, untouched, differ)
	if alone == 0 {
		t.Error("no lookups were made of findings alone: the test shows nothing")
	}
	if untouched < images/4 || differ == 0 {
		t.Errorf("of %d images %d were untouched and %d have other findings: the test shows nothing", images, untouched, differ)
	}
}

// checks is how often a property is checked unless -rapid.checks says so.
func checks(t *testing.T, n int) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	former := flag.Lookup("rapid.checks").Value.String()
	t.Cleanup(func() { _ = flag.Set("rapid.checks", former) })
	if err := flag.Set("rapid.checks", strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
}

// TestTouched_every_detector: one advisory of one bucket is withdrawn, the image that
// had its finding is touched, and one of another release is not.
func TestTouched_every_detector(t *testing.T) {
	mariner := gate.OS{Family: "cbl-mariner", Name: "2.0"}
	for name, c := range map[string]struct {
		os       gate.OS
		pkg      gate.Package
		app      string // instead of os
		bucket   string
		key      string
		advisory string
	}{
		"debian":            {os: gate.OS{Family: "debian", Name: "12.5"}, bucket: "debian 12"},
		"alpine":            {os: gate.OS{Family: "alpine", Name: "3.20.1"}, bucket: "alpine 3.20"},
		"ubuntu":            {os: gate.OS{Family: "ubuntu", Name: "24.04"}, bucket: "ubuntu 24.04"},
		"ubuntu_extended":   {os: gate.OS{Family: "ubuntu", Name: "20.04", Extended: true}, bucket: "ubuntu 20.04-ESM"},
		"rocky":             {os: gate.OS{Family: "rocky", Name: "9.4"}, bucket: "rocky 9", advisory: `{"Entries":[{"FixedVersion":"9-1","Arches":["x86_64"]}]}`},
		"rocky_module":      {os: gate.OS{Family: "rocky", Name: "9.4"}, bucket: "rocky 9", key: "nodejs:18::bin", pkg: gate.Package{ModularityLabel: "nodejs:18:8:1"}, advisory: `{"Entries":[{"FixedVersion":"9-1","Arches":["x86_64"]}]}`},
		"oracle":            {os: gate.OS{Family: "oracle", Name: "9.4"}, bucket: "Oracle Linux 9", advisory: `{"Entries":[{"FixedVersion":"9-1","Arches":["x86_64"]}]}`},
		"alma":              {os: gate.OS{Family: "alma", Name: "9.4"}, bucket: "alma 9"},
		"amazon":            {os: gate.OS{Family: "amazon", Name: "2023.6"}, bucket: "amazon linux 2023"},
		"azure":             {os: gate.OS{Family: "azurelinux", Name: "3.0"}, bucket: "Azure Linux 3.0"},
		"mariner":           {os: mariner, bucket: "CBL-Mariner 2.0"},
		"photon":            {os: gate.OS{Family: "photon", Name: "5.0"}, bucket: "Photon OS 5.0"},
		"suse":              {os: gate.OS{Family: "sles", Name: "15.6"}, bucket: "SUSE Linux Enterprise 15.6"},
		"leap":              {os: gate.OS{Family: "opensuse-leap", Name: "15.6"}, bucket: "openSUSE Leap 15.6"},
		"wolfi":             {os: gate.OS{Family: "wolfi", Name: "1"}, bucket: "wolfi"},
		"chainguard":        {os: gate.OS{Family: "chainguard", Name: "1"}, bucket: "chainguard"},
		"echo":              {os: gate.OS{Family: "echo", Name: "1"}, pkg: gate.Package{Release: "1+e1"}, bucket: "echo"},
		"minimos":           {os: gate.OS{Family: "minimos", Name: "1"}, bucket: "minimos"},
		"bottlerocket":      {os: gate.OS{Family: "bottlerocket", Name: "1"}, bucket: "bottlerocket"},
		"red_hat":           {os: gate.OS{Family: "redhat", Name: "9.4"}, bucket: "Red Hat", advisory: `{"Entries":[{"FixedVersion":"9-1","Cves":[{"ID":"CVE-2024-1","Severity":3}],"Affected":[2]}]}`},
		"centos":            {os: gate.OS{Family: "centos", Name: "9"}, bucket: "Red Hat", advisory: `{"Entries":[{"FixedVersion":"9-1","Cves":[{"ID":"CVE-2024-1","Severity":3}],"Affected":[2]}]}`},
		"rapidfort":         {os: gate.OS{Family: "ubuntu", Name: "24.04", Supplier: "rapidfort"}, pkg: gate.Package{Release: "1rfubu", SrcRelease: "1rfubu"}, bucket: "rapidfort ubuntu", advisory: `{"VulnerableVersions":["<9"]}`},
		"rapidfort_release": {os: gate.OS{Family: "redhat", Name: "9.4", Supplier: "rapidfort"}, pkg: gate.Package{Release: "1.rf1.el8", SrcRelease: "1.rf1.el8"}, bucket: "rapidfort Red Hat 8", advisory: `{"VulnerableVersions":["<9"]}`},
		"root_io":           {os: gate.OS{Family: "debian", Name: "12"}, pkg: gate.Package{Release: "1.root.io.1"}, bucket: "root.io debian 12", advisory: `{"VulnerableVersions":["<9"]}`},
		"root_io_base":      {os: gate.OS{Family: "debian", Name: "12"}, pkg: gate.Package{Release: "1.root.io.1"}, bucket: "debian 12"},
		"seal":              {os: gate.OS{Family: "debian", Name: "12"}, pkg: gate.Package{Name: "seal-bin", SrcName: "seal-src"}, bucket: "seal debian", key: "seal-src", advisory: `{"VulnerableVersions":["<9"]}`},
		"seal_red_hat":      {os: gate.OS{Family: "oracle", Name: "9"}, pkg: gate.Package{Name: "seal-bin", SrcName: "seal-src", SrcRelease: "1.el9+sp1"}, bucket: "seal Red Hat 9", key: "seal-src", advisory: `{"VulnerableVersions":["<9"]}`},
		"pip":               {app: "python-pkg", pkg: gate.Package{Name: "Some_Thing"}, bucket: "pip::GitHub", key: "some-thing", advisory: `{"VulnerableVersions":["<9"]}`},
		"pip_sealed":        {app: "python-pkg", pkg: gate.Package{Name: "seal-x"}, bucket: "seal pip::Seal", key: "seal-x", advisory: `{"VulnerableVersions":["<9"]}`},
		"swift":             {app: "swift", pkg: gate.Package{Name: "https://github.com/A/b.git"}, bucket: "swift::GitHub", key: "github.com/A/b", advisory: `{"VulnerableVersions":["<9"]}`},
		"go":                {app: "gobinary", pkg: gate.Package{Name: "example.com/Mixed"}, bucket: "go::Go", key: "example.com/Mixed", advisory: `{"VulnerableVersions":["<9"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			full := content{"vulnerability|CVE-1999-1": "{}", "Red Hat CPE|repository|rhel-9-for-x86_64-baseos-rpms": "[2]"}
			for _, b := range append(releases, "CBL-Mariner 2.0", "rapidfort ubuntu", "rapidfort Red Hat 8", "swift::GitHub", "pip::GitHub", "seal pip::Seal", "go::Go") {
				full[b+"|so that it exists|CVE-1999-1"] = "{}"
				full["data-source|"+b] = `{"ID":"nvd","BaseID":"nvd"}`
			}
			p := c.pkg
			set := func(field *string, value string) {
				if *field == "" {
					*field = value
				}
			}
			for field, value := range map[*string]string{&p.Name: "bin", &p.SrcName: "src", &p.Version: "1", &p.SrcVersion: "1", &p.Arch: "x86_64"} {
				set(field, value)
			}
			inv := &gate.Inventory{Format: 1, Digest: image, OS: c.os, Packages: []gate.Package{p}}
			if c.app != "" {
				inv = app(c.app, "app", p)
			}
			keys := []string{c.key}
			if c.key == "" {
				keys = []string{"bin", "src"}
			}
			less := content{}
			for path, value := range full {
				less[path] = value
			}
			for _, key := range keys {
				full[c.bucket+"|"+key+"|CVE-2024-1"] = stdcmp.Or(c.advisory, `{"FixedVersion":"9"}`)
			}
			before, after := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
			full.write(t, before)
			less.write(t, after)
			m := match.New(nil, now)
			defer m.Close()
			if err := m.Load(t.Context(), before, gate.Generation{Number: 1, Content: "a"}); err != nil {
				t.Fatal(err)
			}
			f := find(t, m, inv)
			if len(f.Vulnerabilities) == 0 || f.Unassessable != "" {
				t.Fatalf("nothing was found, so that the test shows nothing: %+v", f)
			}
			d, err := advisory.Diff(t.Context(), before, after)
			if err != nil {
				t.Fatal(err)
			}
			l := m.Lookups(inv, f)
			if !touches(match.Touched(t.Context(), d), l) {
				t.Errorf("the image is not touched by %+v; it looks up %+v", d, l)
			}
			for i := range d.Packages {
				d.Packages[i].Bucket = "fedora 40"
			}
			if touches(match.Touched(t.Context(), d), l) {
				t.Errorf("the image is touched by %+v; it looks up %+v", d, l)
			}
		})
	}
}

// TestTouched_end_of_life: a release whose life has ended since its image was matched
// touches the image, whatever the data.
func TestTouched_end_of_life(t *testing.T) {
	m := samples(t)
	inv := debian("12.5", deb("bash", "bash", "5.2.15-2"))
	f := find(t, m, inv)
	if f.Unassessable != "" || f.EOL {
		t.Fatalf("got %+v", f)
	}
	same := match.Touched(t.Context(), advisory.Difference{})
	if touches(same, m.Lookups(inv, f)) {
		t.Error("an image is touched by nothing")
	}
	f.EOL = true // as if its detector had said so at another time
	if !touches(same, m.Lookups(inv, f)) {
		t.Error("the end of a release's life touches nothing")
	}
	f.Matcher = "another"
	f.EOL = false
	if !touches(same, m.Lookups(inv, f)) {
		t.Error("findings of another matcher count as untouched")
	}
}
