package vex

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Table is what all sources state.
type Table struct {
	Sources []Source `json:"sources"` // in the order of the configuration
}

// Source is one source with its document, and how far it counts.
type Source struct {
	Name         string        `json:"name"`
	Repositories []string      `json:"repositories"`
	MaxAge       time.Duration `json:"maxAge"`
	// Trusted is the file of the key, or the checksum, by which the document is the source's.
	Trusted string `json:"trusted"`
	// Checksum is that of the file, so that a change is seen.
	Checksum gate.Digest `json:"checksum"`
	Document Document    `json:"document"`
}

// Until is when the source is too old to count.
func (s *Source) Until() time.Time { return s.Document.At.Add(s.MaxAge) }

// Rows is how many statements there are.
func (t *Table) Rows() (n int) {
	for i := range t.Sources {
		n += len(t.Sources[i].Document.Statements)
	}
	return n
}

// UpdatedAt is the time of the newest document.
func (t *Table) UpdatedAt() (at time.Time) {
	for i := range t.Sources {
		if d := t.Sources[i].Document.At; d.After(at) {
			at = d
		}
	}
	return at
}

// Index finds statements.
type Index struct {
	table *Table
	byID  map[string][]place
	purls []map[string]purl // of the components of each source, read once
}

type place struct{ source, statement int }

// NewIndex makes the index of a table, which must not change any more.
func NewIndex(t *Table) *Index {
	x := &Index{table: t, byID: map[string][]place{}}
	for i := range t.Sources {
		read := map[string]purl{}
		for j := range t.Sources[i].Document.Statements {
			s := &t.Sources[i].Document.Statements[j]
			if _, ok := read[s.Component]; !ok {
				read[s.Component], _ = parsePURL(s.Component)
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

// Hides is the statement that takes a finding out of the live ones at a time; ok is false
// when there is none. In each source the last word about a finding counts, and of two at
// one time the one that does not hide; where sources that count disagree, the finding is
// live. "fixed" never hides a package of a distribution: that its vendor's advisory names
// the installed version is why there is a finding.
func (x *Index) Hides(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (out gate.Statement, ok bool) {
	places := x.byID[gate.CanonicalID(v.ID)]
	if len(places) == 0 {
		return out, false
	}
	found, known := parsePURL(v.PURL)
	if !known {
		return out, false
	}
	last := map[int]*Statement{}
	for _, p := range places {
		source := &x.table.Sources[p.source]
		s := &source.Document.Statements[p.statement]
		switch {
		case !now.Before(source.Until()) || !counts(source.Repositories, w.Location):
			continue
		case s.Digest != "" && s.Digest != w.Digest, s.Component != "" && !x.purls[p.source][s.Component].covers(found):
			continue
		}
		if old := last[p.source]; old == nil || s.At.After(old.At) || s.At.Equal(old.At) && !s.hides() {
			last[p.source] = s
		}
	}
	best := -1
	for i, s := range last {
		if !s.hides() || s.Status == fixed && found.distribution() {
			return out, false
		}
		if best < 0 || i < best {
			best = i
		}
	}
	if best < 0 {
		return out, false
	}
	source, s := &x.table.Sources[best], last[best]
	return gate.Statement{
		Source: source.Name, Document: source.Document.ID, Author: source.Document.Author, At: s.At, Status: s.Status,
		Justification: s.Justification, Reason: s.Reason, Product: s.Product, Component: s.Component, Until: earliest(x.table, last),
	}, true
}

// earliest is when the first of the sources that had a word is too old: then it has none
// any more, and the others may say something else.
func earliest(t *Table, last map[int]*Statement) (until time.Time) {
	for i := range last {
		if u := t.Sources[i].Until(); until.IsZero() || u.Before(until) {
			until = u
		}
	}
	return until
}

// Change is what a difference of two tables may touch: a vulnerability, in one image or in
// any.
type Change struct {
	ID     string
	Digest gate.Digest
}

// Changed lists what the difference of two tables touches, sorted, each once; nil stands
// for a table without statements.
func Changed(a, b *Table) []Change {
	before, after := stated(a), stated(b)
	touched := map[Change]bool{}
	collect := func(have, other map[string]int, of map[string]Statement) {
		for key, n := range have {
			if other[key] == n {
				continue
			}
			s := of[key]
			for _, id := range s.IDs {
				touched[Change{id, s.Digest}] = true
			}
		}
	}
	collect(before.count, after.count, before.of)
	collect(after.count, before.count, after.of)
	list := make([]Change, 0, len(touched))
	for c := range touched {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Change) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(string(a.Digest), string(b.Digest)))
	})
	return list
}

type statements struct {
	count map[string]int
	of    map[string]Statement
}

// stated are the statements of a table with all that they depend on.
func stated(t *Table) statements {
	s := statements{map[string]int{}, map[string]Statement{}}
	if t == nil {
		return s
	}
	for i := range t.Sources {
		src := &t.Sources[i]
		head, _ := json.Marshal([]any{src.Name, src.Repositories, src.Until(), src.Document.ID, src.Document.Author}) // texts, a time
		for _, one := range src.Document.Statements {
			text, _ := json.Marshal(one)
			key := string(head) + string(text)
			s.count[key]++
			s.of[key] = one
		}
	}
	return s
}
