package csaf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Head is the part "document".
type Head struct {
	Category    string `json:"category"`
	CSAFVersion string `json:"csaf_version"`
	Title       string `json:"title"`
	Severity    struct {
		Text string `json:"text"`
	} `json:"aggregate_severity"`
	Publisher struct {
		Name string `json:"name"`
	} `json:"publisher"`
	References []Reference `json:"references"`
	Tracking   struct {
		ID      string `json:"id"`
		Current string `json:"current_release_date"`
		Initial string `json:"initial_release_date"`
	} `json:"tracking"`
}

// Reference is a link.
type Reference struct {
	URL string `json:"url"`
}

// Product is a product of the tree, as a leaf of a branch, by itself or as the whole of a
// relation.
type Product struct {
	Name   string `json:"name"`
	ID     string `json:"product_id"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
		// CSAF 2.1 lists them.
		PURLs  []string `json:"purls"`
		Hashes []struct {
			Files []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
	// Arch is the name of the nearest branch of the category architecture.
	Arch string `json:"-"`
}

// Relation says that a product is Part, as it is in or with Whole.
type Relation struct {
	Category string  `json:"category"`
	Product  Product `json:"full_product_name"`
	Part     string  `json:"product_reference"`
	Whole    string  `json:"relates_to_product_reference"`
}

// Vulnerability is what a document says of one, in the words of CSAF.
type Vulnerability struct {
	// At is the place in the document, for people.
	At  string `json:"-"`
	CVE string `json:"cve"`
	IDs []struct {
		System string `json:"system_name"`
		Text   string `json:"text"`
	} `json:"ids"`
	Title       string `json:"title"`
	ReleaseDate string `json:"release_date"`
	Notes       []struct {
		Category string `json:"category"`
		Text     string `json:"text"`
	} `json:"notes"`
	// Status has lists of products by the words of CSAF ("known_not_affected").
	Status map[string][]string `json:"product_status"`
	Flags  []struct {
		Label    string   `json:"label"`
		Products []string `json:"product_ids"`
	} `json:"flags"`
	Threats []struct {
		Category string   `json:"category"`
		Details  string   `json:"details"`
		Products []string `json:"product_ids"`
	} `json:"threats"`
	Scores []struct {
		V3 struct {
			Vector string `json:"vectorString"`
		} `json:"cvss_v3"`
		V4 struct {
			Vector string `json:"vectorString"`
		} `json:"cvss_v4"`
	} `json:"scores"`
	Remediations []struct {
		Category string   `json:"category"`
		Details  string   `json:"details"`
		URL      string   `json:"url"`
		Products []string `json:"product_ids"`
	} `json:"remediations"`
}

// Handler is told what a document has, in its order: a product may follow what is said of
// it. An error ends the walk.
type Handler struct {
	Product       func(Product) error
	Relation      func(Relation) error
	Vulnerability func(*Vulnerability) error
}

// Walk reads a document that is not packed, as a stream: what a handler does not keep is
// not kept. The head is known at the end; what it must have is checked.
//
// Errors: gate.ErrInvalid (no CSAF 2, damage), gate.ErrTooLarge, and those of the handler.
func Walk(r io.Reader, l format.Limits, h Handler) (Head, error) {
	p := &walker{limits: l.Or(), handler: h}
	p.dec = json.NewDecoder(io.LimitReader(format.Clean(r), p.limits.Bytes))
	err := p.document()
	switch {
	case err == nil:
		return p.head, nil
	case p.refused, errors.Is(err, gate.ErrInvalid), errors.Is(err, gate.ErrTooLarge):
		return Head{}, err
	}
	return Head{}, fmt.Errorf("offset %d: parsing JSON: %w: %w", p.dec.InputOffset(), err, gate.ErrInvalid)
}

type walker struct {
	dec     *json.Decoder
	limits  format.Limits
	handler Handler
	head    Head
	// parts and vulnerabilities are counted against the limits.
	parts, vulnerabilities int
	refused                bool // by the handler
}

// told passes on what the handler says.
func (p *walker) told(err error) error {
	p.refused = err != nil
	return err
}

func (p *walker) document() error {
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
	}
	return nil
}

// vulnerability reads one; the lists of products in it are counted.
func (p *walker) vulnerability(i int) error {
	if err := p.count(&p.vulnerabilities, p.limits.Entries, "vulnerabilities"); err != nil {
		return err
	}
	v := Vulnerability{At: fmt.Sprintf("vulnerabilities[%d] at offset %d", i, p.dec.InputOffset())}
	if err := p.dec.Decode(&v); err != nil {
		return err
	}
	for _, list := range v.Status {
		p.parts += len(list)
	}
	if p.parts > p.limits.Parts {
		return p.tooLarge("there are more than %d products", p.limits.Parts)
	}
	return p.told(p.handler.Vulnerability(&v))
}

func (p *walker) productTree() error {
	return p.object(func(key string) error {
		switch key {
		case "branches":
			return p.array(func(int) error { return p.branch("", 0) })
		case "full_product_names":
			return p.array(func(int) error {
				var f Product
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

func (p *walker) add(f Product, arch string) error {
	if err := p.count(&p.parts, p.limits.Parts, "products"); err != nil {
		return err
	}
	f.Arch = arch
	return p.told(p.handler.Product(f))
}

// branch reads a branch and those in it. Its category and name may follow what they are
// about, so that the products of an architecture are kept until it ends.
func (p *walker) branch(arch string, depth int) error {
	if depth > p.limits.Depth {
		return p.tooLarge("branches are nested more than %d deep", p.limits.Depth)
	}
	var category, name string
	var products []Product
	err := p.object(func(key string) error {
		switch key {
		case "category":
			return p.dec.Decode(&category)
		case "name":
			return p.dec.Decode(&name)
		case "product":
			var f Product
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

func (p *walker) relationship(int) error {
	var r Relation
	if err := p.dec.Decode(&r); err != nil {
		return err
	}
	if err := p.count(&p.parts, p.limits.Parts, "products and relationships"); err != nil {
		return err
	}
	return p.told(p.handler.Relation(r))
}
