package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// FindingsDetail is everything found in one platform's image.
type FindingsDetail struct {
	Digest          gate.Digest                   `json:"digest"`
	AnalyzedAt      time.Time                     `json:"analyzedAt"`
	AnalyzerSet     string                        `json:"analyzerSet"`
	Isolation       gate.Isolation                `json:"isolation"`
	MatchedAt       *time.Time                    `json:"matchedAt" doc:"null: not matched yet, which says nothing about vulnerabilities"`
	Advisories      *Advisories                   `json:"advisories"`
	OS              gate.OS                       `json:"os"`
	Packages        int                           `json:"packages"`
	Risks           map[gate.Risk]gate.RiskStatus `json:"risks"`
	Vulnerabilities []gate.Vulnerability          `json:"vulnerabilities"`
	Secrets         []gate.Secret                 `json:"secrets"`
	Gaps            []gate.Gap                    `json:"gaps" doc:"packages that no advisory source covers"`
	Errors          []gate.AnalyzerError          `json:"errors" doc:"what could not be read; each makes its risk partial"`
	MoreErrors      []gate.ErrorCount             `json:"moreErrors" doc:"errors that did not fit into the list, counted by kind"`
	Skipped         []gate.Skip                   `json:"skipped"`
	Unassessable    string                        `json:"unassessable"`
}

type getFindingsInput struct {
	// Not embedded: huma does not look into unexported types.
	Digest   string `path:"digest" maxLength:"80" example:"sha256:…"`
	Severity string `query:"severity" enum:"CRITICAL,HIGH,MEDIUM,LOW,UNKNOWN" doc:"only vulnerabilities of this severity"`
}

type getFindingsOutput struct{ Body FindingsDetail }

func (s *server) getFindings(ctx context.Context, in *getFindingsInput) (*getFindingsOutput, error) {
	v, err := s.findings(ctx, in.Digest, gate.Severity(in.Severity))
	if err != nil {
		return nil, s.problem(ctx, "reading the findings", err)
	}
	return &getFindingsOutput{v}, nil
}

// Findings computes what the API shows of the findings of one platform's image.
// gate.ErrNotFound without an inventory.
func Findings(ctx context.Context, r Reader, d gate.Digest) (FindingsDetail, error) {
	return (&server{Options{Reader: r}}).findings(ctx, string(d), "")
}

func (s *server) findings(ctx context.Context, text string, severity gate.Severity) (FindingsDetail, error) {
	entry, err := s.entry(ctx, text)
	if err != nil {
		return FindingsDetail{}, err
	}
	d := entry.Record.Digest
	inv, err := s.Reader.Inventory(ctx, d)
	if errors.Is(err, gate.ErrNotFound) {
		if entry.Record.Manifest.Kind == gate.KindIndex {
			return FindingsDetail{}, fmt.Errorf("%s is an index, ask for one of its platforms: %w", d.Short(), gate.ErrNotFound)
		}
		return FindingsDetail{}, fmt.Errorf("%s has no inventory, its state is %s: %w", d.Short(), entry.State(), gate.ErrNotFound)
	}
	if err != nil {
		return FindingsDetail{}, err
	}
	v := FindingsDetail{
		Digest: d, AnalyzedAt: inv.AnalyzedAt, AnalyzerSet: inv.AnalyzerSet, Isolation: inv.Isolation, OS: inv.OS,
		Packages: inv.PackageCount(), Risks: inv.Risks,
		Vulnerabilities: []gate.Vulnerability{}, Secrets: orEmpty(inv.Secrets), Gaps: []gate.Gap{},
		Errors: orEmpty(inv.Errors), MoreErrors: orEmpty(inv.MoreErrors), Skipped: orEmpty(inv.Skipped),
	}
	f, err := s.Reader.Findings(ctx, d)
	if errors.Is(err, gate.ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return FindingsDetail{}, err
	}
	v.MatchedAt, v.Advisories = &f.MatchedAt, &Advisories{f.Generation, f.UpdatedAt}
	v.Gaps, v.Unassessable = orEmpty(f.Gaps), f.Unassessable
	for _, found := range f.Vulnerabilities {
		if severity == "" || found.Severity == severity {
			v.Vulnerabilities = append(v.Vulnerabilities, found)
		}
	}
	return v, nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
