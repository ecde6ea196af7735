package cvrf

import (
	"fmt"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/product"
)

// hand yields the document, once all that its statuses refer to is known.
func (p *parser) hand() error {
	if !format.ID(p.id) {
		return p.x.Errorf("DocumentTracking/Identification/ID is missing or cannot be an identifier: %s", gate.Quoted(p.id, 60))
	}
	published, modified := format.Time(p.published), format.Time(p.modified)
	byRelease := p.packages()
	for i := range p.found {
		v := &p.found[i]
		if !format.ID(v.ID) {
			p.sink.Gap(format.Gap{What: "vulnerability", Of: p.id, At: v.at, Why: "it has no CVE"})
			continue
		}
		e := format.Entry{Advisory: p.id, At: v.at, References: p.refs, PublishedAt: published, ModifiedAt: modified}
		for _, s := range v.status {
			for _, id := range s.products {
				list, why := p.resolve(id, s.state, byRelease)
				if why != "" {
					p.sink.Gap(format.Gap{What: "product " + id, Of: p.id, At: v.at, Why: why, Release: format.Release{id}})
				}
				p.statements += len(list)
				if p.statements > p.limits.Parts {
					return fmt.Errorf("the statuses speak of more than %d packages: %w", p.limits.Parts, gate.ErrTooLarge)
				}
				e.Statements = append(e.Statements, list...)
			}
		}
		if len(e.Statements) == 0 {
			continue
		}
		if v.Title == "" {
			v.Title = p.title
		}
		if v.Description == "" {
			v.Description = p.description
		}
		if v.Severity == "" {
			v.Severity = p.severity
		}
		e.Vulnerabilities = []format.Vulnerability{v.Vulnerability}
		if err := p.sink.Entry(e); err != nil {
			return err
		}
	}
	return nil
}

// packages are those that the tree lists for each release, by the release's CPE.
func (p *parser) packages() map[string][]format.Statement {
	out := map[string][]format.Statement{}
	p.tree.Packages(func(c product.Component) {
		if len(c.Release) > 0 {
			out[c.Release[0]] = append(out[c.Release[0]], c.Statement)
		}
	})
	return out
}

// resolve turns a product of a status into statements; why is "" when it could.
func (p *parser) resolve(id string, state format.State, byRelease map[string][]format.Statement) (list []format.Statement, why string) {
	c, ok := p.tree.Resolve(id)
	if !ok {
		return nil, "the product tree does not have it"
	}
	if c.Other {
		return nil, ""
	}
	if own, ok := p.tree.Product(id); ok && own.CPE != "" && (c.Statement.Package == "" || c.Statement.Version == "") {
		// A whole release: its packages are those of the tree.
		for _, s := range byRelease[own.CPE] {
			s.State, s.Release = state, format.Release{own.CPE, id}
			list = append(list, s)
		}
		if len(list) == 0 {
			why = "the product tree lists no packages for it"
		}
		return list, why
	}
	s := c.Statement
	s.State = state
	switch {
	case s.Package == "":
		return nil, "it cannot be read as a package"
	case state == format.Fixed && s.Version == "":
		return nil, "it is fixed, and there is no version"
	}
	return []format.Statement{s}, ""
}
