package vex

import (
	"cmp"
	"encoding/json"
	"maps"
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
	// Applications is Config.Applications.
	Applications bool `json:"applications,omitempty"`
	// Images identifies the key whose documents count that are found beside images; "" for
	// none. A source may have only such documents: Document is the zero value then.
	Images string `json:"images,omitempty"`
}

// Until is when the source is too old to count.
func (s *Source) Until() time.Time { return s.Document.At.Add(s.MaxAge) }

// believes reports whether a statement counts that would hide: what an image says of itself
// is no reason where the operator does not say so.
func (s *Source) believes(one *Statement) bool {
	return one.Inside == nil || one.Digest != "" || s.Applications || !one.hides()
}

// Settle refuses the statements that the source is not believed.
func (s *Source) Settle() {
	kept := make([]Statement, 0, len(s.Document.Statements))
	refused := maps.Clone(s.Document.Refused)
	for i := range s.Document.Statements {
		if one := &s.Document.Statements[i]; s.believes(one) {
			kept = append(kept, *one)
			continue
		}
		if refused == nil {
			refused = map[string]int{}
		}
		refused[namedApplication]++
	}
	s.Document.Statements, s.Document.Refused = kept, refused
}

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

// OfImages reports whether a difference of two tables touches documents that are found
// beside images: which images have some is not known here.
func OfImages(a, b *Table) bool { return ofImages(a) != ofImages(b) }

func ofImages(t *Table) string {
	var list []any
	if t != nil {
		for i := range t.Sources {
			if s := &t.Sources[i]; s.Images != "" {
				list = append(list, []any{i, s.Name, s.Repositories, s.MaxAge, s.Images})
			}
		}
	}
	text, _ := json.Marshal(list) // texts and numbers
	return string(text)
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
		head, _ := json.Marshal([]any{src.Name, src.Repositories, src.Applications, src.Until(), src.Document.ID, src.Document.Author}) // texts, a time
		for _, one := range src.Document.Statements {
			text, _ := json.Marshal(one)
			key := string(head) + string(text)
			s.count[key]++
			s.of[key] = one
		}
	}
	return s
}
