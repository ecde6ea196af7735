package match

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/aquasecurity/trivy-db/pkg/ecosystem"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/package-url/packageurl-go"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// archiveType is the kind of applications whose packages are Java archives.
const archiveType = string(ftypes.Jar)

// nameArchives looks the archives of the inventory up that do not name themselves as
// their files are called. It holds no lock. Errors: errSuperseded, gate.ErrTimeout; an
// index that cannot be read is noted, and leaves the archives gaps.
func (r *run) nameArchives(ctx context.Context) error {
	ask := subject("java archive")
	for i := range r.inv.Archives {
		a := &r.inv.Archives[i]
		q, ok := javaindex.QuestionOf(a)
		if !ok {
			continue
		}
		if r.gen.java == nil {
			return nil
		}
		if r.archives == nil {
			r.archives = &gate.ArchiveNames{Index: true}
		}
		k := memoKey{subject: ask, identity: sha256.Sum256([]byte(q.Key()))}
		answer := r.gen.memo.get(&k)
		if answer == nil {
			names, err := r.gen.java.Names(ctx, q)
			switch {
			case errors.Is(err, gate.ErrTimeout):
				return err
			case errors.Is(err, javaindex.ErrClosed) && r.superseded != nil:
				return errSuperseded
			case err != nil:
				r.archives.Problem = gate.Printable(err.Error(), 200)
				return nil
			}
			answer = &known{names: names}
			r.gen.memo.keep(&k, answer)
		}
		for _, n := range answer.names {
			r.archives.Named = append(r.archives.Named, gate.NamedArchive{
				File: a.File, Inside: a.Inside, SHA1: a.SHA1, Name: n.Full(), Version: n.Version, By: n.By,
			})
			r.named = append(r.named, archivePackage(a, n))
		}
	}
	return nil
}

// archivePackage is an archive as a package of an application, as the analyser lists those
// that name themselves.
func archivePackage(a *gate.JavaArchive, n javaindex.Name) gate.Package {
	return gate.Package{
		Name: n.Full(), Version: n.Version, FilePath: a.Path(), Layer: a.Layer, AnalyzedBy: archiveType,
		ID:   n.Full() + ":" + n.Version,
		PURL: packageurl.NewPackageURL(packageurl.TypeMaven, n.Group, n.Artifact, n.Version, nil, "").ToString(),
	}
}

// archiveApplications are the packages that archives turned out to be, and that the
// inventory does not list there already.
func (r *run) archiveApplications() []gate.Application {
	if len(r.named) == 0 {
		return nil
	}
	type place struct{ name, version, path string }
	listed := map[place]bool{}
	for _, app := range r.inv.Applications {
		if app.Type != archiveType {
			continue
		}
		for i := range app.Packages {
			p := &app.Packages[i]
			listed[place{p.Name, p.Version, cmp.Or(p.FilePath, app.FilePath)}] = true
		}
	}
	pkgs := slices.DeleteFunc(slices.Clone(r.named), func(p gate.Package) bool { return listed[place{p.Name, p.Version, p.FilePath}] })
	if len(pkgs) == 0 {
		return nil
	}
	return []gate.Application{{Type: archiveType, Packages: pkgs}}
}

// appendArchives adds the places in the data that findings depend on by way of the index:
// what it is asked, and the packages that it answered.
func appendArchives(keys []string, inv *gate.Inventory, f *gate.Findings) []string {
	for i := range inv.Archives {
		if q, ok := javaindex.QuestionOf(&inv.Archives[i]); ok {
			keys = append(keys, q.Key())
		}
	}
	if f.Archives != nil {
		for _, n := range f.Archives.Named {
			keys = append(keys, packageKey(mavenPrefix, vulnerability.NormalizePkgName(ecosystem.Maven, n.Name)))
		}
	}
	return keys
}

// mavenPrefix begins the names of the buckets with advisories of Java packages.
const mavenPrefix = string(ecosystem.Maven) + "::"

// TouchedArchives says which lookups another index answers differently; nil stands for
// none. Both must stay open until nothing more is asked.
func TouchedArchives(ctx context.Context, former, now *javaindex.Index) func(key string) bool {
	return func(key string) bool {
		q, ok := javaindex.QuestionIn(key)
		if !ok {
			return false
		}
		if former == nil || now == nil {
			return former != now
		}
		before, err := former.Names(ctx, q)
		if err != nil {
			return true
		}
		after, err := now.Names(ctx, q)
		return err != nil || !slices.Equal(before, after)
	}
}
