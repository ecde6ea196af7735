package stock

import (
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// A release is one release of a distribution with the source packages that bases are
// made of.
type release struct {
	family, name string // as advisories name it
	installed    string // as an image's os-release does
	mark         string // what versions of its packages carry
	maker        string // the host of the maintainers
	sources      []*product
}

// A base is a release with a choice of its packages.
type base struct {
	name    string
	index   int
	release *release
	sources []*product
}

// baseLayers is how many layers a base has.
const baseLayers = 4

// baseBuilds is how many builds pass between two of a base.
const baseBuilds = 50

// releaseSources is how many source packages a release has; every base of it has the
// first commonSources.
const releaseSources, commonSources = 260, 40

func (s *Stock) makeReleases() {
	s.releases = []*release{
		{family: "debian", name: "12", installed: "12.5", mark: "-%d+deb12u1", maker: "lists.debian.org"},
		{family: "debian", name: "13", installed: "13.1", mark: "-%d+deb13u1", maker: "lists.debian.org"},
		{family: "ubuntu", name: "24.04", installed: "24.04", mark: "-%dubuntu2", maker: "lists.ubuntu.com"},
		{family: "ubuntu", name: "22.04", installed: "22.04", mark: "-%dubuntu1", maker: "lists.ubuntu.com"},
		{family: "alpine", name: "3.22", installed: "3.22.1", mark: "-r%d", maker: "alpinelinux.org"},
	}
	for _, rel := range s.releases {
		for k := range releaseSources {
			name := fmt.Sprintf("%s%d", words[k%len(words)], k/len(words))
			r := s.random(rel.family + rel.name + name)
			every := pace(r, baseBuilds)
			revision, binaries := r.IntN(4), []string{"lib" + name}
			for _, more := range []string{name + "-bin", name + "-common"} {
				if r.IntN(3) == 0 {
					binaries = append(binaries, more)
				}
			}
			p := s.newProduct(name, r, every, func(p *product, level int) []gate.Package {
				return rel.packages(p, binaries, p.version(level)+fmt.Sprintf(rel.mark, revision))
			})
			p.binaries = binaries
			n := rates{past: 4, open: 0.46, passing: 0.1}
			if rel.family == "alpine" { // whose database has fixes only
				n = rates{past: 4, fixable: 0.52, passing: 0.1}
			}
			s.infest(p, r, n)
			for i := range p.issues {
				p.issues[i].title = name + ": " + p.issues[i].title
			}
			rel.sources = append(rel.sources, p)
		}
	}
}

// full is a version as the release's advisories write it: without a revision at most.
func (rel *release) full(p *product, level int) string {
	if rel.family == "alpine" {
		return p.version(level) + "-r0"
	}
	return p.version(level)
}

func (rel *release) packages(p *product, binaries []string, version string) []gate.Package {
	var out []gate.Package
	for _, name := range binaries {
		pkg := gate.Package{
			ID: name + "@" + version, Name: name, Arch: "amd64", SrcName: p.name, Licenses: []string{"GPL-2.0-or-later", "LGPL-2.1-only"},
			Repository: &gate.PackageOrigin{Name: rel.maker}, AnalyzedBy: "dpkg",
			PURL: fmt.Sprintf("pkg:deb/%s/%s@%s?arch=amd64&distro=%s-%s", rel.family, name, version, rel.family, rel.installed),
		}
		pkg.Version, pkg.Release = cutRelease(version)
		if rel.family == "alpine" {
			pkg.Version, pkg.Release, pkg.Arch, pkg.AnalyzedBy = version, "", "x86_64", "apk"
			pkg.PURL = fmt.Sprintf("pkg:apk/alpine/%s@%s?arch=x86_64&distro=%s", name, version, rel.installed)
		}
		pkg.SrcVersion, pkg.SrcRelease = pkg.Version, pkg.Release
		out = append(out, pkg)
	}
	return out
}

func cutRelease(version string) (upstream, revision string) {
	for i := len(version) - 1; i >= 0; i-- {
		if version[i] == '-' {
			return version[:i], version[i+1:]
		}
	}
	return version, ""
}

func (s *Stock) makeBases() {
	for i, release := range []int{0, 0, 0, 0, 1, 2, 2, 3, 4, 4} {
		rel := s.releases[release]
		b := base{name: fmt.Sprintf("%s%s-%c", rel.family, rel.name, 'a'+i), index: i, release: rel}
		r := s.random("base " + b.name)
		n := 0
		for k, p := range rel.sources {
			spare := n+releaseSources-k > basePackages // the others are enough, even with one binary each
			if k >= commonSources && spare && r.IntN(5) < 2 {
				continue
			}
			b.sources = append(b.sources, p)
			if n += len(p.binaries); n >= basePackages {
				break
			}
		}
		s.bases = append(s.bases, b)
	}
}

// packages are those of a build. Every base has as many: the last source may lack some of
// its binaries.
func (b base) packages(build int) []gate.Package {
	out := make([]gate.Package, 0, basePackages)
	build -= build % baseBuilds
	for _, p := range b.sources {
		out = append(out, p.at(build)...)
	}
	return out[:basePackages]
}
