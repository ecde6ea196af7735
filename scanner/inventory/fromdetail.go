package inventory

import (
	"cmp"
	"slices"
	"strings"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/gate"
)

// FromDetail makes the part of an inventory that Trivy's merged analysis
// knows: Format, OS, PackageRepository, Packages, Applications and Secrets. The
// caller adds identity, configuration, coverage and what else it established
// (DistributionFiles, PackageDatabase). The result is sorted, so that equal
// images give equal inventories, and shares no memory that detail's owner may
// write to except strings. Slices are never nil.
//
// A package's Maintainer becomes the name of its origin, as the child reduced it
// (distribution.Origin).
//
// The matched text of a secret is dropped here and never reaches an inventory.
func FromDetail(detail ftypes.ArtifactDetail) *gate.Inventory {
	inv := &gate.Inventory{
		Format: gate.InventoryFormat,
		OS: gate.OS{
			Family:   string(detail.OS.Family),
			Name:     detail.OS.Name,
			Extended: detail.OS.Extended,
			EOL:      detail.OS.Eosl,
			Supplier: string(detail.OS.Supplier),
		},
		PackageRepository: repositoryText(detail.Repository),
		Packages:          fromPackages(detail.Packages),
		Applications:      make([]gate.Application, 0, len(detail.Applications)),
		Secrets:           fromSecrets(detail),
	}
	for _, app := range detail.Applications {
		inv.Applications = append(inv.Applications, gate.Application{
			Type:     string(app.Type),
			FilePath: app.FilePath,
			Packages: fromPackages(app.Packages),
		})
	}
	slices.SortStableFunc(inv.Applications, func(a, b gate.Application) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.FilePath, b.FilePath),
			cmp.Compare(len(a.Packages), len(b.Packages)))
	})
	return inv
}

func repositoryText(r *ftypes.Repository) string {
	if r == nil {
		return ""
	}
	return string(r.Family) + " " + r.Release
}

func fromPackages(pkgs []ftypes.Package) []gate.Package {
	out := make([]gate.Package, 0, len(pkgs))
	for _, p := range pkgs {
		out = append(out, fromPackage(p))
	}
	slices.SortStableFunc(out, func(a, b gate.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version),
			strings.Compare(a.Release, b.Release), strings.Compare(a.Arch, b.Arch),
			strings.Compare(a.ID, b.ID), strings.Compare(a.FilePath, b.FilePath))
	})
	return out
}

func fromPackage(p ftypes.Package) gate.Package {
	g := gate.Package{
		ID:              p.ID,
		Name:            p.Name,
		Version:         p.Version,
		Release:         p.Release,
		Epoch:           p.Epoch,
		Arch:            p.Arch,
		Dev:             p.Dev,
		SrcName:         p.SrcName,
		SrcVersion:      p.SrcVersion,
		SrcRelease:      p.SrcRelease,
		SrcEpoch:        p.SrcEpoch,
		ModularityLabel: p.Modularitylabel,
		UID:             p.Identifier.UID,
		Licenses:        slices.Clone(p.Licenses),
		FilePath:        p.FilePath,
		Layer:           layerDigest(p.Layer),
		Indirect:        p.Indirect,
		AnalyzedBy:      string(p.AnalyzedBy),
	}
	if p.Identifier.PURL != nil {
		g.PURL = p.Identifier.PURL.String()
	}
	if p.Relationship != ftypes.RelationshipUnknown {
		g.Relationship = p.Relationship.String()
	}
	if p.BuildInfo != nil {
		g.BuildInfo = &gate.BuildInfo{
			ContentSets: slices.Clone(p.BuildInfo.ContentSets), Nvr: p.BuildInfo.Nvr, Arch: p.BuildInfo.Arch,
		}
	}
	if p.Repository.Class != ftypes.RepositoryClassUnknown || p.Maintainer != "" {
		g.Repository = &gate.PackageOrigin{Class: string(p.Repository.Class), Name: p.Maintainer}
	}
	return g
}

// layerDigest is the uncompressed digest of the layer, "" when Trivy has none
// or something that is none.
func layerDigest(l ftypes.Layer) gate.Digest {
	if d := gate.Digest(l.DiffID); d.Valid() {
		return d
	}
	return ""
}

func fromSecrets(detail ftypes.ArtifactDetail) []gate.Secret {
	all := slices.Clone(detail.Secrets)
	if s := detail.ImageConfig.Secret; s != nil {
		all = append(all, *s)
	}
	out := []gate.Secret{}
	for _, s := range all {
		for _, f := range s.Findings {
			out = append(out, gate.Secret{
				Rule:      f.RuleID,
				Category:  string(f.Category),
				Severity:  f.Severity,
				Title:     f.Title,
				Path:      s.FilePath,
				StartLine: f.StartLine,
				EndLine:   f.EndLine,
				Layer:     layerDigest(f.Layer),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b gate.Secret) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.StartLine, b.StartLine),
			cmp.Compare(a.EndLine, b.EndLine), strings.Compare(a.Rule, b.Rule))
	})
	return out
}
