package vex

import (
	"bytes"
	"errors"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/csaf"
)

// maxNesting bounds how deep branches, components and values are nested: real ones have
// five levels.
const maxNesting = 64

// csafReader keeps of a document what statements are made of once all of it is read.
type csafReader struct {
	tree   csafTree
	claims []csafClaim
}

// csafClaim is a claim about a product by its id.
type csafClaim struct {
	claim
	id string
}

// csafTree are the products by their ids, and what is part of what.
type csafTree struct {
	products map[string]identity
	parts    map[string]csafPart
}

type csafPart struct{ component, of string }

func (t *csafTree) product(p csaf.Product) error {
	i := identity{purl: p.Helper.PURL, name: p.Name}
	for _, u := range p.Helper.PURLs {
		i.addPURL(u)
	}
	for _, h := range p.Helper.Hashes {
		for _, f := range h.Files {
			if f.Algorithm == "sha256" {
				i.addSHA256(f.Value)
			}
		}
	}
	if old, ok := t.products[p.ID]; ok && old != i { // mandatory test 6.1.2 of CSAF
		return invalid("it describes the product %s twice", gate.Quoted(p.ID, 100))
	}
	t.products[p.ID] = i
	return nil
}

func (t *csafTree) relation(r csaf.Relation) error {
	part := csafPart{r.Part, r.Whole}
	if old, ok := t.parts[r.Product.ID]; ok && old != part {
		return invalid("it has two relationships for the product %s", gate.Quoted(r.Product.ID, 100))
	}
	t.parts[r.Product.ID] = part
	return nil
}

// csafStatuses are the words of product_status, and what they are in OpenVEX.
var csafStatuses = map[string]string{
	"known_not_affected": notAffected, "fixed": fixed, "first_fixed": fixed, "under_investigation": underInvestigation,
	"known_affected": affected, "first_affected": affected, "last_affected": affected,
}

func (c *csafReader) vulnerability(v *csaf.Vulnerability) error {
	ids := []string{v.CVE}
	for _, id := range v.IDs {
		ids = append(ids, id.Text)
	}
	labels, reasons := map[string]string{}, map[string]string{}
	for _, f := range v.Flags {
		for _, id := range f.Products {
			labels[id] = f.Label
		}
	}
	for _, t := range v.Threats {
		for _, id := range t.Products {
			if t.Category == "impact" {
				reasons[id] = t.Details
			}
		}
	}
	for word, products := range v.Status {
		status, ok := csafStatuses[word]
		if !ok {
			continue // such as recommended: it states nothing about the installed version
		}
		for _, id := range products {
			c.claims = append(c.claims, csafClaim{claim{ids: ids, status: status, justification: labels[id], reason: reasons[id]}, id})
		}
	}
	return nil
}

// readCSAF reads the statements of a document of the VEX profile.
func readCSAF(text []byte, now time.Time) (*Document, error) {
	r := csafReader{tree: csafTree{products: map[string]identity{}, parts: map[string]csafPart{}}}
	limits := format.Limits{Bytes: MaxDocument, Depth: maxNesting, Entries: maxStatements, Parts: 5 * maxStatements}
	head, err := csaf.Walk(bytes.NewReader(text), limits, csaf.Handler{Product: r.tree.product, Relation: r.tree.relation, Vulnerability: r.vulnerability})
	switch {
	case errors.Is(err, gate.ErrTooLarge):
		return nil, invalid("it exceeds a limit of CSAF: %w", err)
	case err != nil:
		return nil, invalid("it is not CSAF: %w", err)
	}
	c := newCollector("CSAF", now)
	c.doc.ID, c.doc.Author = gate.Printable(head.Tracking.ID, maxText), gate.Printable(head.Publisher.Name, maxText)
	at, err := time.Parse(time.RFC3339, head.Tracking.Current)
	if err != nil {
		return nil, invalid("it has no document.tracking.current_release_date, so that its age is not known")
	}
	c.doc.At = at.UTC()
	for i := range r.claims {
		r.tree.claim(c, r.claims[i].claim, r.claims[i].id)
	}
	return c.done()
}

// claim adds a claim about a product id: a component of something, or a product itself.
func (t *csafTree) claim(c *collector, l claim, id string) {
	part, related := t.parts[id]
	product, ok := t.products[id]
	if related {
		component, known := t.products[part.component]
		product, ok = t.products[part.of]
		if l.component = &component; !known {
			ok = false
		}
	}
	if !ok {
		c.refuse(unknownReference)
		return
	}
	l.product = product
	c.add(l)
}
