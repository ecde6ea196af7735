package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// FindingsDetail is everything found in one platform's image, or in all images of
// an index together.
type FindingsDetail struct {
	Digest          gate.Digest                   `json:"digest"`
	AnalyzedAt      time.Time                     `json:"analyzedAt" doc:"of an index: of the last of its images"`
	AnalyzerSet     string                        `json:"analyzerSet" doc:"empty for an index whose images differ"`
	Isolation       gate.Isolation                `json:"isolation"`
	MatchedAt       *time.Time                    `json:"matchedAt" doc:"null: not matched yet, of an index at least one image that counts, which says nothing about vulnerabilities"`
	Advisories      *Advisories                   `json:"advisories" doc:"of an index: the oldest"`
	OS              gate.OS                       `json:"os" doc:"of an index: of its first image, see platforms"`
	Packages        int                           `json:"packages" doc:"of an index: of all its images"`
	Risks           map[gate.Risk]gate.RiskStatus `json:"risks" doc:"of an index: the worst of its images, with its platform in the reason"`
	Vulnerabilities []gate.Vulnerability          `json:"vulnerabilities"`
	Hidden          []gate.HiddenFinding          `json:"hidden" doc:"those of vulnerabilities that a VEX statement hides from the rules, with who states it and where; they stay in vulnerabilities"`
	Exploits        []Exploit                     `json:"exploits" doc:"what EPSS and CISA say of the vulnerabilities, each once"`
	Secrets         []gate.Secret                 `json:"secrets"`
	Gaps            []gate.Gap                    `json:"gaps" doc:"packages that no advisory source covers"`
	Errors          []gate.AnalyzerError          `json:"errors" doc:"what could not be read; each makes its risk partial"`
	MoreErrors      []gate.ErrorCount             `json:"moreErrors" doc:"errors that did not fit into the list, counted by kind"`
	Skipped         []gate.Skip                   `json:"skipped"`
	Unassessable    string                        `json:"unassessable"`
	NamedArchives   []gate.NamedArchive           `json:"namedArchives" doc:"Java archives that an index of Java archives has named, and how; fileName is a guess"`
	Platforms       []PlatformFindings            `json:"platforms" doc:"the images of an index, also those that have no findings yet; of an image itself alone"`
	Beside          *BesideDetail                 `json:"beside,omitempty" doc:"VEX documents beside the image in its registry; absent for an index, and where nothing is looked for"`

	known *gate.BesideVEX // what the findings have of it
}

// Exploit is what is known of the exploitation of a vulnerability.
type Exploit struct {
	ID   string               `json:"id"`
	EPSS *gate.EPSS           `json:"epss" doc:"null: it has no score"`
	KEV  *gate.KnownExploited `json:"kev" doc:"null: it is not in CISA's list, or there is none"`
}

// PlatformFindings says how far the image for one platform was looked at. What was
// found in it is in the lists that name its platform.
type PlatformFindings struct {
	PlatformDetail
	AnalyzedAt   *time.Time                    `json:"analyzedAt" doc:"null: nothing is known of what is in it"`
	MatchedAt    *time.Time                    `json:"matchedAt"`
	OS           gate.OS                       `json:"os"`
	Packages     int                           `json:"packages"`
	Risks        map[gate.Risk]gate.RiskStatus `json:"risks"`
	Unassessable string                        `json:"unassessable"`
}

// PlatformFindings is the view of the findings of one platform's image; ErrNotFound
// without an inventory.
func (s Views) PlatformFindings(ctx context.Context, d gate.Digest) (FindingsDetail, error) {
	entry, err := s.entry(ctx, string(d))
	if err != nil {
		return FindingsDetail{}, err
	}
	v, err := s.imageFindings(ctx, entry, "")
	if err == nil {
		v.Platforms = []PlatformFindings{v.platform(PlatformDetail{entry.Record.Manifest.Platform.String(), d, entry.State(), true})}
	}
	return v, err
}

// Findings is the view of the findings of an image or, for an index, of all its images
// together; of one severity only, unless that is "". Errors: ErrDigestInvalid,
// ErrNotFound without an inventory, those of the store and the lists.
func (s Views) Findings(ctx context.Context, text string, severity gate.Severity) (FindingsDetail, error) {
	entry, err := s.entry(ctx, text)
	if errors.Is(err, gate.ErrNotFound) {
		view, err := s.shown(ctx, entry, err)
		if err == nil {
			err = fmt.Errorf("%s has no inventory, its state is %s: %w", view.Digest.Short(), view.State, gate.ErrNotFound)
		}
		return FindingsDetail{}, err
	}
	if err != nil {
		return FindingsDetail{}, err
	}
	if entry.Record.Manifest.Kind == gate.KindIndex {
		return s.indexFindings(ctx, entry, severity)
	}
	v, err := s.imageFindings(ctx, entry, severity)
	if err == nil {
		p := PlatformDetail{entry.Record.Manifest.Platform.String(), v.Digest, entry.State(), true}
		v.Platforms = []PlatformFindings{v.platform(p)}
	}
	return v, err
}

// imageFindings reads what was found in one platform's image; gate.ErrNotFound
// without an inventory.
func (s Views) imageFindings(ctx context.Context, entry gate.Entry, severity gate.Severity) (FindingsDetail, error) {
	d := entry.Record.Digest
	inv, err := s.Reader.Inventory(ctx, d)
	if errors.Is(err, gate.ErrNotFound) {
		return FindingsDetail{}, fmt.Errorf("%s has no inventory, its state is %s: %w", d.Short(), entry.State(), gate.ErrNotFound)
	}
	if err != nil {
		return FindingsDetail{}, err
	}
	v := FindingsDetail{
		Digest: d, AnalyzedAt: inv.AnalyzedAt, AnalyzerSet: inv.AnalyzerSet, Isolation: inv.Isolation, OS: inv.OS,
		Packages: inv.PackageCount(), Risks: inv.Risks,
		Vulnerabilities: []gate.Vulnerability{}, Hidden: []gate.HiddenFinding{}, Exploits: []Exploit{}, Secrets: orEmpty(inv.Secrets), Gaps: []gate.Gap{}, NamedArchives: []gate.NamedArchive{},
		Errors: orEmpty(inv.Errors), MoreErrors: orEmpty(inv.MoreErrors), Skipped: orEmpty(inv.Skipped),
	}
	f, err := s.Reader.Findings(ctx, d)
	if errors.Is(err, gate.ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return FindingsDetail{}, err
	}
	if named := inv.Named(f); named != inv {
		v.Risks, v.Errors, v.MoreErrors = named.Risks, orEmpty(named.Errors), orEmpty(named.MoreErrors)
	}
	v.known = f.Beside
	v.Beside = besideDetail(inv.Beside)
	if f.Archives != nil {
		v.NamedArchives = orEmpty(f.Archives.Named)
	}
	v.MatchedAt, v.Advisories = &f.MatchedAt, s.advisories(&entry.Record, f)
	v.Gaps, v.Unassessable = orEmpty(f.Gaps), f.Unassessable
	for _, found := range f.Vulnerabilities {
		if severity == "" || found.Severity == severity {
			v.Vulnerabilities = append(v.Vulnerabilities, found)
		}
	}
	s.join(&v, &entry.Record)
	return v, nil
}

func (v *FindingsDetail) platform(p PlatformDetail) PlatformFindings {
	return PlatformFindings{p, optional(v.AnalyzedAt), v.MatchedAt, v.OS, v.Packages, v.Risks, v.Unassessable}
}
