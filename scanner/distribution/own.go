package distribution

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// ownFiles are the release files of the families of [Bucket], with the family.
var ownFiles = map[string]string{
	"openEuler-release": OpenEuler, "euleros-release": EulerOS, "hce-release": HCE,
	"kylin-release": Kylin, ".productinfo": Kylin, ".kyinfo": Kylin, "kylin-build": Kylin,
	"os-version": UnionTech, "uos-release": UnionTech, "uniontech-release": UnionTech, "UnionTech-release": UnionTech,
	"alinux-release": Alinux, "anolis-release": Anolis,
	"tencentos-release": TencentOS, "tencent-release": TencentOS, "tlinux-release": TencentOS,
	"opencloudos-release": OpenCloudOS, "opencloudos-stream-release": OpenCloudOS,
}

// ownProduct is the family whose product the words before "release" name, in lower case.
func ownProduct(product string) string {
	best, longest := "", 0
	for _, f := range ownFamilies {
		for _, p := range f.products {
			if rest, ok := strings.CutPrefix(product, p); ok && (rest == "" || rest[0] == ' ') && len(p) > longest {
				best, longest = f.name, len(p)
			}
		}
	}
	if strings.HasPrefix(product, "tencent tlinux") {
		return TencentOS
	}
	return best
}

// readOwn reads a release file that a family has: "NAME release RELEASE" on one line, or
// the name on one line and the release on the next (etc/.productinfo of Kylin). A file
// without a name that is known still shows the family by its own name.
func readOwn(family, file, text string) claim {
	switch file {
	case "os-version":
		return readOSVersion(text)
	case ".kyinfo", "kylin-build":
		return claim{family: family, text: cmp.Or(firstLine(text), ownOf(family).title)}
	}
	line := strings.Join(strings.Fields(text), " ")
	product, rest, found := strings.Cut(" "+line+" ", " release ")
	c := claim{family: family, text: cmp.Or(firstLine(text), ownOf(family).title), release: strings.TrimSpace(rest)}
	if !found {
		return c
	}
	product = strings.ToLower(strings.TrimSpace(product))
	switch named := ownProduct(product); {
	case named != "":
		c.family = named
	default:
		c.family = readRedHat(line).family // of another distribution, or of none
	}
	if stream, ok := strings.CutSuffix(product, " stream"); ok && ownProduct(stream) == OpenCloudOS {
		c.release = "Stream " + c.release
	}
	return c
}

// readOSVersion reads etc/os-version, which UnionTech OS and Deepin have: MinorVersion
// and EditionName say which server it is. A desktop's editions are no server's.
func readOSVersion(text string) claim {
	c := claim{text: cmp.Or(firstLine(text), "UnionTech OS or Deepin")}
	v := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			v[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	name := strings.ToLower(v["SystemName"])
	if v["SystemName"] != "" {
		c.text = "SystemName=" + v["SystemName"]
	}
	if name != "" && !strings.Contains(name, "uos") && !strings.Contains(name, "uniontech") {
		return c // Deepin
	}
	c.family = UnionTech
	if strings.EqualFold(v["ProductType"], "server") {
		c.release = v["MajorVersion"] + "-" + v["MinorVersion"] + v["EditionName"]
	}
	return c
}

// ofAnyRelease reports whether a release file may name the family at any release: what
// names the releases of [Bucket] is compared by its own rules, and a distribution that
// was rebuilt from another one has numbers of its own.
func (f *family) ofAnyRelease(named string) bool {
	return OwnFamily(f.name) && named == f.name || slices.Contains(f.rebuilt, named)
}

// decide finds the release of a family of [Bucket] and what contradicts it.
func (own *ownFamily) decide(d Decision, f *family, o osRelease, all []claim) Decision {
	d.Name = o.versionID
	name, contradiction := own.releaseOf(o, all)
	if name != "" {
		d.Name = name
	}
	switch contradiction = cmp.Or(f.contradicts(all, ""), contradiction); {
	case contradiction != "":
		d.Problem = fmt.Sprintf("%s, but %s; %s", d.Says, contradiction, needed)
	case name == "":
		d.Problem = fmt.Sprintf("%s: which release of %s it is of cannot be read; an image with %s is needed", d.Says, f.label, own.tells)
	}
	return d
}

// said is a release as one file has it.
type said struct{ file, text, release string }

// releaseOf reads the release in all files that name it; contradiction says which do not
// agree.
func (own *ownFamily) releaseOf(o osRelease, all []claim) (name, contradiction string) {
	var list []said
	add := func(file, text string) {
		if r := own.release(strings.TrimSpace(text)); r != "" {
			list = append(list, said{file, text, r})
		}
	}
	fromFiles := func() {
		for _, c := range all {
			if c.family == own.name {
				add(c.file, c.release)
			}
		}
	}
	switch own.name {
	case EulerOS:
		// Its os-release may name another service pack than it is of
		// (github.com/mondoohq/mql, pull 6314): it counts where nothing else does.
		if fromFiles(); len(list) == 0 {
			add(o.path, cmp.Or(o.version, o.versionID))
		}
	case UnionTech:
		if fromFiles(); len(list) == 0 {
			add(o.path, cmp.Or(o.version, o.versionID))
		}
	case OpenCloudOS:
		if strings.Contains(strings.ToLower(o.name), "stream") {
			o.versionID = "Stream " + o.versionID
		}
		add(o.path, o.versionID)
		fromFiles()
	case OpenEuler, Kylin: // the service pack is only in VERSION and in release files
		add(o.path, cmp.Or(o.version, o.versionID))
		fromFiles()
	default:
		add(o.path, o.versionID)
		fromFiles()
	}
	if len(list) == 0 {
		return "", ""
	}
	first := list[0]
	for _, s := range list[1:] {
		switch {
		case s.release == first.release:
		case strings.HasPrefix(s.release, first.release+"-LTS"):
			first = s // VERSION without the words of long support
		case strings.HasPrefix(first.release, s.release+"-LTS"):
		default:
			return first.name(own), fmt.Sprintf("%s says release %s", s.file, gate.Quoted(s.text, 60))
		}
	}
	return first.name(own), ""
}

// name is the release in gate.OS: as the bucket has it, or with the minor version that
// the bucket leaves out.
func (s said) name(own *ownFamily) string {
	switch own.name {
	case Alinux, Anolis, TencentOS, OpenCloudOS:
		if n := numbers(s.text); n != "" && !strings.HasPrefix(s.release, "Stream") {
			return n
		}
	}
	return s.release
}
