package vex

import (
	"time"

	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/digestgate/digestgate/gate"
)

// readOpenVEX reads OpenVEX 0.2.0. Which statement is about what is decided here: the
// library's own match takes a product without components, or a package URL without a
// version, for everything.
func readOpenVEX(text []byte, now time.Time) (*Document, error) {
	in, err := openvex.Parse(text)
	if err != nil {
		return nil, invalid("it is not OpenVEX: %w", err)
	}
	c := newCollector("OpenVEX", now)
	c.doc.ID, c.doc.Author = gate.Printable(in.ID, maxText), gate.Printable(in.Author, maxText)
	c.doc.At = newer(in.Timestamp, in.LastUpdated)
	if c.doc.At.IsZero() {
		return nil, invalid("it has no timestamp, so that its age is not known")
	}
	for i := range in.Statements {
		s := &in.Statements[i]
		l := claim{
			status: string(s.Status), justification: string(s.Justification), reason: s.ImpactStatement,
			at: newer(s.Timestamp, s.LastUpdated),
		}
		if l.reason == "" {
			l.reason = s.StatusNotes
		}
		if s.Status == openvex.StatusNotAffected && s.Justification == "" {
			l.reason = s.ImpactStatement // notes are no reason
		}
		if s.Justification != "" && !s.Justification.Valid() {
			l.justification = ""
		}
		l.ids = append(l.ids, string(s.Vulnerability.Name), s.Vulnerability.ID)
		for _, a := range s.Vulnerability.Aliases {
			l.ids = append(l.ids, string(a))
		}
		if s.Vulnerability.Name != "" {
			l.ids = append(l.ids[:1], l.ids[2:]...) // @id is a link then
		}
		if len(s.Products) == 0 {
			c.refuse(noProduct)
		}
		for _, p := range s.Products {
			l.product, l.component = identityOf(p.Component), nil
			if len(p.Subcomponents) == 0 {
				c.add(l)
			}
			for _, sub := range p.Subcomponents {
				component := identityOf(sub.Component)
				l.component = &component
				c.add(l)
			}
		}
	}
	return c.done()
}

func identityOf(c openvex.Component) identity {
	i := identity{purl: c.Identifiers[openvex.PURL], name: c.ID, sha256: string(c.Hashes[openvex.SHA256])}
	if i.purl == "" {
		if _, ok := parsePURL(c.ID); ok {
			i.purl = c.ID
		}
	}
	return i
}

// newer is the later of two times, the zero time when there is none.
func newer(times ...*time.Time) (last time.Time) {
	for _, t := range times {
		if t != nil && t.After(last) {
			last = t.UTC()
		}
	}
	return last
}
