// Package csaf reads CSAF 2.0 documents: the profile VEX, and security advisories, which
// have the same product status. It knows the dialects of Alibaba Cloud Linux, openEuler,
// OpenCloudOS, Red Hat and SUSE; see [product.Tree].
package csaf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/product"
)

// Read reads a file that is not packed: one document. It is read as a stream; what is kept
// are the products, and the statuses of all vulnerabilities without their texts.
//
// Errors: gate.ErrInvalid (no CSAF 2.0, damage), gate.ErrTooLarge, and those of the sink.
func Read(r io.Reader, l format.Limits, sink format.Sink) error {
	p := &parser{limits: l.Or(), sink: sink, tree: product.New()}
	p.dec = json.NewDecoder(io.LimitReader(format.Clean(r), p.limits.Bytes))
	if err := p.document(); err != nil {
		switch {
		case errors.Is(err, gate.ErrInvalid), errors.Is(err, gate.ErrTooLarge), errors.Is(err, errSink):
			return err
		}
		return fmt.Errorf("offset %d: parsing JSON: %w: %w", p.dec.InputOffset(), err, gate.ErrInvalid)
	}
	return p.hand()
}

// errSink marks errors of the sink.
var errSink = errors.New("handing on")

type parser struct {
	dec    *json.Decoder
	limits format.Limits
	sink   format.Sink
	tree   *product.Tree
	head   head
	found  []vulnerability
	// parts and statements are counted against the limits.
	parts, statements int
}

// head is the part "document".
type head struct {
	Category    string `json:"category"`
	CSAFVersion string `json:"csaf_version"`
	Title       string `json:"title"`
	Severity    struct {
		Text string `json:"text"`
	} `json:"aggregate_severity"`
	Publisher struct {
		Name string `json:"name"`
	} `json:"publisher"`
	References []reference `json:"references"`
	Tracking   struct {
		ID      string `json:"id"`
		Current string `json:"current_release_date"`
		Initial string `json:"initial_release_date"`
	} `json:"tracking"`
}

type reference struct {
	URL string `json:"url"`
}

func (p *parser) document() error {
	err := p.object(func(key string) error {
		switch key {
		case "document":
			return p.dec.Decode(&p.head)
		case "product_tree":
			return p.productTree()
		case "vulnerabilities":
			return p.array(p.vulnerability)
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("offset %d: something follows the document: %w", p.dec.InputOffset(), gate.ErrInvalid)
	}
	switch {
	case p.head.CSAFVersion == "":
		return fmt.Errorf("document.csaf_version is missing, want 2.0: %w", gate.ErrInvalid)
	case !strings.HasPrefix(p.head.CSAFVersion, "2."):
		return fmt.Errorf("document.csaf_version is %s, want 2.0: %w", gate.Quoted(p.head.CSAFVersion, 20), gate.ErrInvalid)
	case !format.ID(p.head.Tracking.ID):
		return fmt.Errorf("document.tracking.id is missing or cannot be an identifier: %s: %w", gate.Quoted(p.head.Tracking.ID, 60), gate.ErrInvalid)
	}
	return nil
}

func (p *parser) productTree() error {
	return p.object(func(key string) error {
		switch key {
		case "branches":
			return p.array(func(int) error { return p.branch("", 0) })
		case "full_product_names":
			return p.array(func(int) error {
				var f fullName
				if err := p.dec.Decode(&f); err != nil {
					return err
				}
				return p.add(f, "")
			})
		case "relationships":
			return p.array(p.relationship)
		}
		return p.skip()
	})
}

// fullName is a product.
type fullName struct {
	Name   string `json:"name"`
	ID     string `json:"product_id"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
		// CSAF 2.1 lists them.
		PURLs []string `json:"purls"`
	} `json:"product_identification_helper"`
}

func (p *parser) add(f fullName, arch string) error {
	if err := p.count(&p.parts, p.limits.Parts, "products"); err != nil {
		return err
	}
	purl := f.Helper.PURL
	if purl == "" && len(f.Helper.PURLs) > 0 {
		purl = f.Helper.PURLs[0]
	}
	p.tree.Add(f.ID, product.Product{Name: f.Name, CPE: f.Helper.CPE, PURL: purl, Arch: arch})
	return nil
}

// branch reads a branch and those in it. Its category and name may follow what they are
// about, so that the products of an architecture are kept until it ends.
func (p *parser) branch(arch string, depth int) error {
	if depth > p.limits.Depth {
		return p.tooLarge("branches are nested more than %d deep", p.limits.Depth)
	}
	var category, name string
	var products []fullName
	err := p.object(func(key string) error {
		switch key {
		case "category":
			return p.dec.Decode(&category)
		case "name":
			return p.dec.Decode(&name)
		case "product":
			var f fullName
			if err := p.dec.Decode(&f); err != nil {
				return err
			}
			products = append(products, f)
			return nil
		case "branches":
			return p.array(func(int) error { return p.branch(arch, depth+1) })
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	if category == "architecture" {
		arch = name
	}
	for _, f := range products {
		if err := p.add(f, arch); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) relationship(int) error {
	var r struct {
		Full  fullName `json:"full_product_name"`
		Part  string   `json:"product_reference"`
		Whole string   `json:"relates_to_product_reference"`
	}
	if err := p.dec.Decode(&r); err != nil {
		return err
	}
	if err := p.count(&p.parts, p.limits.Parts, "products and relationships"); err != nil {
		return err
	}
	p.tree.Relate(r.Full.ID, r.Part, r.Whole)
	return nil
}
