package advisory

import (
	"fmt"
	"slices"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/aquasecurity/trivy-db/pkg/vulnsrc/vulnerability"
	debver "github.com/knqyf263/go-deb-version"

	"github.com/digestgate/digestgate/gate"
)

// ownFile is the format for what no published source says: the state of source
// packages in one release of Debian or Ubuntu, and details of vulnerabilities
// that other sources only name. docs/advisories.md describes it.
type ownFile struct {
	Distribution    string             `json:"distribution" yaml:"distribution"`
	Release         string             `json:"release" yaml:"release"`
	UpdatedAt       time.Time          `json:"updatedAt" yaml:"updatedAt"`
	Advisories      []ownAdvisory      `json:"advisories" yaml:"advisories"`
	Vulnerabilities []ownVulnerability `json:"vulnerabilities" yaml:"vulnerabilities"`
}

type ownAdvisory struct {
	Package      string   `json:"package" yaml:"package"`
	ID           string   `json:"id" yaml:"id"`
	FixedVersion string   `json:"fixedVersion" yaml:"fixedVersion"`
	Status       string   `json:"status" yaml:"status"`
	Severity     string   `json:"severity" yaml:"severity"`
	VendorIDs    []string `json:"vendorIDs" yaml:"vendorIDs"`
}

type ownVulnerability struct {
	ID          string    `json:"id" yaml:"id"`
	Source      string    `json:"source" yaml:"source"`
	Severity    string    `json:"severity" yaml:"severity"`
	CVSS        string    `json:"cvss" yaml:"cvss"`
	Title       string    `json:"title" yaml:"title"`
	Description string    `json:"description" yaml:"description"`
	References  []string  `json:"references" yaml:"references"`
	PublishedAt time.Time `json:"publishedAt" yaml:"publishedAt"`
}

// parseOwn reads a file of the format of docs/advisories.md; a field that it
// does not know is an error, because it may be a misspelt one.
func (c *collection) parseOwn(file string, doc document) error {
	var f ownFile
	if err := doc.decode(&f, true); err != nil {
		return err
	}
	if f.UpdatedAt.After(c.ages.now.Add(gate.ClockSkew)) {
		return fmt.Errorf("field updatedAt: %s is in the future", f.UpdatedAt.Format(time.RFC3339))
	}
	if f.Distribution != "" || f.Release != "" || len(f.Advisories) > 0 {
		name, source, err := debianBucket(f.Distribution, f.Release)
		if err != nil {
			return err
		}
		// Details of vulnerabilities alone have no age that matters: without an
		// advisory nothing is found.
		if gate.AgeKnown(f.UpdatedAt) {
			c.ages.stated(name, f.UpdatedAt)
		} else {
			c.ages.undated(file)
		}
		b := c.bucket(name, source)
		b.heard("digestgate", f.UpdatedAt)
		unaffected, first := 0, ""
		for i, a := range f.Advisories {
			adv, err := a.advisory()
			if err != nil {
				return fmt.Errorf("field advisories[%d].%w", i, err)
			}
			if adv.Status == types.StatusNotAffected {
				if unaffected++; first == "" {
					first = a.ID + " of " + a.Package
				}
				continue
			}
			b.put(a.Package, a.ID, adv, laterDebianFix)
		}
		for range unaffected {
			c.skip("statements not_affected in %s, the first %s: they hide nothing that another source states, a VEX document does", gate.Quoted(file, 60), first)
		}
	}
	for i, v := range f.Vulnerabilities {
		if err := c.addOwnDetail(v); err != nil {
			return fmt.Errorf("field vulnerabilities[%d].%w", i, err)
		}
	}
	return nil
}

func (a ownAdvisory) advisory() (types.Advisory, error) {
	severity, ok := parseSeverity(a.Severity)
	switch {
	case a.Package == "":
		return types.Advisory{}, fmt.Errorf("package: is empty")
	case !idPattern.MatchString(a.ID):
		return types.Advisory{}, fmt.Errorf("id: got %q", a.ID)
	case !ok:
		return types.Advisory{}, fmt.Errorf("severity: got %q, want CRITICAL, HIGH, MEDIUM, LOW or nothing", a.Severity)
	case a.FixedVersion != "" && a.Status != "" && a.Status != "fixed":
		return types.Advisory{}, fmt.Errorf("status: got %q together with fixedVersion %q", a.Status, a.FixedVersion)
	case a.FixedVersion == "" && (a.Status == "" || a.Status == "fixed"):
		return types.Advisory{}, fmt.Errorf("fixedVersion: is empty and so is status: say affected if there is no fix")
	case a.Status != "" && !slices.Contains(types.Statuses, a.Status):
		return types.Advisory{}, fmt.Errorf("status: got %q, want one of %q", a.Status, types.Statuses)
	}
	adv := types.Advisory{Severity: severity, FixedVersion: a.FixedVersion, VendorIDs: a.VendorIDs}
	if a.FixedVersion == "" {
		adv.Status = types.NewStatus(a.Status)
		return adv, nil
	}
	if _, err := debver.NewVersion(a.FixedVersion); err != nil {
		return adv, fmt.Errorf("fixedVersion: got %q: %w", a.FixedVersion, err)
	}
	return adv, nil
}

func (c *collection) addOwnDetail(v ownVulnerability) error {
	if !idPattern.MatchString(v.ID) {
		return fmt.Errorf("id: got %q", v.ID)
	}
	source := types.SourceID(v.Source)
	if source == "" {
		source = vulnerability.NVD
	}
	if !slices.Contains(vulnerability.AllSourceIDs, source) {
		return fmt.Errorf("source: got %q, want one that Trivy knows, such as nvd or debian", v.Source)
	}
	severity, ok := parseSeverity(v.Severity)
	if !ok {
		return fmt.Errorf("severity: got %q, want CRITICAL, HIGH, MEDIUM, LOW or nothing", v.Severity)
	}
	d := types.VulnerabilityDetail{
		Severity: severity, Title: v.Title, Description: v.Description,
		References: v.References, PublishedDate: timeOrNil(v.PublishedAt),
	}
	if v.CVSS != "" {
		if err := addCVSS(&d, v.CVSS); err != nil {
			return fmt.Errorf("cvss: %w", err)
		}
	}
	c.detail(v.ID, source, d)
	return nil
}
