// Package osv reads entries of OSV that are about distributions which digestgate's own
// detector matches: openEuler's, and the profile of docs/advisories.md, with which an
// operator or a community describes a distribution that publishes nothing for machines.
// Entries of other ecosystems are read by scanner/advisory.
package osv

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// entry is one of OSV (https://ossf.github.io/osv-schema/), as far as it is used.
type entry struct {
	ID         string     `json:"id"`
	Modified   string     `json:"modified"`
	Published  string     `json:"published"`
	Withdrawn  string     `json:"withdrawn"`
	Aliases    []string   `json:"aliases"`
	Upstream   []string   `json:"upstream"`
	Summary    string     `json:"summary"`
	Details    string     `json:"details"`
	Severity   []severity `json:"severity"`
	Affected   []affected `json:"affected"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Specific json.RawMessage `json:"database_specific"`
}

type severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity []severity `json:"severity"`
	Ranges   []struct {
		Type   string  `json:"type"`
		Events []event `json:"events"`
	} `json:"ranges"`
	Versions []string        `json:"versions"`
	Specific json.RawMessage `json:"ecosystem_specific"`
}

type event struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
}

// profile are the fields under ecosystem_specific.digestgate.
type profile struct {
	Names  string   `json:"names"`  // source (default) or binary
	Module string   `json:"module"` // "nodejs:20"
	Arches []string `json:"arches"`
	Epochs *bool    `json:"epochs"` // true: no epoch in a version means 0
	Status string   `json:"status"` // without a fixed version: see statuses
}

var statuses = map[string]format.State{
	"": format.Affected, "affected": format.Affected, "not_affected": format.NotAffected, "under_investigation": format.UnderInvestigation,
	"will_not_fix": format.WillNotFix, "fix_deferred": format.FixDeferred, "end_of_life": format.EndOfLife,
}

// Ecosystems are those of an entry, each once; nil for another document.
func Ecosystems(data []byte) []string {
	var e struct {
		Affected []struct {
			Package struct {
				Ecosystem string `json:"ecosystem"`
			} `json:"package"`
		} `json:"affected"`
	}
	if json.Unmarshal(data, &e) != nil {
		return nil
	}
	var out []string
	for _, a := range e.Affected {
		if !slices.Contains(out, a.Package.Ecosystem) {
			out = append(out, a.Package.Ecosystem)
		}
	}
	return out
}

// Read reads one entry; only affected packages of whose ecosystem own is true are looked
// at, and an entry counts until the time at which it is withdrawn. Errors: gate.ErrInvalid
// with the field, and those of the sink.
func Read(data []byte, own func(ecosystem string) bool, now time.Time, sink format.Sink) error {
	var in entry
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("parsing JSON: %w: %w", err, gate.ErrInvalid)
	}
	if !format.ID(in.ID) {
		return fmt.Errorf("field id: got %s: %w", gate.Quoted(in.ID, 60), gate.ErrInvalid)
	}
	sink.Stated(format.Time(in.Modified))
	if at := format.Time(in.Withdrawn); !at.IsZero() && !at.After(now) {
		sink.Skip("withdrawn OSV entries")
		return nil
	}
	out := format.Entry{Advisory: in.ID, PublishedAt: format.Time(in.Published), ModifiedAt: format.Time(in.Modified), At: in.ID}
	for _, r := range in.References[:min(len(in.References), 100)] {
		out.References = append(out.References, r.URL)
	}
	severities := in.Severity
	for i, a := range in.Affected {
		if !own(a.Package.Ecosystem) {
			continue
		}
		severities = append(severities, a.Severity...)
		list, err := a.statements(in.ID, i, sink)
		if err != nil {
			return fmt.Errorf("field affected[%d].%w: %w", i, err, gate.ErrInvalid)
		}
		out.Statements = append(out.Statements, list...)
	}
	if len(out.Statements) == 0 {
		return nil
	}
	v := format.Vulnerability{
		Title: in.Summary, Description: strings.ReplaceAll(in.Details, `\r\n`, "\n"), PublishedAt: out.PublishedAt, Severity: in.word(),
	}
	for _, s := range severities {
		if strings.HasPrefix(s.Score, "CVSS:") && len(v.CVSS) < 10 {
			v.CVSS = append(v.CVSS, s.Score)
		}
	}
	for _, id := range in.cves() {
		v.ID = id
		out.Vulnerabilities = append(out.Vulnerabilities, v)
	}
	return sink.Entry(out)
}

// cves are those that the entry is about: aliases are the same flaw, upstream is its cause.
func (e *entry) cves() []string {
	var ids []string
	for _, id := range slices.Concat([]string{e.ID}, e.Aliases, e.Upstream) {
		if format.CVE(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return []string{e.ID}
	}
	slices.Sort(ids)
	return ids
}

func (e *entry) word() string {
	var s struct {
		Severity string `json:"severity"`
	}
	if len(e.Specific) > 0 && json.Unmarshal(e.Specific, &s) != nil {
		return ""
	}
	return s.Severity
}

// statements are what an affected package says; an error names the field.
func (a *affected) statements(id string, i int, sink format.Sink) ([]format.Statement, error) {
	var specific struct {
		Digestgate profile `json:"digestgate"`
	}
	if len(a.Specific) > 0 {
		if err := json.Unmarshal(a.Specific, &specific); err != nil {
			return nil, fmt.Errorf("ecosystem_specific: %w", err)
		}
	}
	p := specific.Digestgate
	s := format.Statement{Release: format.Release{a.Package.Ecosystem}, Names: format.Source, Package: a.Package.Name, Module: p.Module}
	state, ok := statuses[p.Status]
	switch {
	case !format.RPMName(a.Package.Name):
		return nil, fmt.Errorf("package.name: got %s", gate.Quoted(a.Package.Name, 60))
	case p.Names == "binary":
		s.Names = format.Binary
	case p.Names != "" && p.Names != "source":
		return nil, fmt.Errorf("ecosystem_specific.digestgate.names: got %s, want source or binary", gate.Quoted(p.Names, 40))
	}
	if !ok {
		return nil, fmt.Errorf("ecosystem_specific.digestgate.status: got %s, want affected, not_affected, under_investigation, will_not_fix, fix_deferred or end_of_life", gate.Quoted(p.Status, 40))
	}
	fixes, problem := a.fixed()
	if problem != "" {
		sink.Gap(format.Gap{What: "package " + a.Package.Name, Of: id, At: fmt.Sprintf("affected[%d]", i), Why: problem, Release: s.Release})
		return nil, nil
	}
	if len(fixes) > 0 && p.Status != "" {
		return nil, fmt.Errorf("ecosystem_specific.digestgate.status: got %s together with a fixed version", gate.Quoted(p.Status, 40))
	}
	list := []format.Statement{s}
	if len(fixes) == 0 {
		list[0].State = state
	} else {
		list = nil
	}
	for _, fixed := range fixes {
		s.State, s.Version = format.Fixed, fixed
		s.NoEpoch = !strings.Contains(fixed, ":") && (p.Epochs == nil || !*p.Epochs)
		list = append(list, s)
	}
	if len(p.Arches) == 0 {
		return list, nil
	}
	var out []format.Statement
	for _, s := range list {
		for _, arch := range p.Arches {
			s.Arch = arch
			out = append(out, s)
		}
	}
	return out, nil
}

// fixed are the versions with a fix, none where there is no fix; problem says why that is
// not known. Ranges and events have no order, and the last of several versions counts: it
// is found by the order of the bucket's packages, which is not known here.
func (a *affected) fixed() (fixes []string, problem string) {
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" {
			return nil, "a range is of type " + gate.Quoted(r.Type, 20) + ", and packages have versions of type ECOSYSTEM"
		}
		open := false
		// Of the first version nothing is earlier, wherever it is written.
		if i := slices.IndexFunc(r.Events, func(e event) bool { return e.Introduced == "0" }); i >= 0 {
			open = true
			r.Events = slices.Delete(slices.Clone(r.Events), i, i+1)
		}
		for _, e := range r.Events {
			switch {
			case e.Introduced != "":
				open = true
			case e.Fixed != "":
				if strings.ContainsFunc(e.Fixed, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || !strings.ContainsAny(e.Fixed, "0123456789") {
					return nil, "the fixed version is " + gate.Quoted(e.Fixed, 60)
				}
				fixes, open = append(fixes, e.Fixed), false
			}
		}
		if open {
			// Affected to this day, or to a version behind which nobody promises anything.
			return nil, ""
		}
	}
	if len(a.Ranges) == 0 {
		return nil, "it has no range of versions"
	}
	return fixes, ""
}
