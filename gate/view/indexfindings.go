package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// indexFindings puts the findings of all images of an index together. A finding
// that several have is shown once, with their platforms. gate.ErrNotFound when none
// of them has an inventory.
func (s Views) indexFindings(ctx context.Context, e gate.Entry, severity gate.Severity) (FindingsDetail, error) {
	r := e.Record
	view, err := s.shown(ctx, e, nil)
	if err != nil {
		return FindingsDetail{}, err
	}
	m := merged{found: map[string]int{}, secrets: map[string]int{}}
	m.Digest, m.Unassessable, m.Risks = r.Digest, r.Manifest.Unassessable, map[gate.Risk]gate.RiskStatus{}
	m.Hidden, m.Exploits = []gate.HiddenFinding{}, []Exploit{}
	m.Vulnerabilities, m.Secrets, m.Gaps = []gate.Vulnerability{}, []gate.Secret{}, []gate.Gap{}
	m.Errors, m.MoreErrors, m.Skipped = []gate.AnalyzerError{}, []gate.ErrorCount{}, []gate.Skip{}
	m.Platforms, m.NamedArchives = []PlatformFindings{}, []gate.NamedArchive{}
	seen := map[gate.Digest]FindingsDetail{} // one image may stand for several platforms
	for _, p := range view.Platforms {
		v, again := seen[p.Digest]
		if !again {
			if v, err = s.childFindings(ctx, p.Digest, severity); err != nil {
				return FindingsDetail{}, err
			}
			seen[p.Digest] = v
		}
		m.add(p, v, again)
	}
	if m.images == 0 {
		return FindingsDetail{}, fmt.Errorf("%s is an index, and none of its %d images has an inventory; its state is %s: %w",
			r.Digest.Short(), len(view.Platforms), view.State, gate.ErrNotFound)
	}
	if m.unmatched {
		m.MatchedAt = nil
	}
	return m.FindingsDetail, nil
}

// childFindings are those of an image of an index; the zero value without an
// inventory.
func (s Views) childFindings(ctx context.Context, d gate.Digest, severity gate.Severity) (FindingsDetail, error) {
	if !d.Valid() {
		return FindingsDetail{}, nil
	}
	e, err := gate.ReadEntry(ctx, s.Reader, d)
	if err != nil {
		return FindingsDetail{}, err
	}
	e.Record.Digest = d // of a record that was lost
	v, err := s.imageFindings(ctx, e, severity)
	if errors.Is(err, gate.ErrNotFound) {
		return FindingsDetail{}, nil
	}
	return v, err
}

// merged is the findings of an index in the making.
type merged struct {
	FindingsDetail
	images         int
	unmatched      bool           // an image that counts has no findings
	found, secrets map[string]int // where a finding is in its list
}

// add adds the image for one platform; again, its findings are those of a platform
// before.
func (m *merged) add(p PlatformDetail, v FindingsDetail, again bool) {
	m.Platforms = append(m.Platforms, v.platform(p))
	m.unmatched = m.unmatched || p.Judged && v.MatchedAt == nil
	if v.AnalyzedAt.IsZero() {
		return
	}
	for _, f := range v.Vulnerabilities {
		// The layer and the time are each image's own.
		key := f
		key.Layer, key.FirstSeen = "", gate.UnknownTime()
		m.Vulnerabilities = mergeOne(m.Vulnerabilities, m.found, key, f, p.Platform, func(one *gate.Vulnerability) *[]string { return &one.Platforms })
	}
	for _, f := range v.Secrets {
		key := f
		key.Layer = ""
		m.Secrets = mergeOne(m.Secrets, m.secrets, key, f, p.Platform, func(one *gate.Secret) *[]string { return &one.Platforms })
	}
	if again {
		return
	}
	m.Hidden = append(m.Hidden, v.Hidden...)
	m.Exploits = unionExploits(m.Exploits, v.Exploits)
	m.images++
	if m.images == 1 {
		m.AnalyzerSet, m.Isolation, m.OS = v.AnalyzerSet, v.Isolation, v.OS
	} else if m.AnalyzerSet != v.AnalyzerSet {
		m.AnalyzerSet = ""
	}
	if v.AnalyzedAt.After(m.AnalyzedAt) {
		m.AnalyzedAt = v.AnalyzedAt
	}
	if v.MatchedAt != nil && (m.MatchedAt == nil || v.MatchedAt.Before(*m.MatchedAt)) {
		m.MatchedAt = v.MatchedAt
	}
	if v.Advisories != nil && (m.Advisories == nil || v.Advisories.Generation < m.Advisories.Generation) {
		m.Advisories = v.Advisories
	}
	m.Packages += v.Packages
	m.Gaps, m.Errors = union(m.Gaps, v.Gaps), union(m.Errors, v.Errors)
	m.NamedArchives = union(m.NamedArchives, v.NamedArchives)
	m.MoreErrors, m.Skipped = append(m.MoreErrors, v.MoreErrors...), union(m.Skipped, v.Skipped)
	if m.Unassessable == "" && v.Unassessable != "" && p.Judged {
		m.Unassessable = p.Platform + ": " + v.Unassessable
	}
	m.addRisks(p, v.Risks)
}

// addRisks keeps the worst coverage of each risk.
func (m *merged) addRisks(p PlatformDetail, risks map[gate.Risk]gate.RiskStatus) {
	order := []gate.Coverage{gate.Complete, gate.NotLookedAt, gate.Partial, gate.Failed}
	for risk, status := range risks {
		if status.Reason != "" {
			status.Reason = p.Platform + ": " + status.Reason
		}
		before, known := m.Risks[risk]
		if !known || slices.Index(order, status.Coverage) > slices.Index(order, before.Coverage) {
			m.Risks[risk] = status
		}
	}
}

// mergeOne adds a finding of a platform to a list, or its platform to the one that
// is there.
func mergeOne[T any](list []T, at map[string]int, key, f T, platform string, platforms func(*T) *[]string) []T {
	id, err := json.Marshal(key)
	if err != nil {
		id = fmt.Appendf(nil, "%+v", key)
	}
	i, known := at[string(id)]
	if !known {
		i = len(list)
		at[string(id)] = i
		list = append(list, f)
	}
	names := platforms(&list[i])
	if !slices.Contains(*names, platform) {
		*names = append(*names, platform)
	}
	return list
}

// union adds what a list does not have.
func union[T comparable](list, more []T) []T {
	have := make(map[T]bool, len(list))
	for _, one := range list {
		have[one] = true
	}
	for _, one := range more {
		if !have[one] {
			have[one] = true
			list = append(list, one)
		}
	}
	return list
}
