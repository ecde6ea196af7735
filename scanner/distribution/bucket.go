package distribution

import (
	"regexp"
	"strings"
)

// The families that Trivy has no detector for: their words are digestgate's own. Each is
// matched by scanner/match with the advisories of the bucket that [Bucket] names.
const (
	OpenEuler   = "openeuler"
	EulerOS     = "euleros"
	HCE         = "hce"
	Kylin       = "kylin"
	UnionTech   = "uniontech"
	Alinux      = "alinux"
	Anolis      = "anolis"
	TencentOS   = "tencentos"
	OpenCloudOS = "opencloudos"
)

// ownFamily is how one of these families names its releases.
type ownFamily struct {
	name  string // of the family
	title string // before the release, in the names of buckets
	// release is a release as the bucket names it, "" for one that cannot be read.
	release func(text string) string
	// products are the names of the distribution in the words of sources, in lower case.
	products []string
	// tells is what an image must have that its release can be read.
	tells string
}

// ownFamilies are in the order of the constants.
var ownFamilies = []ownFamily{
	{OpenEuler, "openEuler", openEulerRelease, []string{"openeuler"}, "VERSION=\"22.03 (LTS-SP3)\" or the like in os-release"},
	{EulerOS, "EulerOS", eulerOSRelease, []string{"euleros"}, "\"EulerOS release 2.0 (SP9)\" or the like in etc/euleros-release"},
	{HCE, "HCE", hceRelease, []string{"hce", "huawei cloud euleros"}, "VERSION_ID in os-release"},
	{Kylin, "Kylin", kylinRelease, []string{"kylin", "kylin linux advanced server", "kylin server"}, "\"V10 (Lance)\" or the like in VERSION of os-release or in etc/.productinfo"},
	{UnionTech, "UnionTech OS", unionTechRelease, []string{"uniontech os", "uniontech os server", "uniontech", "uos", "uos server", "unity linux"}, "etc/os-version of a server, with MinorVersion and EditionName,"},
	{Alinux, "Alibaba Cloud Linux", majorRelease, []string{"alibaba cloud linux", "alinux", "aliyun linux", "alibaba cloud linux (aliyun linux)"}, "VERSION_ID in os-release"},
	{Anolis, "Anolis OS", majorRelease, []string{"anolis os", "anolis", "an"}, "VERSION_ID in os-release"},
	{TencentOS, "TencentOS Server", majorRelease, []string{"tencentos server", "tencentos", "ts", "tl"}, "VERSION_ID in os-release"},
	{OpenCloudOS, "OpenCloudOS", openCloudRelease, []string{"opencloudos", "oc"}, "VERSION_ID in os-release"},
}

// Bucket names the bucket of advisory data that holds the advisories of a release of one
// of the families above: "openEuler 22.03-LTS-SP3", "EulerOS 2.0-SP9", "HCE 2.0",
// "Kylin V10-SP3", "UnionTech OS 20-1060e", "Alibaba Cloud Linux 3", "Anolis OS 8",
// "TencentOS Server 3", "OpenCloudOS 8", "OpenCloudOS Stream 23". A release is read as
// os-release, release files and sources write it ("22.03 (LTS-SP3)", "2.0 (SP9x86_64)",
// "V10 (Lance)", "3.2104", "8.10"). ok is false for another family and for a text that
// does not say which release it is: no advisory may then be filed or looked up.
func Bucket(family, release string) (name string, ok bool) {
	f := ownOf(family)
	if f == nil {
		return "", false
	}
	r := f.release(strings.TrimSpace(release))
	return f.title + " " + r, r != ""
}

// Product names the bucket of a product as a source writes it: name and release with a
// blank, a colon, a hyphen or nothing between them ("openEuler:22.03-LTS-SP3",
// "Alinux 3.2104", "OC8-8.10", "TencentOS Server 4", "TS4", "Kylin V10 SP3"). ok is false
// for what is not exactly one release of a family of [Bucket].
func Product(text string) (bucket string, ok bool) {
	text = strings.TrimSpace(text)
	lower := strings.ToLower(text)
	best, longest := ownFamily{}, 0
	for _, f := range ownFamilies {
		for _, p := range f.products {
			if len(p) <= longest || !strings.HasPrefix(lower, p) {
				continue
			}
			if rest := lower[len(p):]; rest == "" || rest[0] >= 'a' && rest[0] <= 'z' && rest[0] != 'v' {
				continue // the beginning of another word
			}
			best, longest = f, len(p)
		}
	}
	if longest == 0 || len(lower) != len(text) {
		return "", false
	}
	return Bucket(best.name, strings.TrimLeft(text[longest:], " :-_"))
}

// OwnFamily reports whether family is one that Trivy has no detector for and digestgate's
// own matches.
func OwnFamily(family string) bool { return ownOf(family) != nil }

// OwnFamilies lists these families.
func OwnFamilies() []string {
	names := make([]string, len(ownFamilies))
	for i, f := range ownFamilies {
		names[i] = f.name
	}
	return names
}

// OwnID reports whether a value of ID in os-release names one of them.
func OwnID(id string) bool { return OwnFamily(ids[strings.ToLower(id)]) }

// Feed is the name, for people, of the source of advisories of such a family.
func Feed(family string) string {
	if f := ownOf(family); f != nil {
		return f.title
	}
	return family
}

func ownOf(family string) *ownFamily {
	for i := range ownFamilies {
		if ownFamilies[i].name == family {
			return &ownFamilies[i]
		}
	}
	return nil
}

var (
	openEulerPattern = regexp.MustCompile(`(?i)^(\d\d\.\d\d)[ _-]*\(?(?:(LTS)(?:[ _-]*(SP\d{1,2}))?)?\)?$`)
	eulerOSPattern   = regexp.MustCompile(`(?i)^v?2(?:\.0[ _-]*\(?SP|\.|r)(\d{1,2})(?:[ _.-]?(?:x86_64|aarch64))?\)?$`)
	hcePattern       = regexp.MustCompile(`^(\d\.\d)(?:[ .(_-].*)?$`)
	kylinPattern     = regexp.MustCompile(`(?i)^V?10[ _-]*\(?(SP\d|tercel|sword|lance|halberd)(?:\W|$)`)
	unionTechPattern = regexp.MustCompile(`(?i)^v?20[ ._-]*(10\d\d)[ ._-]*([acde])$`)
	majorPattern     = regexp.MustCompile(`^(\d{1,2})(?:[ .(_-].*)?$`)
	streamPattern    = regexp.MustCompile(`(?i)^(stream)[ ._-]*(\d{1,2})$`)
)

// openEulerRelease is "22.03-LTS-SP3", "22.03-LTS", or "23.09" for a release that has no
// long support.
func openEulerRelease(text string) string {
	m := openEulerPattern.FindStringSubmatch(text)
	switch {
	case m == nil:
		return ""
	case m[2] == "":
		return m[1]
	case m[3] == "":
		return m[1] + "-LTS"
	}
	return m[1] + "-LTS-" + strings.ToUpper(m[3])
}

// eulerOSRelease is "2.0-SP9", which Huawei's security service calls 2.9 and the
// releases of packages v2r9.
func eulerOSRelease(text string) string {
	m := eulerOSPattern.FindStringSubmatch(text)
	if m == nil || strings.TrimLeft(m[1], "0") == "" {
		return ""
	}
	return "2.0-SP" + strings.TrimLeft(m[1], "0")
}

func hceRelease(text string) string {
	if m := hcePattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// kylinCodeNames are the service packs of Kylin V10 by code name
// (github.com/shirou/gopsutil, issue 1354). Halberd is a later state of SP3.
var kylinCodeNames = map[string]string{"TERCEL": "SP1", "SWORD": "SP2", "LANCE": "SP3", "HALBERD": "SP3"}

func kylinRelease(text string) string {
	m := kylinPattern.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	pack := strings.ToUpper(m[1])
	if p := kylinCodeNames[pack]; p != "" {
		pack = p
	}
	return "V10-" + pack
}

// unionTechRelease is "20-1060e": the minor version and the edition, which decide what
// the release was built from.
func unionTechRelease(text string) string {
	m := unionTechPattern.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return "20-" + m[1] + strings.ToLower(m[2])
}

func majorRelease(text string) string {
	if m := majorPattern.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

func openCloudRelease(text string) string {
	if m := streamPattern.FindStringSubmatch(text); m != nil {
		return "Stream " + m[2]
	}
	return majorRelease(text)
}
