package csaf

import (
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// hand yields the document: an entry for each vulnerability, advisory and severity.
func (p *parser) hand() error {
	published, modified := format.Time(p.head.Tracking.Initial), format.Time(p.head.Tracking.Current)
	p.sink.Stated(modified)
	var refs []string
	for _, r := range p.head.References[:min(len(p.head.References), 100)] {
		refs = append(refs, r.URL)
	}
	for i := range p.found {
		v := &p.found[i]
		ids := v.ids
		if len(ids) == 0 && format.CVE(p.head.Tracking.ID) && len(p.found) == 1 {
			ids = []string{p.head.Tracking.ID} // a document of one CVE
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !format.ID(id) })
		if len(ids) == 0 {
			// The advisory is still known, and so are its packages.
			p.sink.Gap(format.Gap{What: "vulnerability", Of: p.head.Tracking.ID, At: v.at, Why: "it has neither cve nor ids; its statements are filed under the advisory"})
			ids = []string{p.head.Tracking.ID}
		}
		groups, order, err := p.statementsOf(v)
		if err != nil {
			return err
		}
		for _, g := range order {
			e := format.Entry{Advisory: g.advisory, Statements: groups[g], References: refs, PublishedAt: published, ModifiedAt: modified, At: v.at}
			for _, id := range ids {
				e.Vulnerabilities = append(e.Vulnerabilities, format.Vulnerability{
					ID: id, Severity: g.severity, CVSS: v.cvss, Title: v.title, Description: v.text, PublishedAt: format.Time(v.date),
				})
			}
			if err := p.sink.Entry(e); err != nil {
				return fmt.Errorf("handing on: %w", err)
			}
		}
	}
	return nil
}

// group is what the statements of an entry have in common.
type group struct{ advisory, severity string }

// statementsOf resolves the products of a vulnerability.
func (p *parser) statementsOf(v *vulnerability) (groups map[group][]format.Statement, order []group, err error) {
	groups = map[group][]format.Statement{}
	states, advisories, severities := map[string]format.State{}, map[string]string{}, map[string]string{}
	allSeverity := p.head.Severity.Text
	for _, t := range v.severity {
		if len(t.products) == 0 {
			allSeverity = t.word
		}
		for _, id := range t.products {
			severities[id] = t.word
		}
	}
	for _, r := range v.remedies {
		for _, id := range r.products {
			if r.state != 0 {
				states[id] = r.state
			} else {
				advisories[id] = r.advisory
			}
		}
	}
	for _, s := range v.status {
		for _, id := range s.products {
			if p.statements++; p.statements > p.limits.Parts {
				return nil, nil, fmt.Errorf("%s: there are more than %d statements: %w", v.at, p.limits.Parts, gate.ErrTooLarge)
			}
			st, ok := p.statement(v, id, s.state)
			if !ok {
				continue
			}
			g := group{p.head.Tracking.ID, allSeverity}
			if w := severities[id]; w != "" {
				g.severity = w
			}
			switch {
			case s.state == format.Affected && states[id] != 0:
				st.State = states[id]
			case s.state == format.Fixed && advisories[id] != "":
				g.advisory = advisories[id]
			}
			if format.CVE(g.advisory) {
				g.advisory = ""
			}
			if _, ok := groups[g]; !ok {
				order = append(order, g)
			}
			groups[g] = append(groups[g], st)
		}
	}
	return groups, order, nil
}

// statement resolves one product; what cannot be understood is a gap.
func (p *parser) statement(v *vulnerability, id string, state format.State) (s format.Statement, ok bool) {
	gap := func(why string, r format.Release) {
		p.sink.Gap(format.Gap{What: "product " + id, Of: p.head.Tracking.ID, At: v.at, Why: why, Release: r})
	}
	c, ok := p.tree.Resolve(id)
	switch {
	case !ok:
		gap("product_tree does not have it", nil)
		return s, false
	case c.Other:
		p.sink.Skip("products other than packages of a distribution")
		return s, false
	case c.Statement.Package == "":
		if state == format.NotAffected {
			return s, false
		}
		gap("it cannot be read as a package", c.Release)
		return s, false
	case state == format.Fixed && c.Statement.Version == "":
		gap("it is fixed, and there is no version", c.Release)
		return s, false
	}
	s = c.Statement
	s.State = state
	return s, true
}
