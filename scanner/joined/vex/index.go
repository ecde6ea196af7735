package vex

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/alias"
)

// Index finds statements.
type Index struct {
	table *Table
	byID  map[string][]place
	purls []map[string]purl // of each source, read once
}

type place struct{ source, statement int }

// NewIndex makes the index of a table, which must not change any more.
func NewIndex(t *Table) *Index {
	x := &Index{table: t, byID: map[string][]place{}}
	for i := range t.Sources {
		read := map[string]purl{}
		note := func(text string) {
			if _, ok := read[text]; !ok {
				read[text], _ = parsePURL(text)
			}
		}
		for j := range t.Sources[i].Document.Statements {
			s := &t.Sources[i].Document.Statements[j]
			note(s.Component)
			if in := s.Inside; in != nil {
				note(in.Application)
				note(in.Component)
			}
			for _, id := range s.IDs {
				x.byID[id] = append(x.byID[id], place{i, j})
			}
		}
		x.purls = append(x.purls, read)
	}
	return x
}

// Table is what is indexed.
func (x *Index) Table() *Table { return x.table }

// States reports whether any statement is about a vulnerability.
func (x *Index) States(id string) bool {
	return len(x.byID) > 0 && len(x.byID[gate.CanonicalID(id)]) > 0
}

// subject is a finding as statements are compared with it.
type subject struct {
	gate.Whereabouts
	found, root purl
	// byAlias: its aliases are names of the one flaw that it is about, so that a statement
	// about one of them is about it.
	byAlias bool
}

// subjectOf is false for a finding that no statement can name exactly. The aliases of one
// that is known by an advisory of a distribution, or that has several CVEs, are those of
// several flaws, or may be: to take it out, a statement has to give the finding's own id.
func subjectOf(w gate.Whereabouts, v *gate.Vulnerability) (s subject, ok bool) {
	s.Whereabouts = w
	if s.found, ok = parsePURL(v.PURL); !ok {
		return s, false
	}
	s.root, _ = parsePURL(v.Root)
	cves := 0
	for name := range v.Names() {
		if alias.IsCVE(gate.CanonicalID(name)) {
			cves++
		}
	}
	s.byAlias = cves <= 1 && (alias.IsCVE(gate.CanonicalID(v.ID)) || !s.found.distribution())
	return s, true
}

// Hides is the statement that takes a finding out of the live ones at a time; ok is false
// when there is none. In each source the last word about a finding counts, and of two at
// one time the one that does not hide; where sources that count disagree, the finding is
// live. "fixed" never hides a package of a distribution: that its vendor's advisory names
// the installed version is why there is a finding.
func (x *Index) Hides(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (out gate.Statement, ok bool) {
	last := map[int]*Statement{}
	var about subject
	for name := range v.Names() {
		places := x.byID[gate.CanonicalID(name)]
		if len(places) == 0 {
			continue
		}
		if about.found.Name == "" {
			if about, ok = subjectOf(w, v); !ok {
				return out, false
			}
		}
		for _, p := range places {
			source := &x.table.Sources[p.source]
			s := &source.Document.Statements[p.statement]
			if !now.Before(source.Until()) || !counts(source.Repositories, w.Location) || !x.is(p.source, s, &about) {
				continue
			}
			if s.hides() && name != v.ID && !about.byAlias {
				continue
			}
			if old := last[p.source]; old == nil || s.At.After(old.At) || s.At.Equal(old.At) && !s.hides() {
				last[p.source] = s
			}
		}
	}
	best := -1
	for i, s := range last {
		if !s.hides() || s.Status == fixed && about.found.distribution() {
			return out, false
		}
		if best < 0 || i < best {
			best = i
		}
	}
	if best < 0 {
		return out, false
	}
	return x.stated(best, last[best], earliest(x.table, last)), true
}

// is reports whether a statement is about the component and the image of a finding.
func (x *Index) is(source int, s *Statement, about *subject) bool {
	if s.Digest != "" && s.Digest != about.Digest {
		return false
	}
	purls := x.purls[source]
	if in := s.Inside; in != nil {
		return about.root.Name != "" && purls[in.Application].covers(about.root) && purls[in.Component].covers(about.found)
	}
	return s.Component == "" && !s.hides() || purls[s.Component].covers(about.found)
}

// stated is a statement for people and rules.
func (x *Index) stated(i int, s *Statement, until time.Time) gate.Statement {
	source, component := &x.table.Sources[i], s.Component
	if s.Inside != nil {
		component = s.Inside.Component
	}
	return gate.Statement{
		Source: source.Name, Document: source.Document.ID, Author: source.Document.Author, At: s.At, Status: s.Status,
		Justification: s.Justification, Reason: s.Reason, Product: s.Product, Component: component, Until: until,
	}
}
