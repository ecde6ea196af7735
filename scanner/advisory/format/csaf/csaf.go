// Package csaf reads CSAF 2.0 documents: the profile VEX, and security advisories, which
// have the same product status. [Walk] is the parser, for whatever is made of a document;
// [Read] makes advisories of it, and knows the dialects of Alibaba Cloud Linux, openEuler,
// OpenCloudOS, Red Hat and SUSE; see [product.Tree].
package csaf

import (
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/product"
)

// Read reads a file that is not packed: one document. What is kept of it are the products,
// and the statuses of all vulnerabilities without their texts.
//
// Errors: gate.ErrInvalid (no CSAF 2.0, damage), gate.ErrTooLarge, and those of the sink.
func Read(r io.Reader, l format.Limits, sink format.Sink) error {
	p := &parser{limits: l.Or(), sink: sink, tree: product.New()}
	var err error
	p.head, err = Walk(r, l, Handler{Product: p.product, Relation: p.relation, Vulnerability: p.vulnerability})
	if err != nil {
		return err
	}
	if !format.ID(p.head.Tracking.ID) {
		return fmt.Errorf("document.tracking.id is missing or cannot be an identifier: %s: %w", gate.Quoted(p.head.Tracking.ID, 60), gate.ErrInvalid)
	}
	return p.hand()
}

// parser makes advisories of a document.
type parser struct {
	limits format.Limits
	sink   format.Sink
	tree   *product.Tree
	head   Head
	found  []vulnerability
	// statements are counted against the limits.
	statements int
}

func (p *parser) product(f Product) error {
	purl := f.Helper.PURL
	if purl == "" && len(f.Helper.PURLs) > 0 {
		purl = f.Helper.PURLs[0]
	}
	p.tree.Add(f.ID, product.Product{Name: f.Name, CPE: f.Helper.CPE, PURL: purl, Arch: f.Arch})
	return nil
}

func (p *parser) relation(r Relation) error {
	p.tree.Relate(r.Product.ID, r.Part, r.Whole)
	return nil
}
