// Package release decides which bucket of a database the statements of an advisory belong
// in, from the vendor's words for a release or from what an operator says of a file. Its
// functions are pure and safe for concurrent use.
package release

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// Target is where statements go.
type Target struct {
	Bucket string
	// Family is one of scanner/distribution for a distribution that digestgate's own
	// detector matches, else one of those below.
	Family string
}

// The families that Trivy's detectors match.
const (
	Alma    = "almalinux"
	Rocky   = "rocky"
	Oracle  = "oracle"
	Amazon  = "amazon"
	SUSE    = "suse"
	Azure   = "azurelinux"
	Mariner = "mariner"
	Photon  = "photon"
	Debian  = "debian"
	Ubuntu  = "ubuntu"
	RedHat  = "redhat"
	Unfiled = "unfiled" // recognised, and no detector reads advisories of it
)

// Own reports whether digestgate's own detector matches the target.
func (t Target) Own() bool { return distribution.OwnFamily(t.Family) }

// Of is the target of a release in a vendor's words: the first of them that names exactly
// one. ok is false when none does.
func Of(r format.Release) (t Target, ok bool) {
	for _, word := range r {
		if t, ok = ofWord(strings.Join(strings.Fields(word), " ")); ok {
			return t, true
		}
	}
	return Target{}, false
}

func ofWord(word string) (Target, bool) {
	switch {
	case len(word) > 300:
		return Target{}, false
	case strings.HasPrefix(strings.ToLower(word), "cpe:"):
		return ofCPE(word)
	}
	// "OpenCloudOS (v. 8.10)"
	plain := versionInBrackets.ReplaceAllString(word, "$1")
	if b, ok := distribution.Product(plain); ok {
		return ownTarget(b)
	}
	for _, n := range names {
		if m := n.pattern.FindStringSubmatch(plain); m != nil {
			return n.target(m), true
		}
	}
	return Target{}, false
}

var versionInBrackets = regexp.MustCompile(`\(v\. ?([0-9.]+)\)$`)

// ownFamilies are the words for families before a release.
var ownFamilies = []string{
	distribution.OpenEuler, distribution.EulerOS, distribution.HCE, distribution.Kylin, distribution.UnionTech,
	distribution.Alinux, distribution.Anolis, distribution.TencentOS, distribution.OpenCloudOS,
}

// ownTarget finds the family that a bucket is of.
func ownTarget(name string) (Target, bool) {
	for _, family := range ownFamilies {
		title := strings.Fields(name)
		for i := 1; i < len(title); i++ {
			if b, ok := distribution.Bucket(family, strings.Join(title[i:], " ")); ok && b == name {
				return Target{Bucket: name, Family: family}, true
			}
		}
	}
	return Target{}, false
}

// names are the distributions that Trivy's detectors match, as vendors write them.
var names = []struct {
	pattern *regexp.Regexp
	target  func(m []string) Target
}{
	{regexp.MustCompile(`(?i)^ubuntu[ :](\d\d\.\d\d(?:-ESM)?)(?:[: ]LTS)?$`), func(m []string) Target { return Target{bucket.NewUbuntu(m[1]).Name(), Ubuntu} }},
	{regexp.MustCompile(`(?i)^debian(?: gnu/linux)?[ :](\d{1,2})$`), func(m []string) Target { return Target{bucket.NewDebian(m[1]).Name(), Debian} }},
	{regexp.MustCompile(`(?i)^oracle linux (\d{1,2})$`), func(m []string) Target { return Target{bucket.NewOracle(m[1]).Name(), Oracle} }},
	{regexp.MustCompile(`(?i)^alma ?linux[ :](\d{1,2})(?:\.\d+)?$`), func(m []string) Target { return Target{bucket.NewAlma(m[1]).Name(), Alma} }},
	{regexp.MustCompile(`(?i)^rocky linux[ :](\d{1,2})(?:\.\d+)?$`), func(m []string) Target { return Target{bucket.NewRocky(m[1]).Name(), Rocky} }},
	{regexp.MustCompile(`(?i)^amazon linux(?: ami)?[ :](1|2|2022|2023)$`), func(m []string) Target { return Target{bucket.NewAmazon(m[1]).Name(), Amazon} }},
	{regexp.MustCompile(`(?i)^azure linux[ :](\d\.\d)$`), func(m []string) Target { return Target{bucket.NewAzureLinux(m[1]).Name(), Azure} }},
	{regexp.MustCompile(`(?i)^(?:cbl-?)?mariner[ :](\d\.\d)$`), func(m []string) Target { return Target{bucket.NewMariner(m[1]).Name(), Mariner} }},
	{regexp.MustCompile(`(?i)^photon os[ :](\d\.\d)$`), func(m []string) Target { return Target{bucket.NewPhoton(m[1]).Name(), Photon} }},
	{regexp.MustCompile(`(?i)^opensuse tumbleweed\b`), func([]string) Target { return Target{bucket.NewOpenSUSETumbleweed().Name(), SUSE} }},
	{regexp.MustCompile(`(?i)^opensuse leap micro (\d+\.\d+)$`), func(m []string) Target { return Target{bucket.NewOpenSUSELeapMicro(m[1]).Name(), SUSE} }},
	{regexp.MustCompile(`(?i)^opensuse leap (\d+\.\d+)\b`), func(m []string) Target { return Target{bucket.NewOpenSUSE(m[1]).Name(), SUSE} }},
	{regexp.MustCompile(`(?i)^suse linux (?:enterprise )?micro (\d+\.\d+)$`), func(m []string) Target {
		return Target{bucket.NewSUSELinuxEnterpriseMicro(m[1]).Name(), SUSE}
	}},
	// Modules, extensions and products of one service pack share its packages. Storage and
	// Manager have their own.
	{regexp.MustCompile(`(?i)^suse linux enterprise (?:server|desktop|high|module|workstation|software|live|real|point|build|sdk)[a-z0-9 .&-]*? (\d{2})(?:[- ]SP|\.)(\d{1,2})(?:[- ](?:LTSS|ESPOS|TERADATA|CLIENT|BCL|LTSS Core|LTSS-Extended-Security|LTSS Extended Security))*$`),
		func(m []string) Target {
			return Target{bucket.NewSUSELinuxEnterprise(m[1] + "." + m[2]).Name(), SUSE}
		}},
	{regexp.MustCompile(`(?i)^suse linux enterprise (?:server|desktop|high|module|workstation|software|live|real|point|build|sdk)[a-z0-9 .&-]*? (\d{2})$`),
		func(m []string) Target { return Target{bucket.NewSUSELinuxEnterprise(m[1]).Name(), SUSE} }},
	{regexp.MustCompile(`(?i)^red hat enterprise linux\b`), func([]string) Target { return Target{bucket.NewRedHat("").Name(), RedHat} }},
	{regexp.MustCompile(`(?i)^fedora(?: linux)?[ :]\d+$`), func([]string) Target { return Target{"", Unfiled} }},
}

// ofCPE reads both forms of a CPE.
func ofCPE(cpe string) (Target, bool) {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(cpe)), ":")
	switch {
	case len(parts) > 5 && parts[1] == "2.3":
		parts = parts[3:]
	case len(parts) > 3 && strings.HasPrefix(parts[1], "/"):
		parts = parts[2:]
	default:
		return Target{}, false
	}
	at := func(i int) string {
		if i < len(parts) && parts[i] != "*" && parts[i] != "-" {
			return parts[i]
		}
		return ""
	}
	vendor, product, version, update := at(0), at(1), at(2), at(3)
	if m := alibabaProduct.FindStringSubmatch(product); m != nil {
		return ofWord("Alibaba Cloud Linux " + m[1])
	}
	switch vendor + ":" + product {
	case "openeuler:openeuler":
		return ofWord("openEuler " + version)
	case "openanolis:anolis_os":
		return ofWord("Anolis OS " + version)
	case "opencloudos:opencloudos":
		return ofWord("OpenCloudOS " + version)
	case "oracle:linux":
		major, _, _ := strings.Cut(version, ".")
		return ofWord("Oracle Linux " + major)
	case "almalinux:almalinux":
		return ofWord("AlmaLinux " + version)
	case "rocky:rocky", "resf:rocky_linux":
		return ofWord("Rocky Linux " + version)
	case "amazon:linux", "amazon:linux_2", "amazon:linux_2023":
		if _, n, ok := strings.Cut(product, "_"); ok {
			version = n
		}
		return ofWord("Amazon Linux " + version)
	case "opensuse:leap":
		return ofWord("openSUSE Leap " + version)
	case "opensuse:tumbleweed":
		return ofWord("openSUSE Tumbleweed")
	case "suse:sle-micro", "suse:sl-micro":
		return ofWord("SUSE Linux Enterprise Micro " + version)
	case "suse:sles", "suse:sled", "suse:sles_sap", "suse:sles-ltss", "suse:sle_hpc":
		return suseRelease(version, update)
	case "redhat:enterprise_linux", "redhat:rhel_eus", "redhat:rhel_aus", "redhat:rhel_e4s", "redhat:rhel_tus", "redhat:rhel_els", "redhat:rhel_eus_long_life":
		return Target{bucket.NewRedHat("").Name(), RedHat}, true
	}
	if vendor == "suse" && strings.HasPrefix(product, "sle-module") {
		return suseRelease(version, update)
	}
	return Target{}, false
}

var alibabaProduct = regexp.MustCompile(`^alibaba_cloud_linux_(\d)$`)

func suseRelease(version, update string) (Target, bool) {
	if strings.HasPrefix(update, "sp") {
		version += " " + strings.ToUpper(update)
	}
	return ofWord("SUSE Linux Enterprise Server " + version)
}

// Named is the target of what an operator says that a file is of: a distribution by its
// ID in os-release ("hce", "tencentos", "almalinux", "ol", "amzn", "sles") or by its name,
// and a release as os-release or the vendor writes it.
func Named(name, release string) (Target, error) {
	family := strings.ToLower(strings.TrimSpace(name))
	if own, ok := ownIDs[family]; ok {
		family = own
	}
	if distribution.OwnFamily(family) {
		b, ok := distribution.Bucket(family, release)
		if !ok {
			return Target{}, fmt.Errorf("the release of %s is given as %s, which is none of its: write it as os-release or the vendor does, such as %s", gate.Quoted(name, 60), gate.Quoted(release, 60), example[family])
		}
		return Target{Bucket: b, Family: family}, nil
	}
	word, ok := trivyIDs[family]
	if !ok {
		word = strings.TrimSpace(name)
	}
	t, ok := ofWord(strings.TrimSpace(word + " " + strings.TrimSpace(release)))
	if !ok || t.Family == Unfiled {
		return Target{}, fmt.Errorf("the distribution is given as %s %s, which no detector matches: name it by its ID in os-release, such as hce, tencentos, alinux, anolis, openeuler, euleros, kylin, uos, opencloudos, almalinux, rocky, ol, amzn or sles, and the release as there",
			gate.Quoted(name, 60), gate.Quoted(release, 60))
	}
	return t, nil
}

// ownIDs are other words for the families of digestgate's own detector.
var ownIDs = map[string]string{
	"uos": distribution.UnionTech, "uniontechos": distribution.UnionTech, "uniontech os": distribution.UnionTech,
	"alibaba cloud linux": distribution.Alinux, "anolis os": distribution.Anolis, "tencentos server": distribution.TencentOS,
	"huawei cloud euleros": distribution.HCE, "kylin linux advanced server": distribution.Kylin,
}

// example is a release of each of these families.
var example = map[string]string{
	distribution.OpenEuler: `"22.03-LTS-SP3"`, distribution.EulerOS: `"2.0 (SP9)"`, distribution.HCE: `"2.0"`, distribution.Kylin: `"V10 SP3"`,
	distribution.UnionTech: `"20-1060e"`, distribution.Alinux: `"3"`, distribution.Anolis: `"8"`, distribution.TencentOS: `"4"`, distribution.OpenCloudOS: `"9"`,
}

// trivyIDs are the IDs in os-release of the distributions that Trivy's detectors match.
var trivyIDs = map[string]string{
	"almalinux": "AlmaLinux", "alma": "AlmaLinux", "rocky": "Rocky Linux", "ol": "Oracle Linux", "oracle": "Oracle Linux",
	"amzn": "Amazon Linux", "amazon": "Amazon Linux", "sles": "SUSE Linux Enterprise Server", "opensuse-leap": "openSUSE Leap",
	"opensuse-tumbleweed": "openSUSE Tumbleweed", "azurelinux": "Azure Linux", "mariner": "Mariner", "photon": "Photon OS",
	"debian": "Debian", "ubuntu": "Ubuntu", "sle-micro": "SUSE Linux Enterprise Micro", "sl-micro": "SUSE Linux Enterprise Micro", "fedora": "Fedora",
}

// titles find a release in a title or a description that is not only its name.
var titles = []*regexp.Regexp{
	regexp.MustCompile(`\b(TencentOS Server \d{1,2})\b`), regexp.MustCompile(`\b(TS\d)\b`),
}

// InText is the target that texts name, if they name exactly one release of family.
// TencentOS' file of all releases tells them apart only so.
func InText(family string, texts ...string) (Target, bool) {
	var found Target
	for _, text := range texts {
		for _, p := range titles {
			for _, m := range p.FindAllStringSubmatch(text[:min(len(text), 16<<10)], 20) {
				t, ok := ofWord(m[1])
				switch {
				case !ok || t.Family != family:
				case found.Bucket == "":
					found = t
				case found != t:
					return Target{}, false
				}
			}
		}
		if found.Bucket != "" {
			return found, true
		}
	}
	return Target{}, false
}
