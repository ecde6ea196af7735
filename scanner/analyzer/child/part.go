//go:build goexperiment.jsonv2

package child

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"

	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// found is what the analysers found in one part of a layer. What nobody reads
// later (installed files, the graph of dependencies, most of what maintainers are
// called) is left out: it is most of the bytes.
type found struct {
	PackageInfos []ftypes.PackageInfo `json:"packageInfos,omitempty"`
	Applications []ftypes.Application `json:"applications,omitempty"`
	Secrets      []ftypes.Secret      `json:"secrets,omitempty"`
	Licenses     []ftypes.LicenseFile `json:"licenses,omitempty"`
	// Facts are what single files say of the whole image.
	Facts []fact `json:"facts,omitempty"`
	// Release are the release files that were read, Components what Bitnami's
	// files name.
	Release    []gate.ReleaseFile `json:"release,omitempty"`
	Components []component        `json:"components,omitempty"`
	// Owned are the files whose language packages were left out because a
	// distribution's package installed them.
	Owned []string `json:"owned,omitempty"`
	// Archives are the Java archives that were not left out.
	Archives []archive `json:"archives,omitempty"`

	applied map[string]bool // the paths of Applications and Owned, made when they are needed
}

// fact is what one file says of the whole image.
type fact struct {
	Path       string             `json:"path"`
	OS         ftypes.OS          `json:"os,omitzero"`
	Repository *ftypes.Repository `json:"repository,omitempty"`
	BuildInfo  *ftypes.BuildInfo  `json:"buildInfo,omitempty"`
}

// part is one part of a layer being read.
type part struct {
	notes *notes
	files *files
}

func newPart(t *tools, s *spool, unit protocol.Unit) (*part, error) {
	n := &notes{}
	f, err := newFiles(t, n, s, unit, min(max(runtime.GOMAXPROCS(0), 2), 4))
	return &part{n, f}, err
}

// finish waits for the analysers.
func (p *part) finish(ctx context.Context) (protocol.Part, error) {
	var out protocol.Part
	result, err := p.files.finish(ctx)
	if err != nil {
		return out, err
	}
	listed := 0
	for _, info := range result.PackageInfos {
		listed += len(info.Packages)
	}
	for _, app := range result.Applications {
		listed += len(app.Packages)
	}
	if listed > maxLayerPackages {
		return out, tooLarge("the files of a layer list %d packages, more than %d", listed, maxLayerPackages)
	}
	result.Sort()
	f := found{PackageInfos: result.PackageInfos, Secrets: result.Secrets, Licenses: result.Licenses, Facts: p.files.facts,
		Release: p.files.release, Components: p.files.components}
	owned := ownedFiles(result.SystemInstalledFiles)
	f.Applications, f.Owned = withoutOwned(result.Applications, owned)
	homes := p.files.homes.all()
	p.notes.settle(owned, homes)
	f.Archives = settled(p.files.archives, owned, homes)
	slices.SortFunc(f.Facts, func(a, b fact) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(f.Release, func(a, b gate.ReleaseFile) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(f.Components, component.compare)
	for i := range f.PackageInfos {
		trim(f.PackageInfos[i].Packages)
	}
	for i := range f.Applications {
		trim(f.Applications[i].Packages)
	}
	p.notes.into(&out)
	out.Packages = listed
	if out.Found, err = json.Marshal(f); err != nil {
		return out, fmt.Errorf("encoding the result: %w", err)
	}
	return out, nil
}

// settled are the archives that the whole layer does not explain, as [notes.settle].
func settled(archives []archive, owned, javaHomes map[string]bool) []archive {
	archives = slices.DeleteFunc(archives, func(a archive) bool {
		return owned[a.File] || slices.ContainsFunc(a.Homes, func(h string) bool { return javaHomes[h] })
	})
	for i := range archives {
		archives[i].Homes = nil
	}
	slices.SortFunc(archives, func(a, b archive) int { return compareArchives(&a.JavaArchive, &b.JavaArchive) })
	return archives
}

func compareArchives(a, b *gate.JavaArchive) int {
	return cmp.Or(strings.Compare(a.File, b.File), strings.Compare(a.Inside, b.Inside), strings.Compare(a.SHA1, b.SHA1))
}

func trim(pkgs []ftypes.Package) {
	for i := range pkgs {
		p := &pkgs[i]
		p.InstalledFiles, p.DependsOn, p.Locations = nil, nil, nil
		p.Maintainer = distribution.Origin(string(p.AnalyzedBy), p.Maintainer)
	}
}

// systemDirs are where a distribution's packages put files. A package database
// that claims a file elsewhere (an application's archive, say) is not believed:
// a listed file is left out of the language packages.
var systemDirs = []string{"usr/", "lib/", "lib32/", "lib64/", "bin/", "sbin/", "etc/", "var/lib/"}

func systemPath(p string) bool {
	if strings.HasPrefix(p, "usr/local/") {
		return false
	}
	return slices.ContainsFunc(systemDirs, func(d string) bool { return strings.HasPrefix(p, d) })
}

// alwaysOwned are what Google's distroless images keep while removing the lists
// of installed files (Trivy's system-file-filter handler has the same list).
var alwaysOwned = []string{
	"usr/lib/python2.7/argparse.egg-info",
	"usr/lib/python2.7/lib-dynload/Python-2.7.egg-info",
	"usr/lib/python2.7/wsgiref.egg-info",
}

// ownedFiles are the files that a distribution's packages installed, as far as
// its database is believed.
func ownedFiles(installed []string) map[string]bool {
	owned := make(map[string]bool, len(installed))
	for _, f := range append(installed, alwaysOwned...) {
		if f = rootfs.Clean(f); systemPath(f) {
			owned[f] = true
		}
	}
	return owned
}

// withoutOwned leaves out language packages that a distribution's package
// installed: they are matched as that package, whose version says which fixes
// were backported. left names the files that this concerns.
func withoutOwned(apps []ftypes.Application, owned map[string]bool) (kept []ftypes.Application, left []string) {
	for _, app := range apps {
		if owned[app.FilePath] {
			left = append(left, app.FilePath)
			continue
		}
		app.Packages = slices.DeleteFunc(app.Packages, func(p ftypes.Package) bool {
			if p.FilePath == "" || !owned[p.FilePath] {
				return false
			}
			left = append(left, p.FilePath)
			return true
		})
		kept = append(kept, app)
	}
	slices.Sort(left)
	return kept, slices.Compact(left)
}
