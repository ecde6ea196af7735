// Package cvrf reads CVRF 1.1 and 1.2 documents as openEuler and SUSE publish them. In
// openEuler's the status of a vulnerability names releases, and the packages are what the
// product tree lists for the release; in SUSE's it names packages in releases.
package cvrf

import (
	"io"
	"strings"

	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/product"
)

// Root is the name of the document's element.
const Root = "cvrfdoc"

// Read reads a file that is not packed: one document, which is one advisory. Errors:
// gate.ErrInvalid, gate.ErrTooLarge, and those of the sink.
func Read(r io.Reader, l format.Limits, sink format.Sink) error {
	x := format.NewXML(r, l)
	root, err := x.Root()
	if err != nil {
		return err
	}
	if root.Name != Root {
		return x.Errorf("the document is <%s>, want <cvrfdoc>", root.Name)
	}
	p := &parser{x: x, limits: l.Or(), sink: sink, tree: product.New()}
	err = x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "DocumentTitle":
			p.title, err = x.Text()
		case "DocumentTracking":
			err = p.tracking()
		case "DocumentNotes":
			err = p.notes()
		case "DocumentReferences":
			err = p.references()
		case "ProductTree":
			err = p.branch("")
		case "Vulnerability":
			err = p.vulnerability()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := x.End(); err != nil {
		return err
	}
	return p.hand()
}

type parser struct {
	x      *format.XML
	limits format.Limits
	sink   format.Sink
	tree   *product.Tree

	id, title, description string
	severity               string
	published, modified    string
	refs                   []string
	found                  []vulnerability
	parts, statements      int
}

// vulnerability is one of a document, with the products of each status.
type vulnerability struct {
	format.Vulnerability
	at     string
	status []status
}

type status struct {
	state    format.State
	products []string
}

func (p *parser) tracking() error {
	return p.x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "Identification":
			err = p.x.Each(func(e format.Element) error {
				if e.Name != "ID" {
					return nil
				}
				p.id, err = p.x.Text()
				return err
			})
		case "InitialReleaseDate":
			p.published, err = p.x.Text()
		case "CurrentReleaseDate":
			p.modified, err = p.x.Text()
		}
		return err
	})
}

func (p *parser) notes() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "Note" {
			return nil
		}
		title := e.Attr("Title")
		text, err := p.x.Text()
		switch title {
		case "Description", "Details":
			p.description = text
		case "Severity":
			p.severity = text
		}
		return err
	})
}

func (p *parser) references() error {
	return p.x.Each(func(format.Element) error {
		return p.x.Each(func(e format.Element) error {
			if e.Name != "URL" {
				return nil
			}
			text, err := p.x.Text()
			if text != "" && len(p.refs) < 100 {
				p.refs = append(p.refs, text)
			}
			return err
		})
	})
}

// branch reads what is in the product tree or in a branch of it.
func (p *parser) branch(arch string) error {
	return p.x.Each(func(e format.Element) error {
		switch e.Name {
		case "Branch":
			inner := arch
			if e.Attr("Type") == "Package Arch" || e.Attr("Type") == "Architecture" {
				inner = e.Attr("Name")
			}
			return p.branch(inner)
		case "FullProductName":
			_, err := p.product(e, arch)
			return err
		case "Relationship":
			return p.x.Each(func(inner format.Element) error {
				if inner.Name != "FullProductName" {
					return nil
				}
				id, err := p.product(inner, arch)
				p.x.Hold(len(id) + len(e.Attr("ProductReference")) + len(e.Attr("RelatesToProductReference")) + 160)
				p.tree.Relate(id, e.Attr("ProductReference"), e.Attr("RelatesToProductReference"))
				return err
			})
		}
		return nil
	})
}

// product notes a product. openEuler gives packages of one name and version of several
// releases and architectures the same identifier, and the file's name as the text. A file
// can be in several releases: those of 20.03 before its SP4 have one suffix (oe1).
func (p *parser) product(e format.Element, arch string) (id string, err error) {
	if err := p.x.Count(&p.parts, p.limits.Parts, "products"); err != nil {
		return "", err
	}
	id = e.Attr("ProductID")
	text, err := p.x.Text()
	p.x.Hold(len(id) + 2*len(text) + 2*len(e.Attr("CPE")) + 256)
	key := id
	if strings.HasSuffix(text, ".rpm") {
		key = text + " " + e.Attr("CPE")
	}
	p.tree.Add(key, product.Product{Name: text, CPE: e.Attr("CPE"), Arch: arch})
	return id, err
}

// states are the values of Status/@Type.
var states = map[string]format.State{
	"Fixed": format.Fixed, "First Fixed": format.Fixed, "Recommended": format.Fixed,
	"Known Affected": format.Affected, "First Affected": format.Affected, "Last Affected": format.Affected,
	"Known Not Affected": format.NotAffected, "Under Investigation": format.UnderInvestigation,
}

func (p *parser) vulnerability() error {
	if len(p.found) >= p.limits.Entries {
		n := len(p.found)
		return p.x.Count(&n, p.limits.Entries, "vulnerabilities")
	}
	v := vulnerability{at: p.x.Line()}
	err := p.x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "CVE":
			v.ID, err = p.x.Text()
		case "Title":
			v.Title, err = p.x.Text()
		case "ReleaseDate":
			var s string
			s, err = p.x.Text()
			v.PublishedAt = format.Time(s)
		case "Notes":
			err = p.x.Each(func(format.Element) error {
				s, err := p.x.Text()
				if v.Description == "" {
					v.Description = s
				}
				return err
			})
		case "Threats":
			err = p.threats(&v)
		case "CVSSScoreSets":
			err = p.scores(&v)
		case "ProductStatuses":
			err = p.statuses(&v)
		}
		return err
	})
	p.x.Hold(1024 + len(v.Title) + len(v.Description))
	p.found = append(p.found, v)
	return err
}

func (p *parser) threats(v *vulnerability) error {
	return p.x.Each(func(e format.Element) error {
		impact := e.Attr("Type") == "Impact"
		return p.x.Each(func(e format.Element) error {
			if e.Name != "Description" || !impact {
				return nil
			}
			var err error
			v.Severity, err = p.x.Text()
			return err
		})
	})
}

// scores reads vectors: "CVSS:3.1/AV:N/…", or without the version, which is 3.1 then when
// it has the metric PR.
func (p *parser) scores(v *vulnerability) error {
	return p.x.Each(func(format.Element) error {
		return p.x.Each(func(e format.Element) error {
			if e.Name != "Vector" && e.Name != "VectorV3" {
				return nil
			}
			s, err := p.x.Text()
			if strings.HasPrefix(s, "AV:") && strings.Contains(s, "/PR:") {
				s = "CVSS:3.1/" + s
			}
			if strings.HasPrefix(s, "CVSS:") && len(v.CVSS) < 10 {
				v.CVSS = append(v.CVSS, s)
			}
			return err
		})
	})
}

func (p *parser) statuses(v *vulnerability) error {
	return p.x.Each(func(e format.Element) error {
		s := status{state: states[e.Attr("Type")]}
		kind := e.Attr("Type")
		err := p.x.Each(func(e format.Element) error {
			if e.Name != "ProductID" {
				return nil
			}
			if err := p.x.Count(&p.parts, p.limits.Parts, "products"); err != nil {
				return err
			}
			id, err := p.x.Text()
			p.x.Hold(len(id) + 32)
			s.products = append(s.products, id)
			return err
		})
		if s.state == 0 && len(s.products) > 0 {
			p.sink.Gap(format.Gap{What: "status", Of: p.id, At: p.x.Line(), Why: "its type is " + kind + ", which is none of CVRF's"})
			return err
		}
		v.status = append(v.status, s)
		return err
	})
}
