package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Holdings know which images have a vulnerability; gate/catalog implements it.
type Holdings interface {
	// Affected lists images of a filter in the order of their digests; known says that any
	// image has the vulnerability. gate.ErrTimeout, gate.ErrResource: answered 503.
	Affected(ctx context.Context, f gate.AffectedFilter) (list []gate.ListedImage, known bool, err error)
}

// VulnerabilityQuery is a question for the images that a vulnerability affects; zero values
// do not filter.
type VulnerabilityQuery struct {
	ID         string
	Registry   string
	Repository string
	Severity   gate.Severity
	Decision   gate.Outcome
	Running    bool   // only images that admission was asked for lately
	Fixed      bool   // only where a version with a fix is known
	Cursor     string // the digest that the page before ended with
	Limit      int
}

// VulnerabilityDetail is a vulnerability with the images that it affects.
type VulnerabilityDetail struct {
	ID      string          `json:"id"`
	Aliases []string        `json:"aliases" doc:"other ids of the vulnerability in the findings of this page; each of them finds images"`
	Images  []AffectedImage `json:"images"`
	Next    string          `json:"next" doc:"cursor of the next page, empty at the end; a page may have fewer images than its limit, or none"`
}

// AffectedImage is one platform's image that has a vulnerability.
type AffectedImage struct {
	Image
	Running  bool              `json:"running" doc:"admission was asked for it lately: it runs, or was about to"`
	Packages []AffectedPackage `json:"packages"`
}

// AffectedPackage is a package in which a vulnerability was found.
type AffectedPackage struct {
	ID               string        `json:"id" doc:"id of the vulnerability in the advisory"`
	Name             string        `json:"name"`
	InstalledVersion string        `json:"installedVersion"`
	FixedVersion     string        `json:"fixedVersion" doc:"empty when no fix is known"`
	Type             string        `json:"type"`
	Path             string        `json:"path"`
	Severity         gate.Severity `json:"severity"`
	Status           string        `json:"status"`
	Source           string        `json:"source"`
	FirstSeen        time.Time     `json:"firstSeen"`
}

// affectedReads bounds the findings that one page reads where filters leave most out.
const affectedReads = 500

// maxAliases bounds the other ids that are shown.
const maxAliases = 50

// Vulnerability lists the images that a vulnerability affects. Errors: gate.ErrInvalid for
// what is not an id or a cursor, gate.ErrNotFound when no image has it, those of the store
// and the lists.
func (s Views) Vulnerability(ctx context.Context, q VulnerabilityQuery) (VulnerabilityDetail, error) {
	id, err := gate.VulnerabilityID(q.ID)
	if err != nil {
		return VulnerabilityDetail{}, err
	}
	v := VulnerabilityDetail{ID: id, Aliases: []string{}, Images: []AffectedImage{}}
	f := gate.AffectedFilter{
		ID: id, Registry: q.Registry, Repository: q.Repository, Decision: q.Decision, Limit: gate.MaxPage,
	}
	if f.After = gate.Digest(q.Cursor); q.Cursor != "" && !f.After.Valid() {
		return v, fmt.Errorf("cursor %s was not given out for this list: %w", gate.Quoted(q.Cursor, 60), gate.ErrInvalid)
	}
	running, err := s.running(ctx)
	if err != nil {
		return v, err
	}
	if q.Running {
		f.Only = []gate.Digest{}
		for d := range running {
			f.Only = append(f.Only, d)
		}
	}
	for reads := 0; ; {
		page, known, err := s.Holdings.Affected(ctx, f)
		if err != nil {
			return v, err
		}
		if !known {
			return v, fmt.Errorf("no scanned image has %s: check the id, try its other names (a GHSA or a vendor's id), "+
				"and see with \"digestgate advisories status\" whether the data is current: %w", id, gate.ErrNotFound)
		}
		for _, row := range page {
			if len(v.Images) == q.Limit || reads == affectedReads {
				v.Next = string(f.After)
				return v, nil
			}
			reads++
			image, err := s.affected(ctx, row, q, &v)
			if err != nil {
				return v, err
			}
			if f.After = row.Digest; image != nil {
				image.Running = running[row.Digest]
				v.Images = append(v.Images, *image)
			}
		}
		if len(page) < f.Limit {
			return v, nil
		}
	}
}

// running are the digests that admission was asked for lately.
func (s Views) running(ctx context.Context) (map[gate.Digest]bool, error) {
	if s.Asked == nil {
		return nil, nil
	}
	list, err := s.Asked(ctx)
	if err != nil {
		return nil, err
	}
	at := make(map[gate.Digest]bool, len(list))
	for _, d := range list {
		at[d] = true
	}
	return at, nil
}

// affected is the row of one image, nil when no package is left or its findings are other
// ones by now.
func (s Views) affected(ctx context.Context, row gate.ListedImage, q VulnerabilityQuery, v *VulnerabilityDetail) (*AffectedImage, error) {
	found, err := s.Reader.Findings(ctx, row.Digest)
	if errors.Is(err, gate.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var packages []AffectedPackage
	for i := range found.Vulnerabilities {
		f := &found.Vulnerabilities[i]
		if f.ID != v.ID && !slices.Contains(f.Aliases, v.ID) || q.Severity != "" && f.Severity != q.Severity || q.Fixed && f.FixedVersion == "" {
			continue
		}
		for name := range f.Names() {
			if name != v.ID && !slices.Contains(v.Aliases, name) && len(v.Aliases) < maxAliases {
				v.Aliases = append(v.Aliases, name)
			}
		}
		packages = append(packages, AffectedPackage{
			f.ID, f.Package, f.InstalledVersion, f.FixedVersion, f.Type, f.Path, f.Severity, f.Status, f.Source, f.FirstSeen,
		})
	}
	if len(packages) == 0 {
		return nil, nil
	}
	return &AffectedImage{Image: OfListed(row), Packages: packages}, nil
}
