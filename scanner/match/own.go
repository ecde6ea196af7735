package match

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	dbtypes "github.com/aquasecurity/trivy-db/pkg/types"
	ospkgdetector "github.com/aquasecurity/trivy/pkg/detector/ospkg"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/driver"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/scan/ospkg"
	"github.com/aquasecurity/trivy/pkg/scan/utils"
	"github.com/aquasecurity/trivy/pkg/types"
	debver "github.com/knqyf263/go-deb-version"
	rpmver "github.com/knqyf263/go-rpm-version"
	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
	"github.com/digestgate/digestgate/scanner/distribution"
)

// osScanner asks Trivy's detectors, those of a supplier (nil for none), and those of this
// package for the distributions that Trivy has none for.
func osScanner(os ftypes.OS, supplied driver.Driver) ospkg.Scanner {
	options := []ospkgdetector.Option{ospkgdetector.WithSupplier(func(ftypes.OS, []ftypes.Package) driver.Driver { return supplied })}
	if distribution.OwnFamily(string(os.Family)) {
		bucket, _ := distribution.Bucket(string(os.Family), os.Name)
		options = append(options, ospkgdetector.WithDriver(os.Family, ownDetector{bucket}))
	}
	return ospkg.NewScanner(options...)
}

// ownDetector compares packages with the statements of a bucket of distribution.Bucket:
// by the name of the package and by that of its source, in the order of rpm or dpkg.
// Advisories of other releases are in other buckets, and never compared.
type ownDetector struct{ bucket string }

// IsSupportedVersion implements driver.Driver. The ends of life of these releases are
// not known here.
func (d ownDetector) IsSupportedVersion(context.Context, ftypes.OSType, string) bool { return true }

// FilterPackages implements driver.PackageFilter. The analyser knows other vendors only;
// what is a third party's is decided by distribution.Foreign and is a gap.
func (d ownDetector) FilterPackages(_ context.Context, pkgs []ftypes.Package) []ftypes.Package {
	return pkgs
}

// Detect implements driver.Driver. Errors: data that cannot be read.
func (d ownDetector) Detect(_ context.Context, _ string, _ *ftypes.Repository, pkgs []ftypes.Package) ([]types.DetectedVulnerability, error) {
	var found []types.DetectedVulnerability
	for _, pkg := range pkgs {
		list, err := d.detect(pkg)
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	return found, nil
}

// detect finds the vulnerabilities of a package.
func (d ownDetector) detect(pkg ftypes.Package) ([]types.DetectedVulnerability, error) {
	affected := map[string]*ownFinding{}
	for _, name := range ownNames(pkg) {
		rows, err := (trivydb.Config{}).ForEachAdvisory([]string{d.bucket}, name.key)
		if err != nil {
			return nil, fmt.Errorf("reading the advisories of %q in %q: %w", name.key, d.bucket, err)
		}
		for id, row := range rows {
			list, err := statement.Read(row.Content)
			if err != nil {
				return nil, fmt.Errorf("reading %s of %q in %q: %w", id, name.key, d.bucket, err)
			}
			for _, s := range list {
				if s.Source != name.source && !name.both || !s.Applies(pkg.Arch) || !affects(s, pkg) {
					continue
				}
				f := affected[id]
				if f == nil {
					f = &ownFinding{row: row}
					affected[id] = f
				}
				f.add(s, pkg)
			}
		}
	}
	var found []types.DetectedVulnerability
	for _, id := range slices.Sorted(maps.Keys(affected)) {
		v, err := affected[id].vulnerability(id, pkg)
		if err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, nil
}

// ownName is a name under which a package is looked up.
type ownName struct {
	key          string
	source, both bool
}

// ownNames are the names of a package: its own and its source's, each with the stream of
// the module that it is of, and without for sources that name none. A statement about a
// stream is filed under that stream's name, and so no package of another one has it.
func ownNames(pkg ftypes.Package) []ownName {
	source := cmp.Or(pkg.SrcName, pkg.Name)
	names := []ownName{{key: pkg.Name, both: source == pkg.Name}}
	if source != pkg.Name {
		names = append(names, ownName{key: source, source: true})
	}
	// nodejs:12:8030…:229f0a1c is the stream 12 of the module nodejs.
	if parts := strings.SplitN(pkg.Modularitylabel, ":", 3); len(parts) >= 2 {
		for _, n := range names {
			n.key = parts[0] + ":" + parts[1] + "::" + n.key
			names = append(names, n)
		}
	}
	return names
}

// affects reports whether a statement says that the installed version is vulnerable.
func affects(s statement.Statement, pkg ftypes.Package) bool {
	if s.FixedVersion == "" {
		return s.Status != dbtypes.StatusNotAffected
	}
	installed := pkg
	if s.Source && pkg.SrcName != "" {
		installed.Epoch, installed.Version, installed.Release = pkg.SrcEpoch, pkg.SrcVersion, pkg.SrcRelease
	}
	fixed := s.FixedVersion
	if s.NoEpoch { // a missing epoch is 0, and each package with one would look newer than its fix
		installed.Epoch, fixed = 0, withoutEpoch(fixed)
	}
	return less(utils.FormatVersion(installed), fixed, ofDpkg(pkg))
}

func ofDpkg(pkg ftypes.Package) bool { return pkg.AnalyzedBy == "dpkg" }

func withoutEpoch(v string) string {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		if _, err := strconv.Atoi(epoch); err == nil {
			return rest
		}
	}
	return v
}

// less compares versions of dpkg or rpm. Versions of dpkg that cannot be compared are
// affected: that they are is a gap already (see distributionGap).
func less(installed, fixed string, dpkg bool) bool {
	if !dpkg {
		return rpmver.NewVersion(installed).LessThan(rpmver.NewVersion(fixed))
	}
	a, errA := debver.NewVersion(installed)
	b, errB := debver.NewVersion(fixed)
	return errA != nil || errB != nil || a.LessThan(b)
}

// ownFinding joins the statements about one vulnerability that affect a package.
type ownFinding struct {
	row      trivydb.Value
	status   dbtypes.Status // of one without a fix
	fixed    string
	open     bool // one has no fix
	severity dbtypes.Severity
	ids      []string
}

// add keeps the gravest: no fix is worse than a late one, and a late one is worse than an
// early one.
func (f *ownFinding) add(s statement.Statement, pkg ftypes.Package) {
	f.severity = max(f.severity, s.Severity)
	for _, id := range s.VendorIDs {
		if !slices.Contains(f.ids, id) {
			f.ids = append(f.ids, id)
		}
	}
	switch {
	case s.FixedVersion == "":
		if !f.open || s.Status < f.status {
			f.status = s.Status
		}
		f.open = true
	case f.fixed == "" || less(f.fixed, s.FixedVersion, ofDpkg(pkg)):
		f.fixed = s.FixedVersion
	}
}

func (f *ownFinding) vulnerability(id string, pkg ftypes.Package) (types.DetectedVulnerability, error) {
	v := types.DetectedVulnerability{
		VulnerabilityID:  id,
		VendorIDs:        f.ids,
		PkgID:            pkg.ID,
		PkgName:          pkg.Name,
		PkgPath:          pkg.FilePath,
		PkgIdentifier:    pkg.Identifier,
		InstalledVersion: utils.FormatVersion(pkg),
		Layer:            pkg.Layer,
	}
	if f.open {
		v.Status = f.status
	} else {
		v.FixedVersion = f.fixed
	}
	source, custom, err := f.from()
	if err != nil {
		return v, fmt.Errorf("reading %s: %w", id, err)
	}
	v.DataSource, v.Custom = source, custom
	if f.severity != dbtypes.SeverityUnknown && source != nil {
		v.Severity, v.SeveritySource = f.severity.String(), source.ID
	}
	return v, nil
}

// from is where the row is from, as compositions note it: in the row or in its bucket.
func (f *ownFinding) from() (*dbtypes.DataSource, any, error) {
	var adv dbtypes.Advisory
	if err := adv.UnmarshalJSON(f.row.Content); err != nil {
		return nil, nil, err
	}
	if s := f.row.Source; s != (dbtypes.DataSource{}) {
		adv.DataSource = &s
	}
	return adv.DataSource, adv.Custom, nil
}

// ownProblem says that the data has no advisories for a release of a distribution of
// this package, and what to configure.
func ownProblem(bucket, family string) string {
	return fmt.Sprintf("no advisories for %s in the vulnerability data; add the %s feed (docs/advisories.md#feeds-of-distributions) to advisories.sources", bucket, distribution.Feed(family))
}

// archProblem says that the rows of a bucket of this package are about other architectures
// than the packages of the image: they come from the repository of one architecture, and no
// row would look like no vulnerability. It is called with the connection held.
func (r *run) archProblem(bucket string) (string, error) {
	of := imageArch(r.inv.Packages)
	if of == "" {
		return "", nil
	}
	arches, err := r.gen.db.archesOf(bucket)
	if err != nil || arches.Of(of) {
		return "", err
	}
	return fmt.Sprintf("the advisories for %s in the vulnerability data are about %s, and the packages are for %s; add the feed of that architecture (docs/advisories.md#feeds-of-distributions) to advisories.sources",
		bucket, arches, of), nil
}

// imageArch is the architecture of most packages, "" when none says one.
func imageArch(pkgs []gate.Package) (most string) {
	n := map[string]int{}
	for i := range pkgs {
		if arch := statement.Arch(pkgs[i].Arch); arch != "" {
			n[arch]++
		}
	}
	for arch, count := range n {
		if most == "" || count > n[most] || count == n[most] && arch < most {
			most = arch
		}
	}
	return most
}

// archesOf are the architectures that the rows of a bucket speak of; they are read once.
// It is called with the connection held.
func (d *database) archesOf(bucket string) (statement.Arches, error) {
	if a, ok := d.arches.Load(bucket); ok {
		return a.(statement.Arches), nil //nolint:forcetypeassert // nothing else is put there
	}
	var a statement.Arches
	err := trivydb.Config{}.Connection().View(func(tx *bolt.Tx) error {
		return advisory.ArchesOf(tx.Bucket([]byte(bucket)), &a)
	})
	if err != nil {
		return a, fmt.Errorf("reading the advisories of %q: %w", bucket, err)
	}
	d.arches.Store(bucket, a)
	return a, nil
}
