package advisory

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/ecosystem"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/osv"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// idPattern is what may name a vulnerability: it becomes a key, a log line and
// part of URLs.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$`)

// osvSource is the data source of an entry: its identifier's prefix says who
// wrote it, and severities are kept under that name.
func osvSource(id string, eco ecosystem.Type) types.DataSource {
	switch prefix, _, _ := strings.Cut(id, "-"); prefix {
	case "GO":
		return types.DataSource{ID: vulnerability.GoVulnDB, Name: "The Go Vulnerability Database", URL: "https://pkg.go.dev/vuln/"}
	case "BIT":
		return types.DataSource{ID: vulnerability.BitnamiVulndb, Name: "Bitnami Vulnerability Database", URL: "https://github.com/bitnami/vulndb"}
	case "GHSA":
		return types.DataSource{
			ID: vulnerability.GHSA, Name: "GitHub Security Advisory " + eco.String(),
			URL: "https://github.com/advisories?query=type%3Areviewed",
		}
	default:
		return types.DataSource{ID: vulnerability.OSV, Name: "Open Source Vulnerability", URL: "https://osv.dev/"}
	}
}

// parseOSV reads one entry. An entry for several CVEs yields each of them;
// withdrawn entries and ecosystems that no detector reads are counted as
// skipped; a range that is not as the schema wants it is read as the wider one, and named.
func (c *collection) parseOSV(name string, doc document) error {
	var e osv.Entry
	if doc.yaml {
		return fmt.Errorf("OSV entries must be JSON")
	}
	if err := doc.decode(&e, false); err != nil {
		return err
	}
	if !idPattern.MatchString(e.ID) {
		return fmt.Errorf("field id: got %q", e.ID)
	}
	c.ages.stated(osvAge, e.Modified, e.Published)
	if e.Withdrawn != nil && !e.Withdrawn.After(c.ages.now) {
		c.skipped["withdrawn OSV entries"]++
		return nil
	}
	ids, vendorIDs, err := osvIDs(e)
	if err != nil {
		return err
	}
	var more distroAffected
	sources := map[types.SourceID]bool{}
	for i, affected := range e.Affected {
		odd := func(bucket string, r int, why oddRange) {
			c.gap(name, bucket, format.Gap{What: "package " + affected.Package.Name, Of: e.ID, At: fmt.Sprintf("affected[%d].ranges[%d]", i, r), Why: string(why)})
		}
		if d, bucket, ok := osvDistro(affected.Package.Ecosystem); ok {
			c.ages.stated(osvAge+" of "+withoutSuffix(affected.Package.Ecosystem), e.Modified, e.Published)
			if more.Affected == nil && d.binaries {
				more = readDistros(doc)
			}
			id, err := c.putDistro(d, bucket, i, e, more, ids, vendorIDs, func(r int, why oddRange) { odd(bucket, r, why) })
			if err != nil {
				return fmt.Errorf("field affected[%d].%w", i, err)
			}
			if id != "" {
				sources[id] = true
			}
			continue
		}
		eco, ok := osvEcosystem(affected.Package.Ecosystem)
		if !ok {
			c.skipped["packages of ecosystem "+gate.Quoted(withoutSuffix(affected.Package.Ecosystem), 40)]++
			continue
		}
		src := osvSource(e.ID, eco)
		adv, err := osvAdvisory(affected, func(r int, why oddRange) { odd(eco.String()+"::"+src.Name, r, why) })
		if err != nil {
			return fmt.Errorf("field affected[%d].%w", i, err)
		}
		if len(adv.VulnerableVersions) == 0 {
			c.skipped["packages of OSV entries with neither a version nor a range of versions"]++
			continue
		}
		sources[src.ID] = true
		bucket := c.bucket(eco.String()+"::"+src.Name, src)
		bucket.heard(kindOSV, e.Modified)
		adv.VendorIDs = vendorIDs
		for _, id := range ids {
			bucket.put(vulnerability.NormalizePkgName(eco, affected.Package.Name), id, adv, mergeRanges)
		}
	}
	if len(sources) == 0 {
		return nil // nothing in it that a detector would look up
	}
	c.alias(ids, vendorIDs...)
	detail, err := osvDetail(e)
	if err != nil {
		return err
	}
	for source := range sources {
		for _, id := range ids {
			c.detail(id, source, detail)
		}
	}
	return nil
}

// osvIDs are the identifiers that findings carry (the CVEs if there are any,
// as everywhere in Trivy) and the others.
func osvIDs(e osv.Entry) (ids, vendorIDs []string, err error) {
	for i, id := range append([]string{e.ID}, append(e.Aliases, e.Upstream...)...) {
		if !idPattern.MatchString(id) {
			return nil, nil, fmt.Errorf("field aliases[%d]: got %q", i-1, id)
		}
		if strings.HasPrefix(id, "CVE-") {
			ids = append(ids, id)
		} else {
			vendorIDs = append(vendorIDs, id)
		}
	}
	if len(ids) == 0 {
		return []string{e.ID}, slices.DeleteFunc(vendorIDs, func(id string) bool { return id == e.ID }), nil
	}
	slices.Sort(ids)
	return slices.Compact(ids), vendorIDs, nil
}

// osvAdvisory turns the ranges and versions of one affected package into
// Trivy's version constraints.
func osvAdvisory(a osv.Affected, odd func(r int, why oddRange)) (types.Advisory, error) {
	if a.Package.Name == "" {
		return types.Advisory{}, fmt.Errorf("package.name: is empty")
	}
	var adv types.Advisory
	for i, r := range a.Ranges {
		if r.Type == osv.RangeTypeGit {
			continue // commits, which no package manager knows
		}
		constraints, why := rangeConstraints(a.Package.Ecosystem, r)
		if why != "" {
			odd(i, why)
		}
		for _, c := range constraints {
			adv.VulnerableVersions = append(adv.VulnerableVersions, c.String())
		}
		for _, e := range r.Events {
			if e.Fixed != "" {
				adv.PatchedVersions = append(adv.PatchedVersions, e.Fixed)
			}
		}
		adv.VulnerableVersions = uncovered(adv.VulnerableVersions, constraints, a.Versions)
	}
	if len(a.Ranges) == 0 || len(adv.VulnerableVersions) == 0 {
		for _, v := range a.Versions {
			adv.VulnerableVersions = append(adv.VulnerableVersions, "="+v)
		}
	}
	return certain(adv), nil
}

// certain leaves out the versions with a fix where there are several ranges. The detectors
// take a package that has exactly one of them for not affected, also if another range says
// that the fix was not enough; and they find the versions to show in the ranges too.
func certain(adv types.Advisory) types.Advisory {
	if len(adv.VulnerableVersions) > 1 {
		adv.PatchedVersions = nil
	}
	return adv
}

// rangeConstraints turns the events of one range into intervals.
func rangeConstraints(eco string, r osv.Range) (out []osv.VersionRange, odd oddRange) {
	list, odd := intervals(r.Events, earlierIn(eco))
	for _, one := range list {
		constraint := osv.NewVersionRange(eco, one.from)
		switch {
		case one.fixed != "":
			constraint.SetFixed(one.fixed)
		case one.last != "":
			constraint.SetLastAffected(one.last)
		}
		out = append(out, constraint)
	}
	return out, odd
}

// uncovered adds the listed versions that no interval contains.
func uncovered(constraints []string, ranges []osv.VersionRange, versions []string) []string {
	for _, v := range versions {
		covered := slices.ContainsFunc(ranges, func(r osv.VersionRange) bool {
			ok, err := r.Contains(v)
			return err == nil && ok // a version that cannot be compared is listed by itself
		})
		if !covered {
			constraints = append(constraints, "="+v)
		}
	}
	return constraints
}

// mergeRanges joins two statements on one package: affected is what either
// says is affected.
func mergeRanges(old, adv types.Advisory) types.Advisory {
	add := func(a, b []string) []string {
		for _, s := range b {
			if !slices.Contains(a, s) {
				a = append(slices.Clip(a), s)
			}
		}
		return a
	}
	old.VulnerableVersions = add(old.VulnerableVersions, adv.VulnerableVersions)
	old.PatchedVersions = add(old.PatchedVersions, adv.PatchedVersions)
	old.VendorIDs = add(old.VendorIDs, adv.VendorIDs)
	return certain(old)
}

func osvDetail(e osv.Entry) (types.VulnerabilityDetail, error) {
	d := types.VulnerabilityDetail{Title: e.Summary, Description: e.Details}
	severities := slices.Clone(e.Severities)
	for _, a := range e.Affected {
		severities = append(severities, a.Severities...)
	}
	for i, s := range severities {
		if s.Type == "Ubuntu" {
			d.Severity, _ = parseSeverity(s.Score)
		}
		if s.Type != "CVSS_V3" && s.Type != "CVSS_V4" {
			continue
		}
		if err := addCVSS(&d, s.Score); err != nil {
			return d, fmt.Errorf("field severity[%d].score: %w", i, err)
		}
	}
	// GitHub grades in words besides.
	var specific struct {
		Severity string `json:"severity"`
	}
	if len(e.DatabaseSpecific) > 0 && json.Unmarshal(e.DatabaseSpecific, &specific) == nil && specific.Severity != "" {
		d.Severity, _ = parseSeverity(specific.Severity) // others may mean anything by that key
	}
	for _, r := range e.References {
		d.References = append(d.References, r.URL)
	}
	d.PublishedDate, d.LastModifiedDate = timeOrNil(e.Published), timeOrNil(e.Modified)
	return d, nil
}

func timeOrNil(t time.Time) *time.Time {
	if t.Year() < 1970 { // Go's database writes year 1 for "unknown"
		return nil
	}
	t = t.UTC()
	return &t
}
