package inventory

import (
	"slices"
	"strings"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// ScanTarget makes what Trivy's detectors take from a stored inventory. All
// slices are new in each call, because the detectors sort them in place.
//
// A package's PURL travels in Identifier.BOMRef as text: detectors copy the
// identifier into what they find and read nothing of it, and parsing hundreds
// of hostile PURLs per match would buy nothing.
func ScanTarget(inv *gate.Inventory) types.ScanTarget {
	t := Distribution(inv)
	t.Packages = toPackages(inv.Packages)
	for _, app := range inv.Applications {
		t.Applications = append(t.Applications, ftypes.Application{
			Type:     ftypes.LangType(app.Type),
			FilePath: app.FilePath,
			Packages: toPackages(app.Packages),
		})
	}
	return t
}

// Distribution is the target without packages and applications.
func Distribution(inv *gate.Inventory) types.ScanTarget {
	family, release := inv.OS.Family, inv.OS.Name
	if inv.Distribution != nil && distribution.OwnID(family) {
		// An earlier version knew the distribution only by the value of ID.
		if d := distribution.Decide(inv.Distribution); distribution.OwnFamily(d.Family) {
			family, release = d.Family, d.Name
		}
	}
	return types.ScanTarget{
		Name: string(inv.Digest),
		OS: ftypes.OS{
			Family:   ftypes.OSType(family),
			Name:     release,
			Eosl:     inv.OS.EOL,
			Extended: inv.OS.Extended,
			Supplier: ftypes.Supplier(inv.OS.Supplier),
		},
		Repository: toRepository(inv.PackageRepository),
	}
}

func toRepository(text string) *ftypes.Repository {
	if text == "" {
		return nil
	}
	family, release, _ := strings.Cut(text, " ")
	return &ftypes.Repository{Family: ftypes.OSType(family), Release: release}
}

func toPackages(pkgs []gate.Package) ftypes.Packages {
	out := make(ftypes.Packages, 0, len(pkgs))
	for _, p := range pkgs {
		out = append(out, Package(p))
	}
	return out
}

// Package is one package of a target. It shares no memory with g that can be modified.
func Package(g gate.Package) ftypes.Package {
	p := ftypes.Package{
		ID:              g.ID,
		Name:            g.Name,
		Identifier:      ftypes.PkgIdentifier{UID: g.UID, BOMRef: g.PURL},
		Version:         g.Version,
		Release:         g.Release,
		Epoch:           g.Epoch,
		Arch:            g.Arch,
		Dev:             g.Dev,
		SrcName:         g.SrcName,
		SrcVersion:      g.SrcVersion,
		SrcRelease:      g.SrcRelease,
		SrcEpoch:        g.SrcEpoch,
		Licenses:        slices.Clone(g.Licenses),
		Modularitylabel: g.ModularityLabel,
		Indirect:        g.Indirect,
		Layer:           ftypes.Layer{DiffID: string(g.Layer)},
		FilePath:        g.FilePath,
		AnalyzedBy:      ftypes.AnalyzerType(g.AnalyzedBy),
	}
	if b := g.BuildInfo; b != nil {
		p.BuildInfo = &ftypes.BuildInfo{ContentSets: slices.Clone(b.ContentSets), Nvr: b.Nvr, Arch: b.Arch}
	}
	if g.Repository != nil {
		p.Repository.Class = ftypes.RepositoryClass(g.Repository.Class)
	}
	// An unknown word means an unknown relationship, as everywhere in Trivy.
	p.Relationship, _ = ftypes.NewRelationship(g.Relationship)
	return p
}
