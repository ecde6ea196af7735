package distribution

import (
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Origin reduces what a package says of who made it to what [Foreign] looks at:
// an RPM's vendor, for other packages of a distribution the host of the
// maintainer's address.
func Origin(analyzedBy, maintainer string) string {
	switch managers[analyzedBy] {
	case "":
		return ""
	case rpm:
		return gate.Printable(strings.TrimSpace(maintainer), 60)
	}
	_, host, ok := strings.Cut(maintainer, "@")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(host, "> \t,;@"); end >= 0 {
		host = host[:end]
	}
	return gate.Printable(strings.ToLower(host), 60)
}

func origin(p gate.Package) string {
	if p.Repository == nil {
		return ""
	}
	return p.Repository.Name
}

// Foreign says why the advisories of the family do not cover a package that its
// detector would compare all the same, "" when nothing speaks against it. It
// judges by what the package says of itself: the vendor and the tag in the
// release of an RPM, the maintainer and the version elsewhere. A package that
// says nothing is the distribution's.
func Foreign(family string, p gate.Package) string {
	f := families[family]
	if f == nil || p.Name == "gpg-pubkey" {
		return ""
	}
	if OwnFamily(f.name) {
		if managers[p.AnalyzedBy] == dpkg {
			return "" // the server of UnionTech that is made of Debian: its packages have Debian's marks
		}
		return f.foreignOwn(p)
	}
	switch f.manager {
	case rpm:
		return f.foreignRPM(p)
	case dpkg:
		return f.foreignDeb(p)
	case apk:
		if host := origin(p); f.name != "alpine" && strings.HasSuffix(host, "alpinelinux.org") {
			return fmt.Sprintf("is Alpine's by its maintainer (%s), which the advisories of %s do not cover", host, f.label)
		}
	}
	return ""
}

// rpmTags are the words that distributions put into the release of their RPM
// packages, with the distribution.
var rpmTags = map[string]string{
	"el": "the family of Red Hat", "fc": "Fedora", "amzn": "Amazon Linux", "ph": "Photon OS", "cm": "CBL-Mariner", "azl": "Azure Linux",
	"oe": "openEuler", "hce": "Huawei Cloud EulerOS", "eulerosv": "EulerOS", "ky": "Kylin", "uel": "UnionTech OS", "uelc": "UnionTech OS", "uos": "UnionTech OS", "an": "Anolis OS",
	"al": "Alibaba Cloud Linux", "alnx": "Alibaba Cloud Linux", "oc": "OpenCloudOS", "ocs": "OpenCloudOS", "tl": "TencentOS", "tlinux": "TencentOS",
	"bclinux": "BigCloud Linux", "mga": "Mageia", "mdv": "Mandriva", "omv": "OpenMandriva", "vl": "VzLinux", "vz": "Virtuozzo", "xs": "XenServer",
}

// rpmTag is the last tag of a known distribution in a package's release, with
// its number: el and 9 for "3.el9_3.1". Third parties write al2 and al2023 for Amazon Linux;
// Alibaba's al7 and al8 name what its releases are like.
func rpmTag(release string) (tag, number string) {
	for _, m := range rpmMark.FindAllStringSubmatch("."+release, -1) {
		if rpmTags[m[1]] != "" {
			tag, number = m[1], m[2]
		}
	}
	if tag == "al" && (number == "2" || number == "2023") {
		tag = "amzn"
	}
	return tag, number
}

func (f *family) foreignRPM(p gate.Package) string {
	if vendor := origin(p); vendor != "" && len(f.vendors) > 0 &&
		!slices.ContainsFunc(f.vendors, func(v string) bool { return strings.HasPrefix(vendor, v) }) {
		return fmt.Sprintf("comes from %q, which the advisories of %s do not cover", vendor, f.label)
	}
	if tag, n := rpmTag(p.Release); tag != "" && !slices.Contains(f.tags, tag) {
		return fmt.Sprintf("was built for %s (%s%s), which the advisories of %s do not cover", rpmTags[tag], tag, n, f.label)
	}
	return ""
}

// debMarks are what distributions made of Debian or Ubuntu write into the
// versions of the packages that they change.
var debMarks = []string{"deepin", "uos", "uniontech", "kylin", "kali", "rpi", "rpt", "parrot", "devuan", "pureos", "linuxmint", "elementary"}

// debHosts are the hosts of their maintainers' addresses.
var debHosts = []string{"deepin.com", "deepin.org", "uniontech.com", "kylinos.cn", "kylinos.com.cn", "openkylin.top", "kali.org", "offensive-security.com",
	"linuxmint.com", "parrotsec.org", "parrot.sh", "devuan.org", "puri.sm", "elementary.io", "system76.com", "proxmox.com", "zorin.com"}

func (f *family) foreignDeb(p gate.Package) string {
	host, v := origin(p), version(p)
	ubuntu := strings.Contains(v, "ubuntu")
	switch {
	case slices.ContainsFunc(debHosts, func(h string) bool { return within(host, h) }):
		return fmt.Sprintf("comes from %s, which the advisories of %s do not cover", host, f.label)
	case slices.ContainsFunc(debMarks, func(m string) bool { return debMarked(v, m) }):
		return fmt.Sprintf("was changed by a distribution made of %s, which its advisories do not cover", f.label)
	case f.name == "ubuntu" && !ubuntu && (within(host, "debian.org") || within(host, "debian.net")):
		// Ubuntu writes itself into Maintainer of every package that it builds.
		return fmt.Sprintf("is Debian's by its maintainer (%s), which the advisories of Ubuntu do not cover", host)
	case f.name == "debian" && ubuntu && (within(host, "ubuntu.com") || within(host, "canonical.com")):
		return "is Ubuntu's, which the advisories of Debian do not cover"
	}
	return ""
}

func within(host, domain string) bool {
	rest, ok := strings.CutSuffix(host, domain)
	return ok && (rest == "" || strings.HasSuffix(rest, "."))
}

// debMarked reports whether mark stands in a version as a word: after a digit or
// a sign, before a digit, a sign or the end.
func debMarked(v, mark string) bool {
	i := strings.LastIndex(v, mark)
	if i < 0 {
		return false
	}
	letter := func(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
	end := i + len(mark)
	return (i == 0 || !letter(v[i-1])) && (end == len(v) || !letter(v[end]))
}
