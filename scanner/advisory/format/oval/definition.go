package oval

import (
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// keptText bounds a description in bytes: all of them are kept to the end of the file.
const keptText = 2 << 10

// definition is one advisory, without what its tests say.
type definition struct {
	class, advisory      string
	title, description   string
	severity, at         string
	platforms, cpes      []string
	references           []string
	vulnerabilities      []format.Vulnerability
	byID                 map[string]int // of vulnerabilities
	published, modified  time.Time
	security, deprecated bool
	criteria             criteria
}

// criteria are a tree of conditions; a leaf has the id of a test.
type criteria struct {
	or, negate    bool
	test, comment string
	under         []criteria
}

func (p *parser) definitions() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "definition" {
			return nil
		}
		if len(p.found) >= p.limits.Entries {
			n := len(p.found)
			return p.x.Count(&n, p.limits.Entries, "definitions")
		}
		d := definition{class: e.Attr("class"), deprecated: e.Attr("deprecated") == "true", at: p.x.Line()}
		id := e.Attr("id")
		err := p.x.Each(func(e format.Element) error {
			switch e.Name {
			case "metadata":
				return p.metadata(&d)
			case "criteria":
				return p.criteria(e, &d.criteria)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if d.advisory == "" {
			d.advisory, _, _ = strings.Cut(d.title, " ")
			d.advisory = strings.TrimSuffix(d.advisory, ":")
		}
		if !format.ID(d.advisory) {
			d.advisory = id
		}
		p.x.Hold(definitionBytes + len(d.title) + len(d.description))
		p.found = append(p.found, d)
		return nil
	})
}

func (p *parser) metadata(d *definition) error {
	return p.x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "title":
			d.title, err = p.x.Text()
			d.title = strings.Clone(gate.Printable(strings.Join(strings.Fields(d.title), " "), 300))
		case "description":
			d.description, err = p.x.Text()
			d.description = strings.Clone(d.description[:min(len(d.description), keptText)])
			d.description = strings.ToValidUTF8(d.description, "")
		case "reference":
			p.reference(d, e)
		case "affected":
			err = p.x.Each(func(e format.Element) error {
				if e.Name != "platform" {
					return nil
				}
				s, err := p.x.Text()
				if s != "" {
					p.x.Hold(16)
					d.platforms = append(d.platforms, p.once(s))
				}
				return err
			})
		case "advisory":
			err = p.advisory(d)
		}
		return err
	})
}

// reference notes the advisory's own identifier, and CVEs, which Red Hat and SUSE list
// here and not only below advisory.
func (p *parser) reference(d *definition, e format.Element) {
	id, source := e.Attr("ref_id"), strings.ToUpper(e.Attr("source"))
	if href := e.Attr("ref_url"); href != "" && len(d.references) < 100 {
		d.references = append(d.references, href)
		p.x.Hold(len(href) + 16)
	}
	switch cves := format.CVEs(id); {
	case source == "CVE" || len(cves) > 0 && (source == "SUSE CVE" || source == "MITRE"):
		for _, id := range cves {
			p.x.Hold(len(id) + 320)
			d.add(format.Vulnerability{ID: id})
		}
	case d.advisory == "" && format.ID(id) && len(cves) == 0 && !strings.Contains(source, "BUGZILLA") && source != "BUG":
		d.advisory = p.once(id)
		d.security = strings.Contains(id, "-SA-") || strings.Contains(id, "SA-") || strings.HasPrefix(id, "SUSE-SU") || strings.HasPrefix(id, "openSUSE-SU")
	}
}

// add notes a vulnerability, or what is new about one that is noted.
func (d *definition) add(v format.Vulnerability) {
	i, ok := d.byID[v.ID]
	if !ok {
		if d.byID == nil {
			d.byID = map[string]int{}
		}
		d.byID[v.ID] = len(d.vulnerabilities)
		d.vulnerabilities = append(d.vulnerabilities, v)
		return
	}
	o := &d.vulnerabilities[i]
	if o.Severity == "" {
		o.Severity = v.Severity
	}
	if len(o.CVSS) == 0 {
		o.CVSS = v.CVSS
	}
	if o.PublishedAt.IsZero() {
		o.PublishedAt = v.PublishedAt
	}
}

func (p *parser) advisory(d *definition) error {
	return p.x.Each(func(e format.Element) error {
		var err error
		switch e.Name {
		case "severity":
			d.severity, err = p.x.Text()
			d.severity = p.once(d.severity)
		case "issued":
			d.published = format.Time(e.Attr("date"))
		case "updated":
			d.modified = format.Time(e.Attr("date"))
		case "cve":
			var text string
			if text, err = p.x.Text(); err != nil {
				return err
			}
			for _, id := range format.CVEs(text, e.Attr("href")) {
				v := format.Vulnerability{ID: id, Severity: p.once(e.Attr("impact")), PublishedAt: format.Time(e.Attr("public"))}
				if _, vector, ok := strings.Cut(e.Attr("cvss3"), "/"); ok && strings.HasPrefix(vector, "CVSS:3") {
					v.CVSS = []string{p.once(vector)}
				}
				p.x.Hold(len(id) + 320)
				d.add(v)
			}
		case "affected_cpe_list":
			err = p.x.Each(func(format.Element) error {
				s, err := p.x.Text()
				if s != "" {
					p.x.Hold(16)
					d.cpes = append(d.cpes, p.once(s))
				}
				return err
			})
		}
		return err
	})
}

func (p *parser) criteria(e format.Element, c *criteria) error {
	c.or, c.negate = strings.EqualFold(e.Attr("operator"), "OR"), e.Attr("negate") == "true"
	return p.x.Each(func(e format.Element) error {
		switch e.Name {
		case "criteria":
			p.x.Hold(2 * leafBytes) // slices grow to twice what is in them
			var under criteria
			err := p.criteria(e, &under)
			c.under = append(c.under, under)
			return err
		case "criterion":
			if err := p.x.Count(&p.parts, p.limits.Parts, "criteria, tests, objects and states"); err != nil {
				return err
			}
			p.x.Hold(2 * leafBytes)
			leaf := criteria{test: p.once(e.Attr("test_ref")), negate: e.Attr("negate") == "true"}
			// A comment of a package repeats what its test says.
			if s := e.Attr("comment"); tells(s) {
				leaf.comment = p.once(s)
			}
			c.under = append(c.under, leaf)
		}
		return nil
	})
}

// tells reports whether a comment is about more than the version of a package.
func tells(comment string) bool {
	return strings.HasSuffix(comment, " is installed") || strings.HasPrefix(comment, "Module ") || strings.Contains(comment, " arch is ") ||
		strings.HasSuffix(comment, "is enabled")
}
