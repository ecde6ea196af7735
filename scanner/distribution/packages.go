package distribution

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Contents says how packages and databases contradict the family and release that were
// decided: packages of another manager, databases that no manager reads, the package
// that brings the release files of another distribution, packages built for another
// release. "" when they agree, or as far as the family is not known. rebuilt says that
// a supplier rebuilt the packages: their versions are its own.
func Contents(family, release string, facts *gate.Distribution, pkgs []gate.Package, rebuilt bool) string {
	f := families[family]
	if f != nil {
		if p := f.otherManager(release, pkgs); p != "" {
			return p
		}
	}
	if facts != nil {
		for _, db := range facts.Databases {
			if unread(db) {
				return fmt.Sprintf("there are packages of %s (%s), whose database no analyser reads; an image without them is needed",
					gate.Printable(db.Manager, 40), gate.Printable(db.Path, 80))
			}
		}
	}
	if f == nil || rebuilt {
		return ""
	}
	// Echo is built from Debian's sources, so that nothing else tells it from a
	// Debian with another os-release.
	if f.name == "echo" && len(pkgs) > 0 && !slices.ContainsFunc(pkgs, fromEcho) {
		return "the release files say Echo, but no package does, and a Debian image would look the same; an image with packages that Echo built is needed"
	}
	if p := f.otherSuffix(release, pkgs); p != "" {
		return p
	}
	if p := f.otherBase(release, pkgs); p != "" {
		return p
	}
	if p := f.noneOwn(release, pkgs); p != "" {
		return p
	}
	return f.otherRelease(release, pkgs)
}

// otherManager counts the packages of the first manager that is not the
// family's.
func (f *family) otherManager(release string, pkgs []gate.Package) string {
	manager := f.manager
	if f.name == UnionTech && strings.HasSuffix(release, "d") {
		manager = dpkg
	}
	other, n := "", 0
	for _, p := range pkgs {
		m := managers[p.AnalyzedBy]
		if m == "" || m == manager {
			continue
		}
		if other == "" {
			other = m
		}
		if m == other {
			n++
		}
	}
	switch {
	case other == "":
		return ""
	case manager == "":
		return fmt.Sprintf("%d packages were installed by %s, but %s has no package manager; %s", n, other, f.label, needed)
	}
	return fmt.Sprintf("%d packages were installed by %s, but %s installs its packages by %s; %s", n, other, f.inWords(release), manager, needed)
}

// bases are the packages that bring a distribution's release files, and the
// families whose images have them. nil stands for a distribution that has no
// advisories here.
var bases = map[string][]string{
	"redhat-release": {"redhat", "oracle"}, "redhat-release-server": {"redhat", "oracle"},
	"redhat-release-workstation": {"redhat"}, "redhat-release-client": {"redhat"},
	"centos-release": {"centos", TencentOS, Alinux}, "centos-linux-release": {"centos"}, "centos-stream-release": {"centos-stream"},
	"rocky-release": {"rocky"}, "almalinux-release": {"alma"}, "oraclelinux-release": {"oracle"},
	"fedora-release": {"fedora"}, "fedora-release-common": {"fedora"}, "system-release": {"amazon"},
	"photon-release": {"photon"}, "mariner-release": {"cbl-mariner"}, "azurelinux-release": {"azurelinux"},
	"sles-release": {"sles"}, "SLE-Micro-release": {"slem"}, "SL-Micro-release": {"slem"},
	"openSUSE-release": {"opensuse-leap", "opensuse-tumbleweed"}, "Leap-release": {"opensuse-leap"},

	"openEuler-release": {OpenEuler}, "euleros-release": {EulerOS}, "hce-release": {HCE}, "kylin-release": {Kylin},
	"uos-release": {UnionTech}, "uniontech-release": {UnionTech}, "UnionTech-release": {UnionTech}, "anolis-release": {Anolis}, "alinux-release": {Alinux},
	"tencentos-release": {TencentOS}, "tencent-release": {TencentOS}, "tlinux-release": {TencentOS},
	"opencloudos-release": {OpenCloudOS}, "opencloudos-stream-release": {OpenCloudOS}, "neokylin-release": nil, "alios-release": nil,
	"bclinux-release": nil, "asianux-release": nil, "cloudlinux-release": nil, "sl-release": nil, "springdale-release": nil,
	"eurolinux-release": nil, "miraclelinux-release": nil, "navylinux-release": nil, "circle-release": nil,
	"clearos-release": nil, "virtuozzo-release": nil, "vzlinux-release": nil, "mageia-release": nil, "mageia-release-common": nil,
	"openmandriva-release": nil, "rosa-release": nil, "altlinux-release": nil, "openSUSE-MicroOS-release": nil,

	"alpine-baselayout": {"alpine"}, "alpine-baselayout-data": {"alpine"}, "alpine-base": {"alpine"}, "alpine-release": {"alpine"},
	"wolfi-baselayout": {"wolfi", "chainguard"}, "wolfi-base": {"wolfi", "chainguard"}, "chainguard-baselayout": {"chainguard"},
}

// debianBase is a version of Debian's base-files, whose first number is that of
// the release: 12.4+deb12u5, 7.1wheezy11.
var debianBase = regexp.MustCompile(`^(\d+)(\.\d+)*(lenny|squeeze|wheezy)?\d*(\+deb\d+u\d+)?(\+b\d+)?$`)

// otherBase looks at the package that brings the release files.
func (f *family) otherBase(release string, pkgs []gate.Package) string {
	for _, p := range pkgs {
		v := version(p)
		if p.Name == "base-files" && f.manager == dpkg {
			if of := f.otherBaseFiles(release, p, v); of != "" {
				return fmt.Sprintf("the package base-files %s is %s, but the release files say %s; %s", gate.Printable(v, 60), of, spoken(f, release), needed)
			}
			continue
		}
		of, ok := bases[p.Name]
		if !ok || f.manager == dpkg {
			continue
		}
		if !slices.Contains(of, f.name) {
			return fmt.Sprintf("the package %s %s brings the release files of another distribution, but the release files in the image say %s; %s",
				p.Name, gate.Printable(v, 60), spoken(f, release), needed)
		}
		if own := ownOf(f.name); own != nil {
			if r := own.release(p.Version); r != "" && r != own.release(release) && of[0] == own.name && own.name != UnionTech {
				return fmt.Sprintf("the package %s is of release %s, but the release files say %s; %s", p.Name, r, spoken(f, release), needed)
			}
			continue
		}
		if namesRelease(p.Name) && !sameRelease(p.Version, release, f.depth) {
			return fmt.Sprintf("the package %s is of release %s, but the release files say %s; %s",
				p.Name, gate.Printable(v, 60), spoken(f, release), needed)
		}
	}
	return ""
}

// namesRelease reports whether the package of a distribution's release files has
// the release as its version. That of alpine-baselayout counts its own changes;
// Amazon's system-release says 2018.03 where the release is 1.
func namesRelease(name string) bool {
	return name == "alpine-base" || strings.HasSuffix(name, "-release") && name != "system-release"
}

// otherBaseFiles says whose base-files it is when it is not the family's.
func (f *family) otherBaseFiles(release string, p gate.Package, v string) string {
	m := debianBase.FindStringSubmatch(v)
	switch f.name {
	case "debian":
		switch {
		case p.Epoch != 0 || m == nil:
			return "not Debian's"
		case numbers(release) != "" && isDigit(release) && !sameRelease(m[1], release, 1):
			return "of Debian " + m[1]
		}
	case "ubuntu":
		if !strings.Contains(v, "ubuntu") {
			return "not Ubuntu's"
		}
	}
	return ""
}

func isDigit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

var echoVersion = regexp.MustCompile(`\+e\d+$|echo`)

func fromEcho(p gate.Package) bool {
	return echoVersion.MatchString(version(p)) || strings.Contains(origin(p), "echo") || strings.HasPrefix(p.Name, "echo-")
}

var rapidFortVersion = regexp.MustCompile(`\+rf|rfubu|\.rf\d`)

// OfRapidFort reports whether a package names RapidFort in its version, as those
// that it rebuilt do (Trivy's pkg/detector/ospkg/rapidfort). A file without
// content is all that otherwise takes an image from its distribution's advisories
// to RapidFort's.
func OfRapidFort(p gate.Package) bool { return rapidFortVersion.MatchString(version(p)) }

// inWords is the family, and the release where that decides which manager it has.
func (f *family) inWords(release string) string {
	if f.name == UnionTech {
		return spoken(f, release)
	}
	return f.label
}

func spoken(f *family, release string) string {
	return strings.TrimSpace(f.label + " " + gate.Printable(release, 40))
}

// version is version and release as in the package's file name.
func version(p gate.Package) string {
	if p.Release == "" {
		return p.Version
	}
	return p.Version + "-" + p.Release
}

// The marks of a release in the versions of packages.
var (
	debianMark = regexp.MustCompile(`[+~]deb(\d+)u\d+`)
	ubuntuMark = regexp.MustCompile(`(?:ubuntu0?\.?|~)((?:1[4-9]|2\d)\.(?:04|10))(?:[.+~]|$)`)
	rpmMark    = regexp.MustCompile(`[.+_]([a-zA-Z]+)(\d+)`)
)

// mark is the release that a package's version names, "" when it names none of
// this family.
func (f *family) mark(p gate.Package) string {
	switch {
	case f.name == "debian" || f.name == "ubuntu":
		v, re, word := version(p), debianMark, "deb"
		if f.name == "ubuntu" {
			re, word = ubuntuMark, ".04"
			if !strings.Contains(v, word) {
				word = ".10"
			}
		}
		if !strings.Contains(v, word) || strings.Contains(v, "bpo") {
			return "" // a backport names where it comes from
		}
		if m := re.FindStringSubmatch(v); m != nil {
			return m[1]
		}
	case len(f.tags) > 0:
		if tag, n := rpmTag(p.Release); slices.Contains(f.tags, tag) {
			return n
		}
	}
	return ""
}

// otherRelease compares the marks: more packages that were built for another
// release than for this one contradict what the release files say. A few are in
// every image, because releases take over packages that did not change.
func (f *family) otherRelease(release string, pkgs []gate.Package) string {
	want := numbers(release)
	if want == "" || f.depth == 0 || (f.name == "debian" && !isDigit(release)) {
		return ""
	}
	if f.name == "amazon" && !slices.Contains([]string{"2", "2022", "2023"}, firstNumber(want)) {
		want = "1" // as Trivy's detector takes it: "AMI release 2018.03"
	}
	builtFor := func(p gate.Package) (string, bool) {
		m := f.mark(p)
		return m, sameRelease(m, want, f.depth)
	}
	if own := ownOf(f.name); own != nil {
		builtFor = func(p gate.Package) (string, bool) { return own.builtFor(p, release) }
	}
	same, other, example := 0, 0, gate.Package{}
	for _, p := range pkgs {
		switch m, this := builtFor(p); {
		case m == "":
		case this:
			same++
		default:
			if other++; other == 1 {
				example = p
			}
		}
	}
	if other <= same {
		return ""
	}
	return fmt.Sprintf("%d packages (such as %s %s) were built for another release of %s than %s, and only %d for it; %s",
		other, gate.Printable(example.Name, 60), gate.Printable(version(example), 60), f.label, gate.Printable(release, 40), same, needed)
}

// OlderRepository says that the packages of an Alpine image come from the
// repository of an older release than the image's, whose advisories Trivy's
// detector then takes; "" otherwise. repository is the inventory's
// PackageRepository ("alpine 3.18", "alpine edge").
func OlderRepository(family, release, repository string) string {
	_, from, _ := strings.Cut(repository, " ")
	if family != "alpine" || !isDigit(from) || !isDigit(release) || !older(numbers(from), numbers(release)) {
		return ""
	}
	return fmt.Sprintf("etc/apk/repositories names the release %s, but the image is of Alpine %s; %s", gate.Printable(from, 40), gate.Printable(release, 40), needed)
}

// older compares the first two numbers.
func older(a, b string) bool {
	var x, y [2]int
	for i, s := range []string{a, b} {
		v := []*[2]int{&x, &y}[i]
		_, _ = fmt.Sscanf(s, "%d.%d", &v[0], &v[1]) // what is not there is 0
	}
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}

func firstNumber(s string) string {
	s, _, _ = strings.Cut(s, ".")
	return s
}
