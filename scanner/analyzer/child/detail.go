//go:build goexperiment.jsonv2

package child

import (
	"path"
	"slices"
	"strings"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/package-url/packageurl-go"

	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/analyzer"
	"github.com/digestgate/digestgate/scanner/analyzer/child/trivy/applier"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// maxPackages bounds the packages under all names of their files: one small list
// may have a hundred thousand links. The worker takes half as many.
const maxPackages = 1_000_000

// detail puts together what a container sees, in Trivy's terms. Trivy's applier
// then names, sorts and groups it. It gets the secrets of each layer, which stay
// when a layer above removes the file because they can be dug out of the layers,
// and one more layer with everything that the paths show.
func (img *image) detail(d distribution.Decision) (ftypes.ArtifactDetail, error) {
	blobs := make([]ftypes.BlobInfo, len(img.diffIDs), len(img.diffIDs)+1)
	for i, id := range img.diffIDs {
		blobs[i].DiffID = string(id)
	}
	first := img.origins()
	var top ftypes.BlobInfo
	merged := map[string]int{} // where an application is in top
	var facts []fact
	packages := 0
	for _, r := range img.readings {
		for _, s := range r.found.Secrets {
			// A secret that no container sees stays under its own name.
			own := strings.TrimPrefix(s.FilePath, "/")
			if paths := r.paths(own); len(paths) > 0 && !slices.Contains(paths, own) {
				s.FilePath = "/" + paths[0]
			}
			blobs[r.layer].Secrets = append(blobs[r.layer].Secrets, s)
		}
		for _, f := range r.found.Facts {
			if len(r.paths(f.Path)) > 0 {
				facts = append(facts, f)
			}
		}
		for _, info := range r.found.PackageInfos {
			for _, p := range r.paths(info.FilePath) {
				if packages += len(info.Packages); packages > maxPackages {
					return ftypes.ArtifactDetail{}, tooLarge("files with packages, links to them included, list more than %d", maxPackages)
				}
				info := info
				info.FilePath, info.Packages = p, slices.Clone(info.Packages)
				for i := range info.Packages {
					first.distribution(&info.Packages[i], r.layer)
				}
				top.PackageInfos = append(top.PackageInfos, info)
			}
		}
		for _, app := range r.found.Applications {
			for _, p := range r.paths(app.FilePath) {
				if packages += len(app.Packages); packages > maxPackages {
					return ftypes.ArtifactDetail{}, tooLarge("files with packages, links to them included, list more than %d", maxPackages)
				}
				at := renamed(app, p)
				for i := range at.Packages {
					first.application(at, &at.Packages[i], r.layer)
				}
				key := p + "\x00" + string(app.Type)
				if k, ok := merged[key]; ok { // runtimes differ: each content counts
					top.Applications[k].Packages = append(top.Applications[k].Packages, at.Packages...)
					continue
				}
				merged[key] = len(top.Applications)
				top.Applications = append(top.Applications, at)
			}
		}
		for _, l := range r.found.Licenses {
			if len(r.paths(l.FilePath)) > 0 {
				top.Licenses = append(top.Licenses, l)
			}
		}
	}
	// In an order that does not depend on the layers' results.
	slices.SortStableFunc(facts, func(a, b fact) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range facts {
		top.OS.Merge(f.OS)
		if f.Repository != nil {
			top.Repository = f.Repository
		}
	}
	setDistribution(&top.OS, d)
	detail := applier.ApplyLayers(append(blobs, top))
	ownPURLs(detail.Packages, d)
	return detail, nil
}

// ownPURLs makes the package URLs of a distribution that Trivy has no word for what they
// are for the others: pkg:rpm/openeuler/bash@5.1-1?arch=x86_64&distro=openeuler-22.03-LTS.
func ownPURLs(pkgs []ftypes.Package, d distribution.Decision) {
	if !distribution.OwnFamily(d.Family) {
		return
	}
	for i := range pkgs {
		purl := pkgs[i].Identifier.PURL
		if purl == nil {
			continue
		}
		purl.Type, purl.Namespace = packageurl.TypeRPM, d.Family
		if pkgs[i].AnalyzedBy == analyzer.TypeDpkg {
			purl.Type = packageurl.TypeDebian
		}
		purl.Qualifiers = append(purl.Qualifiers, packageurl.Qualifier{Key: "distro", Value: d.Family + "-" + d.Name})
	}
}

// archives are the Java archives that a container sees, under each of their paths.
func (img *image) archives() ([]gate.JavaArchive, error) {
	var list []gate.JavaArchive
	for _, r := range img.readings {
		for _, a := range r.found.Archives {
			for _, p := range r.paths(a.File) {
				if len(list) >= protocol.MaxArchives {
					return nil, tooLarge("the image has more than %d Java archives, links to them included", protocol.MaxArchives)
				}
				one := a.JavaArchive
				one.File, one.Layer = p, img.diffIDs[r.layer]
				list = append(list, one)
			}
		}
	}
	slices.SortFunc(list, func(a, b gate.JavaArchive) int { return compareArchives(&a, &b) })
	return slices.CompactFunc(list, func(a, b gate.JavaArchive) bool { return compareArchives(&a, &b) == 0 }), nil
}

// renamed is an application that was found under one path and is seen under
// another.
func renamed(app ftypes.Application, p string) ftypes.Application {
	own := app.FilePath
	app.FilePath, app.Packages = p, slices.Clone(app.Packages)
	if own == p {
		return app
	}
	for i := range app.Packages {
		pkg := &app.Packages[i]
		if rest, ok := strings.CutPrefix(pkg.FilePath, own); ok && (rest == "" || rest[0] == '/') {
			pkg.FilePath = path.Join(p, rest)
		}
	}
	return app
}

// origins says which layer brought a package first. Trivy's applier would find
// out by comparing every package with every other, minutes for an image of
// 100,000.
type origins struct {
	img          *image
	packages     map[packageKey]int
	applications map[applicationKey]int
	builds       []*ftypes.BuildInfo // Red Hat's, of each layer
}

type packageKey struct{ name, version, release string }

type applicationKey struct {
	typ        ftypes.LangType
	path, file string
	packageKey
}

func (img *image) origins() *origins {
	o := &origins{img: img, packages: map[packageKey]int{}, applications: map[applicationKey]int{},
		builds: make([]*ftypes.BuildInfo, len(img.diffIDs))}
	for _, r := range img.readings {
		for _, info := range r.found.PackageInfos {
			for i := range info.Packages {
				setFirst(o.packages, keyOf(&info.Packages[i]), r.layer)
			}
		}
		for _, app := range r.found.Applications {
			for i := range app.Packages {
				p := &app.Packages[i]
				setFirst(o.applications, applicationKey{app.Type, app.FilePath, p.FilePath, keyOf(p)}, r.layer)
			}
		}
		for _, f := range r.found.Facts {
			if f.BuildInfo != nil && len(r.paths(f.Path)) > 0 {
				o.builds[r.layer] = mergeBuildInfo(o.builds[r.layer], f.BuildInfo)
			}
		}
	}
	return o
}

func setFirst[K comparable](m map[K]int, key K, layer int) {
	if known, ok := m[key]; !ok || layer < known {
		m[key] = layer
	}
}

func keyOf(p *ftypes.Package) packageKey { return packageKey{p.Name, p.Version, p.Release} }

func (o *origins) distribution(p *ftypes.Package, layer int) {
	if first, ok := o.packages[keyOf(p)]; ok {
		layer = first
	}
	p.Layer = ftypes.Layer{DiffID: string(o.img.diffIDs[layer])}
	if b := o.build(layer); b != nil {
		p.BuildInfo = b
	}
}

func (o *origins) application(app ftypes.Application, p *ftypes.Package, layer int) {
	if first, ok := o.applications[applicationKey{app.Type, app.FilePath, p.FilePath, keyOf(p)}]; ok {
		layer = first
	}
	p.Layer = ftypes.Layer{DiffID: string(o.img.diffIDs[layer])}
}

// build is Red Hat's content sets for what a layer installed: its own, for the
// base layer those of the next one, otherwise those of the last below (Trivy's
// applier, lookupBuildInfo in v0.74.0).
func (o *origins) build(layer int) *ftypes.BuildInfo {
	if o.builds[layer] != nil {
		return o.builds[layer]
	}
	if layer == 0 {
		if len(o.builds) > 1 {
			return o.builds[1]
		}
		return nil
	}
	for i := layer - 1; i >= 0; i-- {
		if o.builds[i] != nil {
			return o.builds[i]
		}
	}
	return nil
}

// mergeBuildInfo joins what two files of a layer say (Trivy's AnalysisResult).
func mergeBuildInfo(a, b *ftypes.BuildInfo) *ftypes.BuildInfo {
	if a == nil {
		a = &ftypes.BuildInfo{}
	}
	if len(b.ContentSets) > 0 {
		a.ContentSets = b.ContentSets
	}
	if b.Nvr != "" {
		a.Nvr = b.Nvr
	}
	if b.Arch != "" {
		a.Arch = b.Arch
	}
	return a
}
