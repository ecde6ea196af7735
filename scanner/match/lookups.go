package match

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aquasecurity/trivy-db/pkg/ecosystem"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	"github.com/aquasecurity/trivy/pkg/detector/library"
	ftypes "github.com/aquasecurity/trivy/pkg/fanal/types"
	"github.com/aquasecurity/trivy/pkg/types"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/inventory"
)

// LookupsFormat counts up when [Matcher.Lookups] names other places for the same
// image: what was kept of them is made again.
const LookupsFormat = 3

// class is what all packages of an image depend on together. Its JSON is
// gate.Lookups.Class.
type class struct {
	// Always: nothing is known that would show that findings stay.
	Always bool `json:"always,omitempty"`
	// OS and Repository decide, with the date, which Bucket a detector reads, and
	// whether the release is past its end of life.
	OS         ftypes.OS `json:"os,omitzero"`
	Repository string    `json:"repository,omitempty"`
	Bucket     string    `json:"bucket,omitempty"`
	EOL        bool      `json:"eol,omitempty"`
	// Prefixes begin the names of the buckets whose coming and going touches the image.
	Prefixes []string `json:"prefixes,omitempty"`
	// Broad: a package of any bucket with such a prefix touches it too, because it is
	// not exactly known which are read.
	Broad bool `json:"broad,omitempty"`
	// RedHat: the mapping from content sets to products decides what is read.
	RedHat bool `json:"redHat,omitempty"`
	// Archives: an index of Java archives was or may be asked.
	Archives bool `json:"archives,omitempty"`
	// Named is a hash of what it said, whose packages are among the libraries.
	Named string `json:"named,omitempty"`
}

func (c class) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts and booleans always marshal
	}
	return string(text)
}

// Lookups names the places of the advisory data on which findings of an inventory
// depend. They are a superset of what the detectors read: each package is looked up
// under every name that a detector might use. f are findings of this inventory.
func (m *Matcher) Lookups(inv *gate.Inventory, f *gate.Findings) gate.Lookups {
	if inv == nil || f == nil || f.Unassessable != "" || f.Archives != nil && f.Archives.Problem != "" || f.Matcher != m.version {
		// An image that could not be judged may be judged by the next data, and
		// one that a detector failed on depends on more than what it has read.
		return gate.Lookups{Class: class{Always: true}.String()}
	}
	target := inventory.ScanTarget(inv)
	c := distributionClass(target, f)
	l := gate.Lookups{}
	for _, p := range target.Packages {
		l.Packages = appendNames(l.Packages, c.Bucket, p)
	}
	for _, app := range target.Applications {
		d, ok := library.NewDriver(app.Type)
		if !ok {
			continue // never looked up
		}
		eco := d.Type() + "::"
		c.Prefixes = append(c.Prefixes, eco, "seal "+eco)
		for _, p := range app.Packages {
			l.Libraries = append(l.Libraries, packageKey(eco, vulnerability.NormalizePkgName(ecosystem.Type(d.Type()), p.Name)))
		}
	}
	if n := len(l.Libraries); len(inv.Archives) > 0 {
		if l.Libraries = appendArchives(l.Libraries, inv, f); len(l.Libraries) > n {
			c.Prefixes = append(c.Prefixes, mavenPrefix, "seal "+mavenPrefix)
			c.Archives, c.Named = true, f.Archives.Alike()
		}
	}
	l.Vulnerabilities = names(f)
	c.Prefixes = set(c.Prefixes)
	l.Packages, l.Libraries, l.Vulnerabilities = set(l.Packages), set(l.Libraries), set(l.Vulnerabilities)
	l.Class = c.String()
	return l
}

// LookupsAgain is what Lookups would say of an inventory of a class with other findings,
// without its packages and libraries, which are those that it has said; ok is false where
// only the inventory tells.
func (m *Matcher) LookupsAgain(text string, f *gate.Findings) (l gate.Lookups, ok bool) {
	var c class
	if f == nil || f.Unassessable != "" || f.Matcher != m.version || json.Unmarshal([]byte(text), &c) != nil || c.Always || c.Archives && c.Named != f.Archives.Alike() {
		return l, false
	}
	if c.OS.Family != "" {
		if bucket, known := c.bucket(); !known || !c.Broad && bucket != c.Bucket {
			return l, false // it depends on the day
		}
		c.EOL = f.EOL
	}
	l.Vulnerabilities, l.Class = set(names(f)), c.String()
	return l, true
}

// names are all names of the vulnerabilities.
func names(f *gate.Findings) (list []string) {
	for i := range f.Vulnerabilities {
		list = slices.AppendSeq(list, f.Vulnerabilities[i].Names())
	}
	return list
}

func set(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// packageKey names the advisories of a package: those of one release of a
// distribution, or those of all sources of an ecosystem ("pip::"), which the detectors
// read together.
func packageKey(bucket, name string) string { return bucket + "\x00" + name }

// appendNames adds every name under which some detector looks a package up: binary or
// source, of a module or not. No name is left out because the detector of the family
// does not use it today.
func appendNames(keys []string, bucket string, p ftypes.Package) []string {
	for _, name := range []string{p.Name, p.SrcName} {
		if name == "" {
			continue
		}
		keys = append(keys, packageKey(bucket, name))
		if p.Modularitylabel == "" {
			continue
		}
		// As addModularNamespace of the detectors: nodejs:12:8030…:229f0a1c and npm
		// make nodejs:12::npm. The own detector takes nodejs:12 too.
		if parts := strings.SplitN(p.Modularitylabel, ":", 3); len(parts) >= 2 {
			keys = append(keys, packageKey(bucket, parts[0]+":"+parts[1]+"::"+name))
		}
	}
	return keys
}

// distributionClass is the class of an image without its applications.
func distributionClass(target types.ScanTarget, f *gate.Findings) class {
	if target.OS.Family == "" {
		return class{} // no detector of a distribution runs
	}
	c := class{OS: target.OS, EOL: f.EOL}
	if target.Repository != nil {
		c.Repository = string(target.Repository.Family) + " " + target.Repository.Release
	}
	drv := supplier(target.OS, target.Packages)
	bucket, known := c.bucket()
	switch {
	case !known || strings.Contains(bucket, "::"):
		// Findings without a problem of a family without a bucket, or of one that
		// reads several: not exactly known.
		return class{Always: true}
	case drv != nil:
		return supplied(c)
	}
	c.Bucket, c.Prefixes = bucket, []string{family(bucket)}
	c.RedHat = bucket == redHatBucket
	return c
}

// supplied is the class of an image whose packages a third party has rebuilt: its
// detector chooses buckets by the version of each package, and asks that of the
// distribution besides.
func supplied(c class) class {
	if c.OS.Extended {
		return class{Always: true} // the date decides too, and only this detector knows how
	}
	bucket, _ := c.bucket()
	c.Broad, c.RedHat = true, bucket == redHatBucket
	c.Prefixes = []string{"rapidfort ", "root.io ", "seal ", family(bucket)}
	return c
}

const redHatBucket = "Red Hat"

// bucket is what the detector of the distribution reads today.
func (c class) bucket() (name string, known bool) {
	if c.OS.Family == ftypes.RedHat || c.OS.Family == ftypes.CentOS {
		return redHatBucket, true
	}
	release := c.OS.Name
	if c.OS.Extended {
		release += "-ESM" // as releaseProblem
	}
	target := types.ScanTarget{OS: c.OS}
	if fam, rel, ok := strings.Cut(c.Repository, " "); ok {
		target.Repository = &ftypes.Repository{Family: ftypes.OSType(fam), Release: rel}
	}
	name, known = releaseBucket(target, release)
	return name, known && name != ""
}

// family is what the names of the buckets of all releases of a distribution begin
// with: "debian" of "debian 12", "amazon linux" of "amazon linux 2023". A longer text
// than is right would touch too few, so that only what looks like a release is cut.
func family(bucket string) string {
	fields := strings.Fields(bucket)
	for n := len(fields) - 1; n > 0; n-- {
		if strings.ContainsAny(fields[n], "0123456789") || fields[n] == "edge" {
			fields = fields[:n]
		}
	}
	return strings.Join(fields, " ")
}
