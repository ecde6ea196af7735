package vex

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// cdxDocument is what is read of CycloneDX 1.4 and later, https://cyclonedx.org/docs.
type cdxDocument struct {
	Serial   string `json:"serialNumber"`
	Metadata struct {
		Timestamp *time.Time `json:"timestamp"`
		Authors   []struct {
			Name string `json:"name"`
		} `json:"authors"`
		Supplier struct {
			Name string `json:"name"`
		} `json:"supplier"`
		Component *cdxComponent `json:"component"`
	} `json:"metadata"`
	Components      []cdxComponent `json:"components"`
	Vulnerabilities []struct {
		ID         string `json:"id"`
		References []struct {
			ID string `json:"id"`
		} `json:"references"`
		Analysis struct {
			State         string     `json:"state"`
			Justification string     `json:"justification"`
			Detail        string     `json:"detail"`
			FirstIssued   *time.Time `json:"firstIssued"`
			LastUpdated   *time.Time `json:"lastUpdated"`
		} `json:"analysis"`
		Affects []struct {
			Ref      string            `json:"ref"`
			Versions []json.RawMessage `json:"versions"`
		} `json:"affects"`
	} `json:"vulnerabilities"`
}

type cdxComponent struct {
	Ref    string `json:"bom-ref"`
	Name   string `json:"name"`
	PURL   string `json:"purl"`
	Hashes []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
	Components []cdxComponent `json:"components"`
}

func (c cdxComponent) identity() identity {
	i := identity{purl: c.PURL, name: c.Name}
	for _, h := range c.Hashes {
		if h.Algorithm == "SHA-256" {
			i.addSHA256(h.Content)
		}
	}
	return i
}

// cdxStates maps the states of CycloneDX.
var cdxStates = map[string]string{
	"not_affected": notAffected, "false_positive": notAffected, "resolved": fixed, "resolved_with_pedigree": fixed,
	"in_triage": underInvestigation, "exploitable": affected,
}

// readCycloneDX reads the analyses of a document. The image is its metadata.component;
// components are its own, or named by package URL in a BOM-Link.
func readCycloneDX(text []byte, now time.Time) (*Document, error) {
	var in cdxDocument
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, invalid("it is not CycloneDX: %w", err)
	}
	c := newCollector("CycloneDX", now)
	c.doc.ID, c.doc.Author = gate.Printable(in.Serial, maxText), gate.Printable(in.Metadata.Supplier.Name, maxText)
	if len(in.Metadata.Authors) > 0 {
		c.doc.Author = gate.Printable(in.Metadata.Authors[0].Name, maxText)
	}
	c.doc.At = newer(in.Metadata.Timestamp)
	if c.doc.At.IsZero() {
		return nil, invalid("it has no metadata.timestamp, so that its age is not known")
	}
	bom := cdxBOM{components: map[string]identity{}}
	if err := bom.read(in.Components, 0); err != nil {
		return nil, err
	}
	if in.Metadata.Component != nil {
		bom.product = in.Metadata.Component.identity()
		bom.ref = in.Metadata.Component.Ref
	}
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		l := claim{ids: []string{v.ID}, status: cdxStates[v.Analysis.State], justification: v.Analysis.Justification, reason: v.Analysis.Detail}
		l.at = newer(v.Analysis.FirstIssued, v.Analysis.LastUpdated)
		if v.Analysis.State == "false_positive" && l.justification == "" {
			l.justification = "false_positive"
		}
		for _, r := range v.References {
			l.ids = append(l.ids, r.ID)
		}
		if len(v.Affects) == 0 {
			c.refuse(noComponent)
		}
		for _, a := range v.Affects {
			if s := (Statement{Status: l.status}); len(a.Versions) > 0 && s.hides() {
				c.refuse(someVersions)
				continue
			}
			bom.claim(c, l, a.Ref)
		}
	}
	return c.done()
}

type cdxBOM struct {
	product    identity
	ref        string // of the product
	components map[string]identity
}

func (b *cdxBOM) read(list []cdxComponent, depth int) error {
	if depth > maxNesting {
		return invalid("its components are nested more than %d deep", maxNesting)
	}
	for _, c := range list {
		i := c.identity()
		if old, ok := b.components[c.Ref]; ok && old != i {
			return invalid("it has two components with the bom-ref %s", gate.Quoted(c.Ref, 100))
		}
		if c.Ref != "" {
			b.components[c.Ref] = i
		}
		if err := b.read(c.Components, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// claim adds a claim about a reference.
func (b *cdxBOM) claim(c *collector, l claim, ref string) {
	_, image := b.product.image()
	component, own := b.components[ref]
	switch {
	case ref != "" && ref == b.ref:
		l.product = b.product
	case own && image:
		l.product, l.component = b.product, &component
	case own: // the document's own word for one package
		l.product = component
	case strings.HasPrefix(ref, "urn:cdx:") && !image:
		c.refuse(otherSBOM)
		return
	default:
		_, fragment, _ := strings.Cut(ref, "#")
		if !strings.HasPrefix(ref, "urn:cdx:") {
			fragment = ref
		}
		if text, err := url.PathUnescape(fragment); err == nil && strings.Contains(fragment, "%40") {
			fragment = text
		}
		if _, ok := parsePURL(fragment); !ok {
			c.refuse(unknownReference)
			return
		}
		if one := (identity{purl: fragment}); image {
			l.product, l.component = b.product, &one
		} else {
			l.product = one
		}
	}
	c.add(l)
}
