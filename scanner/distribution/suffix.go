package distribution

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// tellingTags are tags that one distribution alone writes, and that no third party's
// package for another one has: a package with one says of which distribution an image
// is, whatever its release files say. "el", "fc" and "amzn" are not among them, because
// packages that third parties built for those are installed elsewhere, too.
var tellingTags = map[string]bool{
	"oe": true, "hce": true, "eulerosv": true, "ky": true, "uel": true, "uelc": true, "uos": true, "an": true,
	"al": true, "alnx": true, "tl": true, "tlinux": true, "oc": true, "ocs": true,
}

// otherSuffix says which package has a suffix that contradicts the family: its packages
// cannot be judged with the family's advisories, because they look newer than any fix.
func (f *family) otherSuffix(release string, pkgs []gate.Package) string {
	if f.manager != rpm {
		return ""
	}
	n, example, of := 0, gate.Package{}, ""
	for _, p := range pkgs {
		tag, number := rpmTag(p.Release)
		if !tellingTags[tag] || slices.Contains(f.tags, tag) || slices.Contains(f.related, tag) || managers[p.AnalyzedBy] != rpm {
			continue
		}
		if n++; n == 1 {
			example, of = p, fmt.Sprintf("%s (%s%s)", rpmTags[tag], tag, number)
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("the package %s %s was built for %s, but the release files say %s; %s",
			gate.Printable(example.Name, 60), gate.Printable(version(example), 60), of, spoken(f, release), needed)
	}
	return fmt.Sprintf("%d packages (such as %s %s) were built for %s, but the release files say %s; %s",
		n, gate.Printable(example.Name, 60), gate.Printable(version(example), 60), of, spoken(f, release), needed)
}

// BuiltByOwn reports whether the release of an RPM package says that a distribution of
// [Bucket] built it: Trivy's analyser knows other vendors only.
func BuiltByOwn(release string) bool {
	tag, _ := rpmTag(release)
	return tellingTags[tag]
}

// ownPackage reports whether a package of a family of [Bucket] says that it is the
// family's.
func (f *family) ownPackage(p gate.Package) bool {
	if tag, _ := rpmTag(p.Release); slices.Contains(f.tags, tag) {
		return true
	}
	from := strings.ToLower(origin(p))
	if f.name == UnionTech && managers[p.AnalyzedBy] == dpkg {
		return within(from, "uniontech.com") || within(from, "deepin.com") || within(from, "deepin.org") ||
			slices.ContainsFunc([]string{"uos", "uniontech", "deepin"}, func(m string) bool { return debMarked(version(p), m) })
	}
	return from != "" && f.vendorOwn(from)
}

func (f *family) vendorOwn(vendor string) bool {
	return slices.ContainsFunc(f.vendors, func(word string) bool { return word != "centos" && strings.Contains(vendor, word) })
}

// noneOwn says that not one package is the family's: whatever os-release says, its
// advisories are not about them.
func (f *family) noneOwn(release string, pkgs []gate.Package) string {
	if !OwnFamily(f.name) || len(pkgs) == 0 || slices.ContainsFunc(pkgs, f.ownPackage) {
		return ""
	}
	return fmt.Sprintf("the release files say %s, but no package was built for it; %s", spoken(f, release), needed)
}

// foreignOwn is Foreign for a package in an image of a family of [Bucket].
func (f *family) foreignOwn(p gate.Package) string {
	tag, n := rpmTag(p.Release)
	own, vendor := slices.Contains(f.tags, tag), origin(p)
	lower := strings.ToLower(vendor)
	known := vendor == "" || slices.ContainsFunc(f.vendors, func(word string) bool { return strings.Contains(lower, word) })
	switch {
	case !known && (!own || otherVendor(vendor)):
		return fmt.Sprintf("comes from %q, which the advisories of %s do not cover", vendor, f.label)
	case tag != "" && !own && !slices.Contains(f.base, tag):
		return fmt.Sprintf("was built for %s (%s%s), which the advisories of %s do not cover", rpmTags[tag], tag, n, f.label)
	}
	return ""
}

// otherVendor reports whether a vendor is that of a distribution that Trivy knows.
func otherVendor(vendor string) bool {
	for _, f := range families {
		if !OwnFamily(f.name) && slices.ContainsFunc(f.vendors, func(v string) bool { return strings.HasPrefix(vendor, v) }) {
			return true
		}
	}
	return false
}

// openEulerTag is the suffix of openEuler's packages: oe1 is every release of 20.03
// before its SP4.
var openEulerTag = regexp.MustCompile(`(?:^|[.+_])oe(1|\d{4})(?:sp(\d+))?(?:[.+_]|$)`)

// eulerOSPacks are the service packs of EulerOS whose packages have another number in
// their suffix: those of SP5 end in eulerosv2r7.
var eulerOSPacks = map[string]string{"7": "5"}

var eulerOSTag = regexp.MustCompile(`(?:^|[.+_])eulerosv2r(\d+)(?:[.+_]|$)`)

// builtFor is the release that a package's suffix names, as text for people, and whether
// it is the one that was decided; "" for a suffix that names none.
func (own *ownFamily) builtFor(p gate.Package, release string) (mark string, same bool) {
	want := own.release(release)
	if want == "" || managers[p.AnalyzedBy] == dpkg {
		return "", true
	}
	switch own.name {
	case OpenEuler:
		m := openEulerTag.FindStringSubmatch(p.Release)
		switch {
		case m == nil:
			return "", true
		case m[1] == "1":
			return "oe1", strings.HasPrefix(want, "20.03") && want != "20.03-LTS-SP4"
		}
		number := m[1][:2] + "." + m[1][2:]
		if m[2] == "" {
			return number, want == number || want == number+"-LTS"
		}
		return number + "-LTS-SP" + m[2], want == number+"-LTS-SP"+m[2]
	case EulerOS:
		m := eulerOSTag.FindStringSubmatch(p.Release)
		if m == nil {
			return "", true
		}
		pack := m[1]
		if other := eulerOSPacks[pack]; other != "" {
			pack = other
		}
		return "2.0-SP" + pack, want == "2.0-SP"+pack
	}
	tag, number := rpmTag(p.Release)
	switch {
	case !slices.Contains(families[own.name].tags, tag) || tag == "tlinux" || tag == "uos":
		return "", true
	case own.name == UnionTech:
		rpmLikeOpenEuler := strings.HasSuffix(want, "e")
		return tag + number, number == "20" && rpmLikeOpenEuler == (tag == "uel")
	case own.name == HCE:
		return tag + number, strings.HasPrefix(want, number+".")
	case own.name == Kylin:
		return tag + number, number == "10"
	case tag == "al": // Alibaba Cloud Linux 2 is like CentOS 7
		return tag + number, map[string]string{"7": "2", "8": "3"}[number] == want
	case tag == "ocs":
		return tag + number, want == "Stream "+number
	}
	return tag + number, want == number
}
