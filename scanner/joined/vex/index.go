package vex

import (
	"iter"
	"slices"
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
	beside, _ := w.Beside.(*Beside)
	last := map[int]word{}
	var about subject
	for name := range v.Names() {
		id := gate.CanonicalID(name)
		if len(x.byID[id]) == 0 && (beside == nil || len(beside.byID[id]) == 0) {
			continue
		}
		if about.found.Name == "" {
			if about, ok = subjectOf(w, v); !ok {
				return out, false
			}
		}
		for one := range x.words(id, beside) {
			if !now.Before(one.until) || !counts(x.table.Sources[one.source].Repositories, w.Location) || !x.table.Sources[one.source].believes(one.Statement) || !one.is(&about) {
				continue
			}
			if one.hides() && name != v.ID && !about.byAlias {
				continue
			}
			if old, ok := last[one.source]; !ok || one.At.After(old.At) || one.At.Equal(old.At) && !one.hides() {
				last[one.source] = one
			}
		}
	}
	best := -1
	var until time.Time // when the first of the sources has no word any more
	for i, one := range last {
		if !one.hides() || one.Status == fixed && about.found.distribution() {
			return out, false
		}
		if best < 0 || i < best {
			best = i
		}
		if until.IsZero() || one.until.Before(until) {
			until = one.until
		}
	}
	if best < 0 {
		return out, false
	}
	return x.stated(last[best], until), true
}

// word is a statement of a source.
type word struct {
	*Statement
	source                 int
	document               *Document
	until                  time.Time // when it is too old
	component, application purl
}

// words are the statements about a vulnerability, of documents that sources have and of
// those that are beside the image and by a source's key.
func (x *Index) words(id string, beside *Beside) iter.Seq[word] {
	return func(yield func(word) bool) {
		for _, p := range x.byID[id] {
			source := &x.table.Sources[p.source]
			s := &source.Document.Statements[p.statement]
			one := word{Statement: s, source: p.source, document: &source.Document, until: source.Until(), component: x.purls[p.source][s.Component]}
			if in := s.Inside; in != nil {
				one.component, one.application = x.purls[p.source][in.Component], x.purls[p.source][in.Application]
			}
			if !yield(one) {
				return
			}
		}
		if beside == nil {
			return
		}
		for _, b := range beside.byID[id] {
			i := slices.IndexFunc(x.table.Sources, func(s Source) bool { return s.Name == b.source && s.Images != "" && s.Images == b.trusted })
			if i < 0 {
				continue // not a source any more, or it has another key
			}
			one := word{
				Statement: b.statement, source: i, document: b.document, until: b.document.At.Add(x.table.Sources[i].MaxAge),
				component: b.component, application: b.application,
			}
			if !yield(one) {
				return
			}
		}
	}
}

// is reports whether a statement is about the component and the image of a finding.
func (s *word) is(about *subject) bool {
	switch {
	case s.Digest != "" && s.Digest != about.Digest:
		return false
	case s.Inside != nil:
		return about.root.Name != "" && s.application.covers(about.root) && s.component.covers(about.found)
	}
	return s.Component == "" && !s.hides() || s.component.covers(about.found)
}

// stated is a statement for people and rules.
func (x *Index) stated(s word, until time.Time) gate.Statement {
	component := s.Component
	if s.Inside != nil {
		component = s.Inside.Component
	}
	return gate.Statement{
		Source: x.table.Sources[s.source].Name, Document: s.document.ID, Author: s.document.Author, At: s.At, Status: s.Status,
		Justification: s.Justification, Reason: s.Reason, Product: s.Product, Component: component, Until: until,
	}
}
