package advisory

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/bucket"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	debver "github.com/knqyf263/go-deb-version"
)

// debianCodenames maps the releases that the tracker names to the numbers in
// os-release (https://www.debian.org/releases/). sid has no number and no
// image claims it.
var debianCodenames = map[string]string{
	"jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11",
	"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15",
}

func debianSource() types.DataSource {
	return types.DataSource{
		ID: vulnerability.Debian, Name: "Debian Security Tracker",
		URL: "https://salsa.debian.org/security-tracker-team/security-tracker",
	}
}

// trackerIssue is one vulnerability of one source package in
// https://security-tracker.debian.org/tracker/data/json.
type trackerIssue struct {
	Description string                    `json:"description"`
	Releases    map[string]trackerRelease `json:"releases"`
}

type trackerRelease struct {
	Status       string `json:"status"` // open, resolved, undetermined
	FixedVersion string `json:"fixed_version"`
	Urgency      string `json:"urgency"`
	NoDSA        string `json:"nodsa"`
	NoDSAReason  string `json:"nodsa_reason"` // ignored, postponed or ""
}

// parseTracker reads Debian's tracker: source package, vulnerability, release.
func (c *collection) parseTracker(doc document) error {
	var packages map[string]map[string]trackerIssue
	if err := doc.decode(&packages, false); err != nil {
		return err
	}
	// Sorted, because the text of the first package that names an issue stays.
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		if err := c.trackerPackage(pkg, packages[pkg]); err != nil {
			return err
		}
	}
	return nil
}

// trackerPackage files the issues of one source package.
func (c *collection) trackerPackage(pkg string, issues map[string]trackerIssue) error {
	for id, issue := range issues {
		if !idPattern.MatchString(id) {
			return fmt.Errorf("package %q: identifier %q", pkg, id)
		}
		known := false
		for codename, rel := range issue.Releases {
			number, ok := debianCodenames[codename]
			if !ok {
				c.skipped[fmt.Sprintf("issues of Debian release %q", codename)]++
				continue
			}
			b := c.bucket(bucket.NewDebian(number).Name(), debianSource())
			b.heard("Debian tracker", time.Time{})
			adv, affected, err := rel.advisory()
			if err != nil {
				return fmt.Errorf("package %q: %s: release %q: %w", pkg, id, codename, err)
			}
			if affected {
				b.put(pkg, id, adv, laterDebianFix)
				known = true
			}
		}
		if known {
			c.detail(id, vulnerability.Debian, types.VulnerabilityDetail{Title: issue.Description})
		}
	}
	return nil
}

// advisory is what the tracker says of one release; affected is false when the
// release never had the vulnerability.
func (r trackerRelease) advisory() (adv types.Advisory, affected bool, err error) {
	adv.Severity = debianUrgency(r.Urgency)
	switch r.Status {
	case "resolved":
		// The version "0" marks what never affected the release.
		if r.FixedVersion == "0" {
			return adv, false, nil
		}
		if _, err := debver.NewVersion(r.FixedVersion); err != nil {
			return adv, false, fmt.Errorf("field fixed_version %q: %w", r.FixedVersion, err)
		}
		adv.FixedVersion = r.FixedVersion
	case "open":
		adv.Status = types.StatusAffected
		switch {
		case r.Urgency == "end-of-life":
			adv.Status = types.StatusEndOfLife
		case r.NoDSAReason == "ignored":
			adv.Status = types.StatusWillNotFix
		case r.NoDSAReason == "postponed":
			adv.Status = types.StatusFixDeferred
		}
	case "undetermined":
		// Trivy's own database leaves these out too: nobody has looked yet.
		return adv, false, nil
	default:
		return adv, false, fmt.Errorf("field status: got %q, want open, resolved or undetermined", r.Status)
	}
	return adv, true, nil
}

// debianUrgency maps the tracker's urgencies as Trivy does. "unimportant" is
// low: the code is there, but not in what users run.
func debianUrgency(word string) types.Severity {
	s, _ := parseSeverity(strings.TrimRight(word, "*")) // "not yet assigned" and "end-of-life" grade nothing
	return s
}

// laterDebianFix joins two statements on one package: no fix is worse than a
// late one, and a late one worse than an early one.
func laterDebianFix(old, adv types.Advisory) types.Advisory {
	worse := old
	switch {
	case old.FixedVersion == "":
	case adv.FixedVersion == "":
		worse = adv
	default:
		a, errA := debver.NewVersion(old.FixedVersion)
		b, errB := debver.NewVersion(adv.FixedVersion)
		if errA == nil && errB == nil && a.LessThan(b) {
			worse = adv
		}
	}
	worse.Severity = max(old.Severity, adv.Severity)
	return worse
}

// releasePattern is a release as os-release writes it.
var releasePattern = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(-ESM)?$`)

// debianBucket names the bucket of a release of Debian or Ubuntu.
func debianBucket(distribution, release string) (name string, source types.DataSource, err error) {
	if !releasePattern.MatchString(release) {
		return "", source, fmt.Errorf("field release: got %q, want the number in os-release, such as 12 or 24.04", release)
	}
	switch distribution {
	case "debian":
		major, _, _ := strings.Cut(release, ".")
		return bucket.NewDebian(major).Name(), debianSource(), nil
	case "ubuntu":
		return bucket.NewUbuntu(release).Name(), types.DataSource{
			ID: vulnerability.Ubuntu, Name: "Ubuntu CVE Tracker", URL: "https://git.launchpad.net/ubuntu-cve-tracker",
		}, nil
	}
	return "", source, fmt.Errorf("field distribution: got %q, want debian or ubuntu", cmp.Or(distribution, `""`))
}
