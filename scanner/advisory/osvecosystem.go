package advisory

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/ecosystem"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/osv"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	apkver "github.com/knqyf263/go-apk-version"
	debver "github.com/knqyf263/go-deb-version"
	rpmver "github.com/knqyf263/go-rpm-version"
)

// osvEcosystem maps OSV's names of languages (https://ossf.github.io/osv-schema, lower
// case) to those of Trivy's buckets. Those that are missing have no packages here: they
// are of other kinds of files (Android, CRAN, GHC, GitHub Actions, Hackage, VSCode …).
func osvEcosystem(name string) (ecosystem.Type, bool) {
	eco, ok := map[string]ecosystem.Type{
		"go": ecosystem.Go, "npm": ecosystem.Npm, "pypi": ecosystem.Pip, "rubygems": ecosystem.RubyGems, "crates.io": ecosystem.Cargo,
		"packagist": ecosystem.Composer, "maven": ecosystem.Maven, "nuget": ecosystem.NuGet, "hex": ecosystem.Erlang, "pub": ecosystem.Pub,
		"swifturl": ecosystem.Swift, "julia": ecosystem.Julia, "conancenter": ecosystem.Conan, "cocoapods": ecosystem.Cocoapods,
		"bitnami": ecosystem.Bitnami, "kubernetes": ecosystem.Kubernetes,
	}[strings.ToLower(withoutSuffix(name))]
	return eco, ok
}

// withoutSuffix is an ecosystem without what follows a colon, such as the URL of another
// registry ("Maven:https://repo.example.com").
func withoutSuffix(name string) string {
	before, _, _ := strings.Cut(name, ":")
	return before
}

// distro is how OSV files the advisories of one distribution.
type distro struct {
	// release takes the release out of what follows the colon.
	release *regexp.Regexp
	bucket  func(release string) bucket.Bucket
	source  types.DataSource
	// later compares two versions with a fix; an error is a version that cannot be
	// compare.
	later func(a, b string) (bool, error)
	// unfixed says that the detector shows flaws without a fix.
	unfixed bool
	// binaries says that the detector looks up binary packages. OSV names source packages,
	// and their binaries beside: an entry without these is left out, because it would look
	// as if the others were not affected.
	binaries bool
}

var (
	anyRelease   = regexp.MustCompile(`^$`)
	majorRelease = regexp.MustCompile(`^([0-9]{1,3})(?:\.[0-9]+)?$`)
	minorRelease = regexp.MustCompile(`^v?([0-9]+\.[0-9]+)$`)
	ubuntuLTS    = regexp.MustCompile(`^(?:Pro:)?([0-9]{2}\.[0-9]{2})(?::LTS)?$`)
	suseServer   = regexp.MustCompile(`^Linux Enterprise (?:Server|High Performance Computing)? ?([0-9]{2}(?: SP[0-9])?)(?:-LTSS|-ESPOS)?$`)
	suseMicro    = regexp.MustCompile(`^Linux (?:Enterprise )?Micro ([0-9]\.[0-9])$`)
	leap         = regexp.MustCompile(`^Leap ([0-9]{2}\.[0-9])$`)
	tumbleweed   = regexp.MustCompile(`^Tumbleweed$`)
)

// distros are by OSV's name in lower case; a distribution with several products has
// several. Rocky Linux and Red Hat are not among them: their entries name source packages
// and no binaries, which is what their detectors look up.
func distros(name string) []distro {
	dpkg := func(a, b string) (bool, error) {
		x, err := debver.NewVersion(a)
		if err != nil {
			return false, err
		}
		y, err := debver.NewVersion(b)
		return err == nil && y.LessThan(x), err
	}
	apk := func(a, b string) (bool, error) {
		x, err := apkver.NewVersion(a)
		if err != nil {
			return false, err
		}
		y, err := apkver.NewVersion(b)
		return err == nil && y.LessThan(x), err
	}
	rpm := func(a, b string) (bool, error) {
		if strings.ContainsAny(a, " \t") || !strings.ContainsAny(a, "0123456789") {
			return false, fmt.Errorf("is not a version of RPM")
		}
		return rpmver.NewVersion(b).LessThan(rpmver.NewVersion(a)), nil
	}
	from := func(id types.SourceID, name string) types.DataSource {
		return types.DataSource{ID: id, Name: name + " (OSV)", URL: "https://osv.dev/"}
	}
	rolling := func(b func(string) bucket.Bucket, source types.DataSource) []distro {
		return []distro{{release: anyRelease, bucket: b, source: source, later: apk}}
	}
	suse := from(vulnerability.SuseCVRF, "SUSE")
	switch strings.ToLower(name) {
	case "debian":
		return []distro{{release: majorRelease, bucket: bucket.NewDebian, source: from(vulnerability.Debian, "Debian"), later: dpkg, unfixed: true}}
	case "ubuntu":
		return []distro{{release: ubuntuLTS, bucket: bucket.NewUbuntu, source: from(vulnerability.Ubuntu, "Ubuntu"), later: dpkg, unfixed: true}}
	case "echo":
		return []distro{{release: anyRelease, bucket: func(string) bucket.Bucket { return bucket.NewEcho("") }, source: from(vulnerability.Echo, "Echo"), later: dpkg}}
	case "alpine":
		return []distro{{release: minorRelease, bucket: bucket.NewAlpine, source: from(vulnerability.Alpine, "Alpine"), later: apk, unfixed: true}}
	case "wolfi":
		return rolling(func(string) bucket.Bucket { return bucket.NewWolfi("") }, from(vulnerability.Wolfi, "Wolfi"))
	case "chainguard":
		return rolling(func(string) bucket.Bucket { return bucket.NewChainguard("") }, from(vulnerability.Chainguard, "Chainguard"))
	case "minimos":
		return rolling(func(string) bucket.Bucket { return bucket.NewMinimOS("") }, from(vulnerability.MinimOS, "MinimOS"))
	case "almalinux":
		return []distro{{release: majorRelease, bucket: bucket.NewAlma, source: from(vulnerability.Alma, "AlmaLinux"), later: rpm}}
	case "photon os":
		return []distro{{release: minorRelease, bucket: bucket.NewPhoton, source: from(vulnerability.Photon, "Photon OS"), later: rpm}}
	case "suse":
		return []distro{
			{release: suseMicro, bucket: bucket.NewSUSELinuxEnterpriseMicro, source: suse, later: rpm, binaries: true},
			{release: suseServer, bucket: func(r string) bucket.Bucket {
				return bucket.NewSUSELinuxEnterprise(strings.Replace(r, " SP", ".", 1))
			}, source: suse, later: rpm, binaries: true},
		}
	case "opensuse":
		return []distro{
			{release: leap, bucket: bucket.NewOpenSUSE, source: suse, later: rpm, binaries: true},
			{release: tumbleweed, bucket: func(string) bucket.Bucket { return bucket.NewOpenSUSETumbleweed() }, source: suse, later: rpm, binaries: true},
		}
	}
	return nil
}

// osvDistro finds the distribution and release of an ecosystem such as "Debian:12".
func osvDistro(eco string) (d distro, b string, ok bool) {
	name, release, _ := strings.Cut(eco, ":")
	for _, d := range distros(name) {
		m := d.release.FindStringSubmatch(release)
		if m == nil {
			continue
		}
		r := ""
		if len(m) > 1 {
			r = m[1]
		}
		if strings.HasPrefix(release, "Pro:") {
			r += "-ESM"
		}
		return d, d.bucket(r).Name(), true
	}
	return distro{}, "", false
}

// distroAffected is what an affected package of a distribution says besides.
type distroAffected struct {
	Affected []struct {
		EcosystemSpecific struct {
			// SUSE lists binaries as objects of name and version.
			Binaries []map[string]string `json:"binaries"`
		} `json:"ecosystem_specific"`
	} `json:"affected"`
}

// putDistro files what an entry says of a package of a distribution, and returns the data
// source under which its details go; "" when nothing was filed.
func (c *collection) putDistro(d distro, name string, i int, e osv.Entry, more distroAffected, ids, vendorIDs []string, odd func(r int, why oddRange)) (types.SourceID, error) {
	a := e.Affected[i]
	b := c.bucket(name, d.source)
	fixed, affected, err := d.fix(a, odd)
	if err != nil {
		return "", err
	}
	switch {
	case !affected:
		c.skipped["packages of OSV entries with neither a version nor a range of versions"]++
		return "", nil
	case fixed == "" && !d.unfixed:
		c.skipped[fmt.Sprintf("flaws of packages of %s without a fix, which its detector does not show", withoutSuffix(a.Package.Ecosystem))]++
		return "", nil
	}
	names := map[string]string{a.Package.Name: fixed}
	if d.binaries {
		names = map[string]string{}
		if i < len(more.Affected) {
			for _, list := range more.Affected[i].EcosystemSpecific.Binaries {
				for n, v := range list {
					names[n] = v
				}
			}
		}
		if len(names) == 0 {
			c.skipped[fmt.Sprintf("packages of ecosystem %q without their binaries, which its detector looks up", withoutSuffix(a.Package.Ecosystem))]++
			return "", nil
		}
	}
	for pkg, version := range names {
		if d.binaries && version != fixed {
			if _, err := d.later(version, fixed); version == "" || err != nil {
				version = fixed
			}
		}
		adv := types.Advisory{FixedVersion: version, VendorIDs: vendorIDs}
		if version == "" {
			adv.Status = types.StatusAffected
		}
		for _, id := range ids {
			b.put(pkg, id, adv, func(old, adv types.Advisory) types.Advisory { return d.worse(old, adv) })
		}
	}
	return d.source.ID, nil
}

// fix is the version from which on a package of a distribution is not affected any more:
// that of the last of its ranges. "" with affected says that there is none.
func (d distro) fix(a osv.Affected, odd func(r int, why oddRange)) (fixed string, affected bool, err error) {
	if a.Package.Name == "" {
		return "", false, fmt.Errorf("package.name: is empty")
	}
	open := false
	for i, r := range a.Ranges {
		if r.Type == osv.RangeTypeGit {
			continue
		}
		for j, event := range r.Events {
			if _, err := d.later(event.Fixed, event.Fixed); event.Fixed != "" && err != nil {
				return "", false, fmt.Errorf("ranges[%d].events[%d].fixed: got %q: %w", i, j, event.Fixed, err)
			}
		}
		list, why := intervals(r.Events, func(x, y string) (bool, error) { return d.later(y, x) })
		if why != "" {
			odd(i, why)
		}
		if len(list) == 0 {
			continue
		}
		affected = true
		// The last interval may have no end, or one that names the last affected version:
		// the version after that is not known.
		last := list[len(list)-1].fixed
		if last == "" {
			open = true
			continue
		}
		if later, err := d.later(last, fixed); fixed == "" || err == nil && later {
			fixed = last
		}
	}
	if len(a.Ranges) == 0 && len(a.Versions) > 0 {
		affected, open = true, true
	}
	if open {
		fixed = ""
	}
	return fixed, affected, nil
}

// worse joins two statements of one package: it is affected as long as either says so.
func (d distro) worse(old, adv types.Advisory) types.Advisory {
	for _, id := range adv.VendorIDs {
		if !strings.Contains("\n"+strings.Join(old.VendorIDs, "\n")+"\n", "\n"+id+"\n") {
			old.VendorIDs = append(old.VendorIDs[:len(old.VendorIDs):len(old.VendorIDs)], id)
		}
	}
	if old.FixedVersion == "" {
		return old
	}
	if later, err := d.later(adv.FixedVersion, old.FixedVersion); adv.FixedVersion == "" || err == nil && later {
		old.FixedVersion, old.Status = adv.FixedVersion, adv.Status
	}
	return old
}

// readDistros reads what distributions say besides, once for an entry.
func readDistros(doc document) (d distroAffected) {
	if json.Unmarshal(doc.data, &d) != nil {
		return distroAffected{} // of another form: nothing of it is known
	}
	return d
}

// uniteLanguages gives each bucket of a language the ranges that the others of its
// ecosystem have for the same vulnerability of the same package: the detectors read all of
// them, and take the row of the last one alone.
func (c *collection) uniteLanguages() {
	type key struct{ eco, pkg, id string }
	rows := map[key][]string{} // buckets
	for name, b := range c.buckets {
		eco, _, ok := strings.Cut(name, "::")
		if !ok || !c.several(eco) {
			continue
		}
		for pkg, advs := range b.packages {
			for id := range advs {
				k := key{eco, pkg, id}
				rows[k] = append(rows[k], name)
			}
		}
	}
	for k, names := range rows {
		if len(names) < 2 {
			continue
		}
		slices.Sort(names)
		var all types.Advisory
		for i, name := range names {
			adv := c.buckets[name].packages[k.pkg][k.id]
			if i == 0 {
				all = adv
				continue
			}
			all = mergeRanges(all, adv)
		}
		for _, name := range names {
			c.buckets[name].packages[k.pkg][k.id] = all
		}
	}
}

// several reports whether an ecosystem has more than one bucket.
func (c *collection) several(eco string) bool {
	n := 0
	for name := range c.buckets {
		if strings.HasPrefix(name, eco+"::") {
			n++
		}
	}
	return n > 1
}
