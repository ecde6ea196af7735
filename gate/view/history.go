package view

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Histories are what changed on digests; see store.Records.
type Histories interface {
	// History returns entries of a digest, the newest first. gate.ErrStoreUnavailable:
	// answered 503.
	History(ctx context.Context, d gate.Digest, q gate.HistoryQuery) ([]gate.HistoryEntry, error)
}

// History is what changed on a digest, the newest first.
type History struct {
	Digest    gate.Digest      `json:"digest"`
	Platforms []PlatformDetail `json:"platforms" doc:"the images of an index, each of which has a history of its own; an index has none"`
	Entries   []HistoryEntry   `json:"entries"`
	Next      int64            `json:"next" doc:"value of before for the next page, 0 at the end"`
}

// HistoryEntry is one change.
type HistoryEntry struct {
	Number       int64           `json:"number" doc:"orders the entries of a digest; there are gaps"`
	At           time.Time       `json:"at"`
	Trigger      gate.Event      `json:"trigger" doc:"push, admission, rescan or check; empty where it is not known"`
	Generation   int64           `json:"generation" doc:"generation of the advisory data of the findings, 0 before there was data"`
	Findings     *FindingsChange `json:"findings" doc:"null: no finding changed"`
	Verdicts     []VerdictChange `json:"verdicts"`
	MoreVerdicts int             `json:"moreVerdicts" doc:"number of other verdicts that changed and are not listed"`
}

// FindingsChange compares findings with those before. Counts are of all, listed or not.
type FindingsChange struct {
	First            bool            `json:"first" doc:"the first findings of the image: all are new and none is listed"`
	Lost             bool            `json:"lost" doc:"the earlier findings could not be read, so nothing was compared"`
	Incomplete       bool            `json:"incomplete" doc:"fixed findings could not be determined"`
	Analysed         bool            `json:"analysed" doc:"the image was analysed again in between"`
	GenerationBefore int64           `json:"generationBefore"`
	Advisories       gate.Digest     `json:"advisories" doc:"content of the advisory data"`
	Unassessable     string          `json:"unassessable" doc:"why the advisories cannot judge the image"`
	CountsBefore     gate.Counts     `json:"countsBefore"`
	Counts           gate.Counts     `json:"counts"`
	Found            ChangedFindings `json:"found"`
	Fixed            ChangedFindings `json:"fixed"`
	Severity         []Regraded      `json:"severity"`
	MoreSeverity     int             `json:"moreSeverity"`
	Unseen           gate.Counts     `json:"unseen" doc:"earlier findings that are no longer seen, but may still apply"`
}

// ChangedFindings are findings that came or went, the worst first.
type ChangedFindings struct {
	Counts gate.Counts      `json:"counts"`
	List   []ChangedFinding `json:"list"`
}

// ChangedFinding is what the history keeps of a finding.
type ChangedFinding struct {
	ID               string        `json:"id"`
	Package          string        `json:"package"`
	InstalledVersion string        `json:"installedVersion"`
	FixedVersion     string        `json:"fixedVersion"`
	Type             string        `json:"type"`
	Path             string        `json:"path"`
	Severity         gate.Severity `json:"severity"`
	FirstSeen        *time.Time    `json:"firstSeen"`
}

// Regraded is a finding whose severity is another than before.
type Regraded struct {
	ChangedFinding
	Before gate.Severity `json:"before"`
}

// VerdictChange is the standing verdict of one location before and after.
type VerdictChange struct {
	Registry   string     `json:"registry"`
	Repository string     `json:"repository"`
	Before     VerdictRef `json:"before" doc:"without a decision when there was no verdict before"`
	After      VerdictRef `json:"after"`
}

// VerdictRef is what the history keeps of a verdict.
type VerdictRef struct {
	Decision gate.Outcome `json:"decision"`
	Code     gate.Code    `json:"code"`
	Rules    []string     `json:"rules" doc:"the rules that deny or warn"`
}

// History is the history of a digest. Errors: ErrDigestInvalid, ErrNotFound for a digest of
// which nothing is recorded, those of the store and the lists.
func (s Views) History(ctx context.Context, digest string, q gate.HistoryQuery) (History, error) {
	entry, err := s.entry(ctx, digest)
	if err != nil {
		return History{}, err
	}
	d := entry.Record.Digest
	v := History{Digest: d, Platforms: []PlatformDetail{}, Entries: []HistoryEntry{}}
	if entry.Record.Manifest.Kind == gate.KindIndex {
		detail, err := s.Detail(ctx, entry)
		if err != nil {
			return v, err
		}
		v.Platforms = orEmpty(detail.Platforms)
	}
	limit := q.Limit
	q.Limit++
	list, err := s.Histories.History(ctx, d, q)
	if err != nil {
		return v, err
	}
	for i := range list {
		if i == limit {
			v.Next = list[i-1].Number
			break
		}
		v.Entries = append(v.Entries, ofEntry(&list[i]))
	}
	return v, nil
}

func ofEntry(e *gate.HistoryEntry) HistoryEntry {
	v := HistoryEntry{
		Number: e.Number, At: e.At, Trigger: e.Event, Generation: e.Generation, Verdicts: []VerdictChange{}, MoreVerdicts: e.MoreVerdicts,
	}
	if f := e.Findings; f != nil {
		v.Findings = &FindingsChange{
			First: f.First, Lost: f.Lost, Incomplete: f.Incomplete, Analysed: f.Analysed, GenerationBefore: f.Before.Generation,
			Advisories: f.After.Advisories, Unassessable: f.After.Unassessable, CountsBefore: f.Before.Counts, Counts: f.After.Counts,
			Found: ofChanged(f.Found), Fixed: ofChanged(f.Fixed), Severity: []Regraded{}, MoreSeverity: f.MoreSeverity, Unseen: f.Unseen,
		}
		for i := range f.Severity {
			v.Findings.Severity = append(v.Findings.Severity, Regraded{changedFinding(&f.Severity[i].Vulnerability), f.Severity[i].Before})
		}
	}
	ref := func(r gate.VerdictRef) VerdictRef { return VerdictRef{r.Outcome, r.Code, orEmpty(r.Rules)} }
	for _, x := range e.Verdicts {
		v.Verdicts = append(v.Verdicts, VerdictChange{x.Location.Registry, x.Location.Repository, ref(x.Before), ref(x.After)})
	}
	return v
}

func ofChanged(c gate.ChangedFindings) ChangedFindings {
	v := ChangedFindings{c.Total, []ChangedFinding{}}
	for i := range c.List {
		v.List = append(v.List, changedFinding(&c.List[i]))
	}
	return v
}

func changedFinding(f *gate.Vulnerability) ChangedFinding {
	return ChangedFinding{f.ID, f.Package, f.InstalledVersion, f.FixedVersion, f.Type, f.Path, f.Severity, optional(f.FirstSeen)}
}
