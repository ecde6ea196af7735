package distribution

import (
	"slices"
	"strings"
)

// The package managers whose databases an analyser reads.
const (
	dpkg         = "dpkg"
	apk          = "apk"
	rpm          = "rpm"
	bottlerocket = "bottlerocket" // its inventory of applications
)

// family is what is known of one distribution.
type family struct {
	name    string // Trivy's word, or one of those of [Bucket]
	label   string // for people
	manager string // "" when nothing installs packages in it
	// depth is how many numbers of the release its advisories are filed under;
	// 0 for a distribution without releases.
	depth int
	// matched is false where no advisories exist for the detectors.
	matched bool
	// releaseFiles are the release files, by name, whose text is the release in
	// place of VERSION_ID, the first that is there.
	releaseFiles []string
	// also are families that a release file may name although it is this one.
	also []string
	// vendors are the beginnings of the vendor of its RPM packages; for a family of
	// [Bucket] words in it, in lower case.
	vendors []string
	// tags are the words before the number in the release of its RPM packages ("el" in
	// "1.el9_3").
	tags []string
	// base are the tags of the distribution that it was rebuilt from, which some of its
	// packages keep; related those of relatives, from which single packages come: their
	// advisories are not its own.
	base, related []string
	// rebuilt are families that a release file may name, at any release, because the
	// distribution was made of them.
	rebuilt []string
}

// derived is what a debian_version with a code name ("trixie/sid") names: Debian
// before a release, or something made of it.
const derived = "debian-derived"

var redHatFiles = []string{"redhat-release"}

var families = func() map[string]*family {
	m := map[string]*family{}
	for _, f := range []family{
		{name: "debian", label: "Debian", manager: dpkg, depth: 1, matched: true, releaseFiles: []string{"debian_version"}, also: []string{derived}},
		{name: "ubuntu", label: "Ubuntu", manager: dpkg, depth: 2, matched: true, releaseFiles: []string{"lsb-release"}, also: []string{derived}},
		{name: "echo", label: "Echo", manager: dpkg, matched: true, also: []string{derived, "debian"}},
		{name: "alpine", label: "Alpine", manager: apk, depth: 2, matched: true, releaseFiles: []string{"alpine-release"}},
		{name: "wolfi", label: "Wolfi", manager: apk, matched: true},
		{name: "chainguard", label: "Chainguard", manager: apk, matched: true},
		{name: "minimos", label: "MinimOS", manager: apk, matched: true},
		{name: "redhat", label: "Red Hat Enterprise Linux", manager: rpm, depth: 1, matched: true, releaseFiles: redHatFiles, vendors: []string{"Red Hat"}, tags: []string{"el"}},
		{name: "centos", label: "CentOS", manager: rpm, depth: 1, matched: true, releaseFiles: []string{"centos-release", "redhat-release"}, vendors: []string{"CentOS"}, tags: []string{"el"}},
		{name: "centos-stream", label: "CentOS Stream", manager: rpm, depth: 1, vendors: []string{"CentOS"}, tags: []string{"el"}},
		{name: "rocky", label: "Rocky Linux", manager: rpm, depth: 1, matched: true, releaseFiles: []string{"rocky-release", "redhat-release"}, vendors: []string{"Rocky"}, tags: []string{"el"}},
		{name: "alma", label: "AlmaLinux", manager: rpm, depth: 1, matched: true, releaseFiles: []string{"almalinux-release", "redhat-release"}, vendors: []string{"AlmaLinux", "CloudLinux"}, tags: []string{"el"}},
		// Oracle ships a redhat-release that says Red Hat, on purpose.
		{name: "oracle", label: "Oracle Linux", manager: rpm, depth: 1, matched: true, releaseFiles: []string{"oracle-release"}, also: []string{"redhat"}, vendors: []string{"Oracle"}, tags: []string{"el"}},
		{name: "fedora", label: "Fedora", manager: rpm, depth: 1, releaseFiles: []string{"fedora-release"}, vendors: []string{"Fedora"}, tags: []string{"fc"}},
		{name: "amazon", label: "Amazon Linux", manager: rpm, depth: 1, matched: true, releaseFiles: []string{"system-release"}, vendors: []string{"Amazon"}, tags: []string{"amzn"}},
		{name: "photon", label: "Photon OS", manager: rpm, depth: 2, matched: true, vendors: []string{"VMware"}, tags: []string{"ph"}},
		{name: "cbl-mariner", label: "CBL-Mariner", manager: rpm, depth: 2, matched: true, vendors: []string{"Microsoft"}, tags: []string{"cm"}},
		{name: "azurelinux", label: "Azure Linux", manager: rpm, depth: 2, matched: true, vendors: []string{"Microsoft"}, tags: []string{"azl"}},
		{name: "sles", label: "SUSE Linux Enterprise", manager: rpm, depth: 2, matched: true, vendors: []string{"SUSE"}},
		{name: "slem", label: "SUSE Linux Enterprise Micro", manager: rpm, depth: 2, matched: true, vendors: []string{"SUSE"}},
		{name: "opensuse-leap", label: "openSUSE Leap", manager: rpm, depth: 2, matched: true, vendors: []string{"openSUSE", "SUSE"}},
		{name: "opensuse-tumbleweed", label: "openSUSE Tumbleweed", manager: rpm, matched: true, vendors: []string{"openSUSE", "SUSE"}},
		{name: OpenEuler, label: "openEuler", manager: rpm, depth: 2, matched: true, vendors: []string{"openeuler"}, tags: []string{"oe"}},
		{name: EulerOS, label: "EulerOS", manager: rpm, depth: 2, matched: true, vendors: []string{"huawei", "euler"}, tags: []string{"eulerosv"}, base: []string{"el"}},
		{name: HCE, label: "Huawei Cloud EulerOS", manager: rpm, depth: 2, matched: true, vendors: []string{"huawei", "euler"}, tags: []string{"hce"}, base: []string{"el"}, related: []string{"oe"}},
		{name: Kylin, label: "Kylin", manager: rpm, depth: 1, matched: true, vendors: []string{"kylin"}, tags: []string{"ky"}, related: []string{"oe"}},
		// Its editions e (like openEuler), a and c (like CentOS) have RPM packages, d dpkg.
		{name: UnionTech, label: "UnionTech OS", manager: rpm, depth: 1, matched: true, vendors: []string{"uniontech", "uos"}, tags: []string{"uel", "uelc", "uos"}, base: []string{"el"},
			related: []string{"oe", "an"}, rebuilt: []string{"redhat", "centos", "debian", derived}},
		{name: Alinux, label: "Alibaba Cloud Linux", manager: rpm, depth: 1, matched: true, vendors: []string{"alibaba", "aliyun", "centos"}, tags: []string{"al", "alnx"}, base: []string{"el"},
			related: []string{"an"}, rebuilt: []string{"redhat", "centos"}},
		{name: Anolis, label: "Anolis OS", manager: rpm, depth: 1, matched: true, vendors: []string{"anolis", "alibaba"}, tags: []string{"an"}, base: []string{"el"}, rebuilt: []string{"redhat", "centos"}},
		{name: TencentOS, label: "TencentOS Server", manager: rpm, depth: 1, matched: true, vendors: []string{"tencent", "centos"}, tags: []string{"tl", "tlinux"}, base: []string{"el"},
			related: []string{"oc", "ocs"}, rebuilt: []string{"redhat", "centos"}},
		{name: OpenCloudOS, label: "OpenCloudOS", manager: rpm, depth: 1, matched: true, vendors: []string{"opencloudos", "tencent"}, tags: []string{"oc", "ocs"}, base: []string{"el"},
			related: []string{"tl"}, rebuilt: []string{"redhat", "centos"}},
		{name: "bottlerocket", label: "Bottlerocket", manager: bottlerocket, matched: true},
		{name: "coreos", label: "CoreOS", manager: rpm},
		{name: "activestate", label: "ActiveState"},
	} {
		m[f.name] = &f
	}
	return m
}()

// ids are the values of ID in os-release, in lower case (Trivy's
// pkg/fanal/analyzer/os/release/release.go, the three that it recognises by
// other files, and those of [Bucket]). Everything else is a distribution without
// advisories here.
var ids = map[string]string{
	"debian": "debian", "ubuntu": "ubuntu", "echo": "echo",
	"alpine": "alpine", "wolfi": "wolfi", "chainguard": "chainguard", "minimos": "minimos",
	"rhel": "redhat", "centos": "centos", "rocky": "rocky", "almalinux": "alma", "ol": "oracle",
	"fedora": "fedora", "amzn": "amazon", "photon": "photon", "mariner": "cbl-mariner", "azurelinux": "azurelinux",
	"sles": "sles", "sle-micro": "slem", "sl-micro": "slem", "sle-micro-rancher": "slem",
	"opensuse-leap": "opensuse-leap", "opensuse": "opensuse-leap", "opensuse-tumbleweed": "opensuse-tumbleweed",
	"bottlerocket": "bottlerocket", "coreos": "coreos", "activestate": "activestate",
	"openeuler": OpenEuler, "euleros": EulerOS, "hce": HCE, "kylin": Kylin, "uos": UnionTech, "uniontech": UnionTech,
	"alinux": Alinux, "anolis": Anolis, "tencentos": TencentOS, "tlinux": TencentOS, "opencloudos": OpenCloudOS,
}

// label is the family's name for people.
func label(name string) string {
	if f := families[name]; f != nil {
		return f.label
	}
	return name
}

// accepts reports whether a release file that names other may lie in f.
func (f *family) accepts(other string) bool {
	return other == f.name || slices.Contains(f.also, other) || slices.Contains(f.rebuilt, other)
}

// sameRelease compares as many numbers of two releases as the advisories are
// filed under, where both have them: "7" and "7.9.2009" are the same for a
// depth of 1.
func sameRelease(a, b string, depth int) bool {
	x, y := strings.Split(numbers(a), "."), strings.Split(numbers(b), ".")
	if x[0] == "" || y[0] == "" {
		return true
	}
	for i := range min(depth, len(x), len(y)) {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// numbers is the first run of digits and dots in a text.
func numbers(s string) string {
	i := strings.IndexAny(s, "0123456789")
	if i < 0 {
		return ""
	}
	s = s[i:]
	if end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); end >= 0 {
		s = s[:end]
	}
	return strings.Trim(s, ".")
}
