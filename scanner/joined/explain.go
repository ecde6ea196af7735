package joined

import (
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// Explained is a document that counts for nothing yet, as tables of its own.
type Explained struct {
	Effect gate.VEXEffect // without what is hidden
	Tables *Tables
	// Digests are the images that statements name; AnyImage says that some may be about
	// others too.
	Digests  []gate.Digest
	AnyImage bool
}

// Explain reads a document as if it were that of a configured source, or of one that
// counts everywhere and for ever for "". It need not be signed. gate.ErrInvalid: it is not
// a document, or no source has the name.
func Explain(document []byte, source string, configured []vex.Config, now time.Time) (Explained, error) {
	doc, err := vex.Read(document, now)
	if err != nil {
		return Explained{}, fmt.Errorf("reading the document: %w", err)
	}
	s := vex.Source{Name: "explained", Repositories: []string{"**"}, MaxAge: 100 * 365 * 24 * time.Hour, Document: *doc}
	if source != "" {
		i := slices.IndexFunc(configured, func(c vex.Config) bool { return c.Name == source })
		if i < 0 {
			return Explained{}, fmt.Errorf("no entry of advisories.vex is named %s: %w", gate.Quoted(source, 63), gate.ErrInvalid)
		}
		c := configured[i]
		s.Name, s.Repositories, s.MaxAge, s.Applications = c.Name, c.Repositories, c.MaxAge, c.Applications
	}
	s.Settle()
	doc = &s.Document
	e := Explained{
		Tables: NewTables(nil, nil, nil, &vex.Table{Sources: []vex.Source{s}}),
		Effect: gate.VEXEffect{
			Format: doc.Format, Document: doc.ID, Author: doc.Author, At: doc.At, Statements: len(doc.Statements), Refused: doc.Refused, Hidden: []gate.HiddenFinding{},
		},
	}
	for i := range doc.Statements {
		if d := doc.Statements[i].Digest; d != "" {
			e.Digests = append(e.Digests, d)
		} else {
			e.AnyImage = true
		}
	}
	slices.Sort(e.Digests)
	e.Digests = slices.Compact(e.Digests)
	return e, nil
}
