package distribution

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// MaxText is how much of a release file is kept, in bytes. The longest seen in
// public images has 700.
const MaxText = 4 << 10

// osReleasePaths are where os-release is read, in the order of os-release(5);
// Bottlerocket keeps its own below the sysroot of its architecture, which counts
// where there is no other.
var osReleasePaths = []string{
	"etc/os-release", "usr/lib/os-release",
	"aarch64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release",
	"x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/os-release",
}

// readers understand the release files of known distributions, by name. They
// are read in etc and in usr/lib: newer distributions keep the file in one and a
// link in the other.
var readers = map[string]func(text string) claim{
	"debian_version":       readDebianVersion,
	"lsb-release":          readLSB,
	"alpine-release":       readAlpine,
	"redhat-release":       readRedHat,
	"centos-release":       readRedHat,
	"rocky-release":        readRedHat,
	"almalinux-release":    readRedHat,
	"oracle-release":       readRedHat,
	"enterprise-release":   readRedHat,
	"fedora-release":       readRedHat,
	"system-release":       readRedHat,
	"amazon-linux-release": readRedHat,
	"photon-release":       readProduct,
	"mariner-release":      readProduct,
	"azurelinux-release":   readProduct,
	"SuSE-release":         readProduct,
}

// foreign are files that only distributions without advisories here have. That
// they are there says enough; some are empty.
var foreign = map[string]string{
	"neokylin-release": "NeoKylin", "deepin-version": "Deepin", "deepin_version": "Deepin", "alios-release": "AliOS",
	"bclinux-release": "BigCloud Linux", "asianux-release": "Asianux", "redflag-release": "Red Flag Linux",
	"cloudlinux-release": "CloudLinux", "sl-release": "Scientific Linux", "springdale-release": "Springdale Linux", "eurolinux-release": "EuroLinux",
	"miraclelinux-release": "MIRACLE LINUX", "navylinux-release": "Navy Linux", "circle-release": "Circle Linux", "clearos-release": "ClearOS",
	"virtuozzo-release": "Virtuozzo", "vzlinux-release": "VzLinux", "xenserver-release": "XenServer",
	"mageia-release": "Mageia", "mandriva-release": "Mandriva", "mandrake-release": "Mandrake", "mandrakelinux-release": "Mandrake",
	"openmandriva-release": "OpenMandriva", "rosa-release": "ROSA", "altlinux-release": "ALT Linux", "pld-release": "PLD Linux",
	"arch-release": "Arch Linux", "artix-release": "Artix", "manjaro-release": "Manjaro", "gentoo-release": "Gentoo", "sabayon-release": "Sabayon",
	"slackware-version": "Slackware", "slackware-release": "Slackware", "solus-release": "Solus", "devuan_version": "Devuan",
	"openwrt_release": "OpenWrt", "openwrt_version": "OpenWrt", "turbolinux-release": "Turbolinux", "wrlinux-release": "Wind River Linux",
}

var releasePaths = func() map[string]bool {
	paths := map[string]bool{}
	for _, p := range osReleasePaths {
		paths[p] = true
	}
	for name := range readers {
		paths["etc/"+name], paths["usr/lib/"+name] = true, true
	}
	for name := range ownFiles {
		paths["etc/"+name], paths["usr/lib/"+name] = true, true
	}
	for name := range foreign {
		paths["etc/"+name] = true
	}
	return paths
}()

// IsReleaseFile reports whether the text of the file at the cleaned path (see
// rootfs.Clean) belongs in [gate.Distribution].Files.
func IsReleaseFile(p string) bool { return releasePaths[p] }

// ReleaseFiles lists these paths, sorted.
func ReleaseFiles() []string {
	out := make([]string, 0, len(releasePaths))
	for p := range releasePaths {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// claim is what one release file says.
type claim struct {
	file, text string
	// family is the family that it names: "" for a product that is not known,
	// derived for a code name of Debian.
	family  string
	release string // in the form of Trivy's analyser of that file
	silent  bool   // it names nothing
}

// claims reads all release files but os-release. Equal ones (a file and the link
// to it) count once.
func claims(files []gate.ReleaseFile) []claim {
	var out []claim
	for _, f := range files {
		name := path.Base(f.Path)
		var c claim
		if product, ok := foreign[name]; ok {
			c.text = cmp.Or(firstLine(f.Text), product)
		} else if family, ok := ownFiles[name]; ok {
			c = readOwn(family, name, f.Text)
		} else if read := readers[name]; read != nil {
			if c = read(f.Text); c.text == "" {
				c.text = firstLine(f.Text)
			}
		} else {
			continue
		}
		c.file = f.Path
		if !c.silent {
			out = append(out, c)
		}
	}
	return out
}

// firstLine is the first line with something in it.
func firstLine(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

func readDebianVersion(text string) claim {
	line := firstLine(text)
	switch {
	case line == "":
		return claim{silent: true}
	case line[0] >= '0' && line[0] <= '9':
		return claim{family: "debian", release: line}
	}
	return claim{family: derived, release: line}
}

func readAlpine(text string) claim {
	line := firstLine(text)
	return claim{family: "alpine", release: line, silent: line == ""}
}

// lsbIDs are the values of DISTRIB_ID in etc/lsb-release, in lower case.
var lsbIDs = map[string]string{
	"ubuntu": "ubuntu", "debian": "debian", "vmware photon os": "photon", "vmware photon": "photon", "photon": "photon",
	"mariner": "cbl-mariner", "cbl-mariner": "cbl-mariner", "azurelinux": "azurelinux", "azure linux": "azurelinux",
	"microsoft azure linux": "azurelinux", "alpine": "alpine", "centos": "centos", "fedora": "fedora", "rocky": "rocky", "almalinux": "alma",
	"redhatenterprise": "redhat", "redhatenterpriseserver": "redhat", "amazonami": "amazon", "amazon": "amazon",
	"uos": UnionTech, "uniontech os": UnionTech, "kylin": Kylin, "openeuler": OpenEuler, "anolis": Anolis, "opencloudos": OpenCloudOS,
	"tencentos": TencentOS, "oracleserver": "oracle", "wolfi": "wolfi", "chainguard": "chainguard", "echo": "echo", "minimos": "minimos",
}

func readLSB(text string) claim {
	c := claim{silent: true}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = unquote(strings.TrimSpace(value))
		switch strings.TrimSpace(key) {
		case "DISTRIB_ID":
			if value != "" {
				c.family, c.silent, c.text = lsbIDs[strings.ToLower(value)], false, "DISTRIB_ID="+value
			}
		case "DISTRIB_RELEASE":
			c.release = value
		}
	}
	return c
}

// products are the words before "release" in the files of the family of Red Hat,
// in lower case.
var products = map[string]string{
	"centos": "centos", "centos linux": "centos", "centos stream": "centos-stream",
	"rocky": "rocky", "rocky linux": "rocky", "alma": "alma", "almalinux": "alma", "alma linux": "alma",
	"oracle": "oracle", "oracle linux": "oracle", "oracle linux server": "oracle",
	"fedora": "fedora", "fedora linux": "fedora",
}

func readRedHat(text string) claim {
	line := firstLine(text)
	if line == "" {
		return claim{silent: true}
	}
	if strings.HasPrefix(line, "Amazon Linux") {
		return claim{family: "amazon", release: amazonName(line)}
	}
	product, rest, _ := strings.Cut(line, " release ")
	product = strings.ToLower(strings.TrimSpace(product))
	name := products[product]
	if name == "" && (strings.HasPrefix(product, "red hat enterprise linux") || product == "red hat linux") {
		name = "redhat"
	}
	if own := ownProduct(product); name == "" && own != "" {
		return claim{family: own, release: strings.TrimSpace(rest)}
	}
	return claim{family: name, release: numbers(rest)}
}

// amazonName is the release as Trivy's analyser amazonlinux writes it:
// "2 (Karoo)", "2023.6.20250115 (Amazon Linux)", "AMI release 2018.03".
func amazonName(line string) string {
	fields := strings.Fields(line)
	skip := 2
	if strings.HasPrefix(line, "Amazon Linux release 2") && len(fields) >= 4 {
		skip = 3
	}
	return strings.Join(fields[skip:], " ")
}

// readProduct reads files that begin with the product's name and number.
func readProduct(text string) claim {
	line := firstLine(text)
	lower := strings.ToLower(line)
	c := claim{release: numbers(line), silent: line == ""}
	for _, p := range []struct{ word, family string }{
		{"photon", "photon"}, {"mariner", "cbl-mariner"}, {"azure linux", "azurelinux"}, {"azurelinux", "azurelinux"},
		{"suse linux enterprise server", "sles"}, {"opensuse tumbleweed", "opensuse-tumbleweed"}, {"opensuse", "opensuse-leap"},
	} {
		if strings.Contains(lower, p.word) {
			c.family = p.family
			break
		}
	}
	return c
}
