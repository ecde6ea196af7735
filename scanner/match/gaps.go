package match

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gemver "github.com/aquasecurity/go-gem-version"
	npmver "github.com/aquasecurity/go-npm-version/pkg"
	pep440 "github.com/aquasecurity/go-pep440-version"
	genericver "github.com/aquasecurity/go-version/pkg/version"
	"github.com/aquasecurity/trivy/pkg/detector/library"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/driver"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/scan/utils"
	"github.com/aquasecurity/trivy/pkg/types"
	apkver "github.com/knqyf263/go-apk-version"
	debver "github.com/knqyf263/go-deb-version"
	mvnver "github.com/masahiro331/go-mvn-version"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// maxGaps bounds the list; its last entry then says how many more there are.
const maxGaps = 1000

// gaps collects packages that no advisory covers although nothing says so:
// Trivy drops them without an error.
type gaps struct {
	found []gate.Gap
	more  int
}

func (g *gaps) add(name, version, reason string) {
	if len(g.found) >= maxGaps {
		g.more++
		return
	}
	g.found = append(g.found, gate.Gap{
		Package: cut(name, maxNameBytes), Version: cut(version, maxNameBytes), Reason: reason,
	})
}

// gapNote says what is missing for one package; reason is "" when nothing is.
type gapNote struct{ reason, version string }

func (g *gaps) list() []gate.Gap {
	slices.SortFunc(g.found, func(a, b gate.Gap) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version), strings.Compare(a.Reason, b.Reason))
	})
	g.found = slices.Compact(g.found)
	if g.more > 0 {
		g.found = append(g.found, gate.Gap{Reason: fmt.Sprintf("and %d more packages", g.more)})
	}
	return g.found
}

// distributionGaps finds packages that the distribution's detector passes over, and
// those that it compares although its advisories are not about them. When these
// are more than half of all, the advisories say nothing about the image, and
// that is answered in words.
func (r *run) distributionGaps(target types.ScanTarget, q *question, drv driver.Driver) (problem string) {
	_, all := drv.(driver.PackageFilter) // a supplier with advisories for everything
	all = all || target.OS.Family == ftypes.Echo || distribution.OwnFamily(string(target.OS.Family))
	ask := subject(append(osWords(target), "gaps", strconv.FormatBool(all), strconv.FormatBool(drv == nil))...)
	every := q.every(subject("no gaps", string(ask[:])))
	if r.gen.memo.get(&every) != nil {
		return ""
	}
	total, missed, example := 0, 0, ""
	for i := range q.pkgs {
		p := &q.pkgs[i]
		if p.Name == "gpg-pubkey" {
			continue // a key, not a program
		}
		total++
		note := r.note(memoKey{ask, q.identities[i]}, func() gapNote { return distributionGap(target.OS.Family, p, all, drv == nil) })
		if note.reason == "" {
			continue
		}
		r.gaps.add(p.Name, note.version, note.reason)
		if missed++; missed == 1 {
			example = fmt.Sprintf("%s %s", cut(p.Name, 60), note.reason)
		}
	}
	if missed == 0 {
		r.gen.memo.keep(&every, &known{})
	}
	if 2*missed <= total {
		return ""
	}
	return fmt.Sprintf("the advisories of %s %s cover fewer than half of the packages: %d of %d are gaps (%s); an image whose packages are the distribution's is needed",
		target.OS.Family, target.OS.Name, missed, total, example)
}

// note is what is remembered of a package's gap, or found.
func (r *run) note(k memoKey, find func() gapNote) gapNote {
	if a := r.gen.memo.get(&k); a != nil {
		return a.gap
	}
	note := find()
	r.gen.memo.keep(&k, &known{gap: note})
	return note
}

// distributionGap is what is missing for one package; own says that the detector is the
// distribution's own.
func distributionGap(family ftypes.OSType, g *gate.Package, all, own bool) gapNote {
	p := inventory.Package(*g)
	note := gapNote{version: utils.FormatVersion(p)}
	switch {
	case p.Repository.Class == ftypes.RepositoryClassThirdParty && !all:
		note.reason = "comes from a third party, which the distribution's advisories do not cover"
	case moduleUnnamed(family, p):
		note.reason = "is part of a module that the package database does not name"
	default:
		if own {
			note.reason = distribution.Foreign(string(family), *g)
		}
		if source := cmp.Or(utils.FormatSrcVersion(p), note.version); note.reason == "" && osVersionParser(family, p.AnalyzedBy)(source) != nil {
			note.reason, note.version = "has a version that cannot be compared", source
		}
	}
	if note.reason == "" {
		return gapNote{}
	}
	return note
}

// moduleUnnamed reports whether a package was built in a module and does not say in which:
// what is said of its stream would not be found.
func moduleUnnamed(family ftypes.OSType, p ftypes.Package) bool {
	mark := ".module_el"
	switch {
	case distribution.OwnFamily(string(family)):
		mark = ".module"
	case family != ftypes.Alma:
		return false
	}
	return p.Modularitylabel == "" && strings.Contains(p.Release, mark)
}

// osVersionParser reads versions as the family's detector does. RPM versions
// are never malformed.
func osVersionParser(family ftypes.OSType, by ftypes.AnalyzerType) func(string) error {
	if distribution.OwnFamily(string(family)) && by == "dpkg" {
		family = ftypes.Debian
	}
	switch family {
	case ftypes.Debian, ftypes.Ubuntu, ftypes.Echo, ftypes.Amazon:
		return func(v string) error { _, err := debver.NewVersion(v); return err }
	case ftypes.Alpine, ftypes.Wolfi, ftypes.Chainguard, ftypes.MinimOS:
		return func(v string) error { _, err := apkver.NewVersion(v); return err }
	}
	return func(string) error { return nil }
}

// applicationGaps finds packages of a language that no detector or no source of the
// data covers. It reports whether the rest can be matched.
func (r *run) applicationGaps(t ftypes.LangType, q *question) (matchable bool) {
	reason := ""
	d, ok := library.NewDriver(t)
	switch {
	case !ok:
		reason = fmt.Sprintf("there are no advisories for packages of type %s", cut(string(t), 40))
	case !r.gen.db.hasPrefix(d.Type() + "::"):
		reason = fmt.Sprintf("the advisory data has no source for the ecosystem %s", d.Type())
	}
	ask := subject("application gaps", string(t))
	every := q.every(subject("no gaps", string(ask[:])))
	if reason == "" && r.gen.memo.get(&every) != nil {
		return true
	}
	missed := 0
	for i := range q.pkgs {
		p := &q.pkgs[i]
		if reason != "" {
			r.gaps.add(p.Name, p.Version, reason)
			continue
		}
		note := r.note(memoKey{ask, q.identities[i]}, func() gapNote { return applicationGap(t, p) })
		if note.reason != "" {
			missed++
			r.gaps.add(p.Name, note.version, note.reason)
		}
	}
	if reason == "" && missed == 0 {
		r.gen.memo.keep(&every, &known{})
	}
	return reason == ""
}

func applicationGap(t ftypes.LangType, p *gate.Package) gapNote {
	switch {
	case p.Version == "":
		return gapNote{reason: "has no version"}
	case languageVersionParser(t)(p.Version) != nil:
		return gapNote{"has a version that cannot be compared", p.Version}
	}
	return gapNote{}
}

// languageVersionParser reads versions as the detector of the type does
// (trivy's pkg/detector/library/driver.go).
func languageVersionParser(t ftypes.LangType) func(string) error {
	switch t {
	case ftypes.Npm, ftypes.Yarn, ftypes.Pnpm, ftypes.Bun, ftypes.NodePkg, ftypes.JavaScript:
		return func(v string) error { _, err := npmver.NewVersion(v); return err }
	case ftypes.Pipenv, ftypes.Poetry, ftypes.Pip, ftypes.PythonPkg, ftypes.Uv, ftypes.PyLock:
		return func(v string) error { _, err := pep440.Parse(v); return err }
	case ftypes.Bundler, ftypes.GemSpec, ftypes.Cocoapods:
		return func(v string) error { _, err := gemver.NewVersion(v); return err }
	case ftypes.Jar, ftypes.Pom, ftypes.Gradle, ftypes.Sbt:
		return func(v string) error { _, err := mvnver.NewVersion(v); return err }
	case ftypes.Bitnami:
		return func(string) error { return nil } // a module of its own, not worth linking twice
	}
	return func(v string) error { _, err := genericver.Parse(v); return err }
}
