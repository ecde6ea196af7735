package match

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	trivydb "github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/driver"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/rapidfort"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/seal"
	"github.com/aquasecurity/trivy/pkg/detector/ospkg/ubuntu"
	osver "github.com/aquasecurity/trivy/pkg/detector/ospkg/version"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/scanner/distribution"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// identityProblem says why it is not certain which distribution the packages are
// of, "" when it is, or when there are none of any.
func (r *run) identityProblem(target types.ScanTarget, drv driver.Driver) string {
	d := distribution.Decide(r.inv.Distribution)
	switch {
	case d.Problem != "":
		return d.Problem
	case target.OS.Family == "" && len(r.inv.Packages) > 0:
		return fmt.Sprintf("there are %d packages of a distribution that could not be identified; an os-release of a supported distribution is needed", len(r.inv.Packages))
	}
	if _, ok := drv.(*rapidfort.Scanner); ok && len(r.inv.Packages) > 0 && !slices.ContainsFunc(r.inv.Packages, distribution.OfRapidFort) {
		return "usr/share/rapidfort/curated.json says that RapidFort rebuilt the packages, but no package does; an image without that file, or with packages of RapidFort, is needed"
	}
	if p := distribution.OlderRepository(string(target.OS.Family), target.OS.Name, r.inv.PackageRepository); p != "" {
		return p
	}
	return distribution.Contents(string(target.OS.Family), target.OS.Name, r.inv.Distribution, r.inv.Packages, drv != nil)
}

// identitySubject is a hash of what identityProblem looks at but the packages.
func (r *run) identitySubject(target types.ScanTarget, drv driver.Driver) [sha256.Size]byte {
	words := append(osWords(target), "identity", fmt.Sprintf("%T", drv), r.inv.PackageRepository, strconv.FormatBool(r.inv.Distribution != nil))
	if d := r.inv.Distribution; d != nil {
		words = append(words, strconv.Itoa(len(d.Files)), strconv.Itoa(len(d.Databases)))
		for _, f := range d.Files {
			words = append(words, f.Path, f.Text, strconv.FormatBool(f.Cut), f.Link)
		}
		for _, b := range d.Databases {
			words = append(words, b.Manager, b.Path)
		}
	}
	return subject(words...)
}

// releaseProblem says why the data cannot judge the distribution's release, ""
// when it can. A detector that looks into a bucket that does not exist finds
// nothing and reports no error. bucket is where that of the distribution looks, "" for
// one that looks into several.
func (r *run) releaseProblem(target types.ScanTarget, drv driver.Driver) (bucket, problem string) {
	db := r.gen.db
	family, name := target.OS.Family, target.OS.Name
	if target.OS.Extended {
		name += "-ESM" // as ospkg.Scan does before it looks anything up
	}
	if _, ok := drv.(*rapidfort.Scanner); ok {
		if !db.hasPrefix("rapidfort ") {
			return "", "the advisory data has nothing of RapidFort, which rebuilt the packages"
		}
		return "", ""
	}
	if _, ok := drv.(*seal.Scanner); ok && !db.hasPrefix("seal ") {
		return "", "the advisory data has nothing of Seal Security, which rebuilt the packages"
	}
	if family == ftypes.RedHat || family == ftypes.CentOS {
		return "", r.redHatProblem(target)
	}
	want, known := releaseBucket(target, name)
	switch {
	case !known:
		return "", fmt.Sprintf("there are no advisories for the distribution %q; an image of a distribution that has some is needed", family)
	case want == "":
		return "", fmt.Sprintf("the image does not say which release of %s it is; an os-release with VERSION_ID is needed", family)
	case !db.buckets[want] && distribution.OwnFamily(string(family)):
		return "", ownProblem(want, string(family))
	case !db.buckets[want]:
		return "", fmt.Sprintf("the advisory data does not know the release %q; data that does, or another release, is needed", want)
	}
	return want, ""
}

// releaseBucket names the root bucket that the family's detector reads; known
// is false for a family without one, and name "" for a release that is missing.
// Each case follows the detector of that name in trivy's pkg/detector/ospkg.
func releaseBucket(target types.ScanTarget, release string) (name string, known bool) {
	switch target.OS.Family { // rolling distributions first
	case ftypes.Wolfi:
		return bucket.NewWolfi("").Name(), true
	case ftypes.Chainguard:
		return bucket.NewChainguard("").Name(), true
	case ftypes.MinimOS:
		return bucket.NewMinimOS("").Name(), true
	case ftypes.Echo:
		return bucket.NewEcho("").Name(), true
	case ftypes.Bottlerocket:
		return bucket.NewBottlerocket().Name(), true
	case ftypes.OpenSUSETumbleweed:
		return bucket.NewOpenSUSETumbleweed().Name(), true
	}
	if distribution.OwnFamily(string(target.OS.Family)) {
		if name, ok := distribution.Bucket(string(target.OS.Family), release); ok {
			return name, true
		}
		return "", true
	}
	versioned, known := map[ftypes.OSType]func() string{
		ftypes.Alpine:       func() string { return bucket.NewAlpine(alpineStream(release, target.Repository)).Name() },
		ftypes.Alma:         func() string { return bucket.NewAlma(osver.Major(release)).Name() },
		ftypes.Amazon:       func() string { return bucket.NewAmazon(amazonRelease(release)).Name() },
		ftypes.Azure:        func() string { return bucket.NewAzureLinux(osver.Minor(release)).Name() },
		ftypes.CBLMariner:   func() string { return bucket.NewMariner(osver.Minor(release)).Name() },
		ftypes.Debian:       func() string { return bucket.NewDebian(osver.Major(release)).Name() },
		ftypes.OpenSUSELeap: func() string { return bucket.NewOpenSUSE(release).Name() },
		ftypes.Oracle:       func() string { return bucket.NewOracle(osver.Major(release)).Name() },
		ftypes.Photon:       func() string { return bucket.NewPhoton(release).Name() },
		ftypes.Rocky:        func() string { return bucket.NewRocky(osver.Major(release)).Name() },
		ftypes.SLES:         func() string { return bucket.NewSUSELinuxEnterprise(release).Name() },
		ftypes.SLEMicro:     func() string { return bucket.NewSUSELinuxEnterpriseMicro(release).Name() },
		ftypes.Ubuntu:       func() string { return bucket.NewUbuntu(ubuntuRelease(release)).Name() },
	}[target.OS.Family]
	if !known || strings.TrimSpace(strings.TrimSuffix(release, "-ESM")) == "" {
		return "", known
	}
	return versioned(), true
}

// alpineStream prefers the package repository's release to that of the image.
func alpineStream(release string, repo *ftypes.Repository) string {
	if repo == nil || repo.Release == "" {
		return osver.Minor(release)
	}
	stream := repo.Release
	if strings.Count(stream, ".") > 1 {
		stream = stream[:strings.LastIndex(stream, ".")]
	}
	return stream
}

// amazonRelease takes every release but the named ones for the first.
func amazonRelease(release string) string {
	switch v := osver.Major(strings.Fields(release)[0]); v {
	case "2", "2022", "2023":
		return v
	}
	return "1"
}

// ubuntuRelease is the release without "-ESM" while ordinary support lasts and
// the detector's table has no entry for the extended one.
func ubuntuRelease(release string) string {
	base, extended := strings.CutSuffix(release, "-ESM")
	if !extended {
		return release
	}
	switch base {
	case "22.04", "24.04", "26.04":
		// The detector's own answer to whether ordinary support lasts.
		if ubuntu.NewScanner().IsSupportedVersion(context.Background(), ftypes.Ubuntu, base) {
			return base
		}
	}
	return release
}

// redHatProblem looks for a package whose content sets the data does not know:
// Red Hat's advisories are filed under these, and the detector fails as a whole
// on the first such package.
func (r *run) redHatProblem(target types.ScanTarget) string {
	if !r.gen.db.buckets["Red Hat"] || !r.gen.db.buckets["Red Hat CPE"] {
		return "the advisory data has no advisories of Red Hat"
	}
	looked := map[string]bool{}
	for _, p := range r.inv.Packages {
		sets, nvr := redHatContent(inventory.Package(p), osver.Major(target.OS.Name))
		key := strings.Join(sets, "\n") + "\n\n" + nvr
		if looked[key] {
			continue
		}
		looked[key] = true
		if !redHatKnown(sets, nvr) {
			return fmt.Sprintf("the advisory data does not know where package %q of %s %s comes from (content sets %q)",
				p.Name, target.OS.Family, target.OS.Name, sets)
		}
	}
	return ""
}

// redHatContent names content sets and build as the detector does.
func redHatContent(p ftypes.Package, major string) (sets []string, nvr string) {
	if p.BuildInfo != nil {
		return p.BuildInfo.ContentSets, p.BuildInfo.Nvr + "-" + p.BuildInfo.Arch
	}
	switch major {
	case "6", "7":
		return []string{"rhel-" + major + "-server-rpms", "rhel-" + major + "-server-extras-rpms"}, ""
	case "8", "9":
		return []string{"rhel-" + major + "-for-x86_64-baseos-rpms", "rhel-" + major + "-for-x86_64-appstream-rpms"}, ""
	}
	return nil, ""
}

// redHatKnown is called with the connection held.
func redHatKnown(sets []string, nvr string) bool {
	var db trivydb.Config
	for _, s := range sets {
		base, suffix, ok := cutLast(s, "__")
		if ok && isNumber(suffix) {
			s = base // build artefacts of Red Hat, which the detector drops too
		}
		if cpes, err := db.RedHatRepoToCPEs(s); err == nil && len(cpes) > 0 {
			return true
		}
	}
	cpes, err := db.RedHatNVRToCPEs(nvr)
	return nvr != "" && err == nil && len(cpes) > 0
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
