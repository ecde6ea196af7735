package match

import (
	"cmp"
	"fmt"
	"slices"
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
)

// maxGaps bounds the list; its last entry then says how many more there are.
const maxGaps = 1000

// gaps collects packages that no advisory covers although nothing says so:
// Trivy drops them without an error.
type gaps struct {
	found []gate.Gap
	more  int
}

func (g *gaps) add(p ftypes.Package, version, reason string) {
	if len(g.found) >= maxGaps {
		g.more++
		return
	}
	g.found = append(g.found, gate.Gap{
		Package: cut(p.Name, maxNameBytes), Version: cut(version, maxNameBytes), Reason: reason,
	})
}

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

// distribution finds packages that the distribution's detector passes over, and
// those that it compares although its advisories are not about them. When these
// are more than half of all, the advisories say nothing about the image, and
// that is answered in words. pkgs are the target's packages, in its order.
func (g *gaps) distribution(target types.ScanTarget, pkgs []gate.Package, drv driver.Driver) (problem string) {
	_, all := drv.(driver.PackageFilter) // a supplier with advisories for everything
	all = all || target.OS.Family == ftypes.Echo
	parse := osVersionParser(target.OS.Family)
	total, missed, example := 0, 0, ""
	for i, p := range target.Packages {
		if p.Name == "gpg-pubkey" {
			continue // a key, not a program
		}
		total++
		reason, v := "", utils.FormatVersion(p)
		switch {
		case p.Repository.Class == ftypes.RepositoryClassThirdParty && !all:
			reason = "comes from a third party, which the distribution's advisories do not cover"
		case target.OS.Family == ftypes.Alma && strings.Contains(p.Release, ".module_el") && p.Modularitylabel == "":
			reason = "is part of a module that the package database does not name"
		default:
			if drv == nil {
				reason = distribution.Foreign(string(target.OS.Family), pkgs[i])
			}
			if source := cmp.Or(utils.FormatSrcVersion(p), v); reason == "" && parse(source) != nil {
				reason, v = "has a version that cannot be compared", source
			}
		}
		if reason == "" {
			continue
		}
		g.add(p, v, reason)
		if missed++; missed == 1 {
			example = fmt.Sprintf("%s %s", cut(p.Name, 60), reason)
		}
	}
	if 2*missed <= total {
		return ""
	}
	return fmt.Sprintf("the advisories of %s %s cover fewer than half of the packages: %d of %d are gaps (%s); an image whose packages are the distribution's is needed",
		target.OS.Family, target.OS.Name, missed, total, example)
}

// osVersionParser reads versions as the family's detector does. RPM versions
// are never malformed.
func osVersionParser(family ftypes.OSType) func(string) error {
	switch family {
	case ftypes.Debian, ftypes.Ubuntu, ftypes.Echo, ftypes.Amazon:
		return func(v string) error { _, err := debver.NewVersion(v); return err }
	case ftypes.Alpine, ftypes.Wolfi, ftypes.Chainguard, ftypes.MinimOS:
		return func(v string) error { _, err := apkver.NewVersion(v); return err }
	}
	return func(string) error { return nil }
}

// application finds packages of a language that no detector or no source of the
// data covers. It reports whether the rest can be matched.
func (g *gaps) application(db *database, app ftypes.Application) (matchable bool) {
	reason := ""
	d, ok := library.NewDriver(app.Type)
	switch {
	case !ok:
		reason = fmt.Sprintf("there are no advisories for packages of type %s", cut(string(app.Type), 40))
	case !db.hasPrefix(d.Type() + "::"):
		reason = fmt.Sprintf("the advisory data has no source for the ecosystem %s", d.Type())
	}
	parse := languageVersionParser(app.Type)
	for _, p := range app.Packages {
		switch {
		case reason != "":
			g.add(p, p.Version, reason)
		case p.Version == "":
			g.add(p, "", "has no version")
		case parse(p.Version) != nil:
			g.add(p, p.Version, "has a version that cannot be compared")
		}
	}
	return reason == ""
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
