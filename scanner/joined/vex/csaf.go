package vex

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// csafDocument is what is read of CSAF 2.0, https://docs.oasis-open.org/csaf/csaf/v2.0.
type csafDocument struct {
	Document struct {
		Category  string `json:"category"`
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			ID      string     `json:"id"`
			Current *time.Time `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree struct {
		Branches      []csafBranch  `json:"branches"`
		Products      []csafProduct `json:"full_product_names"`
		Relationships []struct {
			Category  string      `json:"category"`
			Product   csafProduct `json:"full_product_name"`
			Component string      `json:"product_reference"`
			RelatesTo string      `json:"relates_to_product_reference"`
		} `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []struct {
		CVE *string `json:"cve"` // not every vulnerability has one
		IDs []struct {
			Text string `json:"text"`
		} `json:"ids"`
		Status struct {
			NotAffected        []string `json:"known_not_affected"`
			Affected           []string `json:"known_affected"`
			LastAffected       []string `json:"last_affected"`
			FirstAffected      []string `json:"first_affected"`
			Fixed              []string `json:"fixed"`
			FirstFixed         []string `json:"first_fixed"`
			UnderInvestigation []string `json:"under_investigation"`
		} `json:"product_status"`
		Flags []struct {
			Label    string   `json:"label"`
			Products []string `json:"product_ids"`
		} `json:"flags"`
		Threats []struct {
			Category string   `json:"category"`
			Details  string   `json:"details"`
			Products []string `json:"product_ids"`
		} `json:"threats"`
	} `json:"vulnerabilities"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		PURL   string `json:"purl"`
		Hashes []struct {
			Files []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

func (p csafProduct) identity() identity {
	i := identity{purl: p.Helper.PURL, name: p.Name}
	for _, h := range p.Helper.Hashes {
		for _, f := range h.Files {
			if f.Algorithm == "sha256" {
				i.sha256 = f.Value
			}
		}
	}
	return i
}

// maxBranches bounds how deep branches are nested: real ones have five levels.
const maxBranches = 64

// csafTree are the products by their ids, and what is part of what.
type csafTree struct {
	products map[string]identity
	parts    map[string][2]string // component, and what it relates to
}

func (t *csafTree) branches(list []csafBranch, depth int) error {
	if depth > maxBranches {
		return invalid("its branches are nested more than %d deep", maxBranches)
	}
	for _, b := range list {
		if b.Product != nil {
			t.products[b.Product.ID] = b.Product.identity()
		}
		if err := t.branches(b.Branches, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// readCSAF reads the statements of a document of the VEX profile.
func readCSAF(text []byte, now time.Time) (*Document, error) {
	var in csafDocument
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, invalid("it is not CSAF: %w", err)
	}
	c := newCollector("CSAF", now)
	c.doc.ID, c.doc.Author = gate.Printable(in.Document.Tracking.ID, maxText), gate.Printable(in.Document.Publisher.Name, maxText)
	c.doc.At = newer(in.Document.Tracking.Current)
	if c.doc.At.IsZero() {
		return nil, invalid("it has no document.tracking.current_release_date, so that its age is not known")
	}
	tree := csafTree{map[string]identity{}, map[string][2]string{}}
	if err := tree.branches(in.Tree.Branches, 0); err != nil {
		return nil, err
	}
	for _, p := range in.Tree.Products {
		tree.products[p.ID] = p.identity()
	}
	for _, r := range in.Tree.Relationships {
		tree.parts[r.Product.ID] = [2]string{r.Component, r.RelatesTo}
	}
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		l := claim{}
		if v.CVE != nil {
			l.ids = append(l.ids, *v.CVE)
		}
		for _, id := range v.IDs {
			l.ids = append(l.ids, id.Text)
		}
		for _, list := range []struct {
			status   string
			products []string
		}{
			{notAffected, v.Status.NotAffected}, {fixed, v.Status.Fixed}, {fixed, v.Status.FirstFixed}, {underInvestigation, v.Status.UnderInvestigation},
			{affected, v.Status.Affected}, {affected, v.Status.FirstAffected}, {affected, v.Status.LastAffected},
		} {
			for _, id := range list.products {
				l.status, l.justification, l.reason = list.status, "", ""
				for _, f := range v.Flags {
					if slices.Contains(f.Products, id) {
						l.justification = f.Label
					}
				}
				for _, t := range v.Threats {
					if t.Category == "impact" && slices.Contains(t.Products, id) {
						l.reason = t.Details
					}
				}
				tree.claim(c, l, id)
			}
		}
	}
	return c.done(), nil
}

// claim adds a claim about a product id: a component of something, or a product itself.
func (t *csafTree) claim(c *collector, l claim, id string) {
	if part, ok := t.parts[id]; ok {
		component, okC := t.products[part[0]]
		product, okP := t.products[part[1]]
		if !okC || !okP {
			c.refuse(unknownReference)
			return
		}
		l.product, l.component = product, &component
		c.add(l)
		return
	}
	product, ok := t.products[id]
	if !ok {
		c.refuse(unknownReference)
		return
	}
	l.product = product
	c.add(l)
}
