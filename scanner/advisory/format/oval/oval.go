// Package oval reads the patch dialect of OVAL 5 as RPM distributions publish it: a
// definition names vulnerabilities and, as criteria, a release and packages that are
// earlier than a version. Other tests (signatures, running kernels, architectures) are
// conditions of which a scanner of files knows nothing, and count as fulfilled.
//
// The versions of Anolis OS' and Alibaba Cloud Linux' files are damaged and repaired with
// [format.RepairEVR]. A definition with one that cannot be repaired is left out whole and
// counted as a gap.
package oval

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Root is the name of the document's element.
const Root = "oval_definitions"

// Read reads a file that is not packed. The definitions refer to tests that follow them,
// so that nothing is yielded before the end, and what is kept grows with the number of
// definitions and tests; descriptions are cut. Errors: gate.ErrInvalid, gate.ErrTooLarge,
// and those of the sink.
func Read(r io.Reader, l format.Limits, sink format.Sink) error {
	x := format.NewXML(r, l)
	root, err := x.Root()
	if err != nil {
		return err
	}
	if root.Name != Root {
		return x.Errorf("the document is <%s>, want <oval_definitions>", root.Name)
	}
	p := &parser{
		x: x, limits: l.Or(), sink: sink,
		tests: map[string]test{}, objects: map[string]string{}, states: map[string]state{}, words: map[string]string{},
	}
	err = x.Each(func(e format.Element) error {
		switch e.Name {
		case "generator":
			return p.generator()
		case "definitions":
			return p.definitions()
		case "tests":
			return p.allTests()
		case "objects":
			return p.allObjects()
		case "states":
			return p.allStates()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := x.End(); err != nil {
		return err
	}
	for i := range p.found {
		if err := p.hand(&p.found[i]); err != nil {
			return err
		}
	}
	if p.repaired > 0 {
		sink.Skip("pieces of names before versions, which were repaired")
	}
	return nil
}

type parser struct {
	x      *format.XML
	limits format.Limits
	sink   format.Sink
	found  []definition
	// tests, objects and states are by id.
	tests    map[string]test
	objects  map[string]string // names of packages
	states   map[string]state
	words    map[string]string // each text once: ids and names repeat
	parts    int
	repaired int
}

// test says that a package is as a state wants it; anything else is not kept.
type test struct{ object, state string }

// state is what a package's version, or its architecture, is compared with.
type state struct {
	evr, operation string
	arch           string // a pattern: "aarch64|x86_64"
	other          bool   // it is about something else
}

// What a word, a test with its object or state, and a definition are taken to need in memory
// besides their texts: a share of a map, headers of strings and slices. Measured by
// TestRead_held.
const wordBytes, partBytes, definitionBytes, leafBytes = 64, 128, 800, 104

// once returns a text that is kept only once.
func (p *parser) once(s string) string {
	if w, ok := p.words[s]; ok {
		return w
	}
	s = strings.Clone(s)
	p.x.Hold(len(s) + wordBytes)
	p.words[s] = s
	return s
}

func (p *parser) generator() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name == "timestamp" {
			s, err := p.x.Text()
			if err == nil {
				p.sink.Stated(format.Time(s))
			}
			return err
		}
		return nil
	})
}

func (p *parser) allTests() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "rpminfo_test" {
			return nil
		}
		if err := p.x.Count(&p.parts, p.limits.Parts, "tests, objects and states"); err != nil {
			return err
		}
		p.x.Hold(partBytes)
		var t test
		err := p.x.Each(func(c format.Element) error {
			switch c.Name {
			case "object":
				t.object = p.once(c.Attr("object_ref"))
			case "state":
				// A test may have several states; the version is what counts.
				if ref := c.Attr("state_ref"); t.state == "" {
					t.state = p.once(ref)
				} else {
					t.state = p.once(t.state + " " + ref)
				}
			}
			return nil
		})
		if err == nil {
			p.tests[p.once(e.Attr("id"))] = t
		}
		return err
	})
}

func (p *parser) allObjects() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "rpminfo_object" {
			return nil
		}
		if err := p.x.Count(&p.parts, p.limits.Parts, "tests, objects and states"); err != nil {
			return err
		}
		p.x.Hold(partBytes)
		return p.x.Each(func(c format.Element) error {
			if c.Name != "name" {
				return nil
			}
			name, err := p.x.Text()
			if op := c.Attr("operation"); err == nil && (op == "" || op == "equals") {
				p.objects[p.once(e.Attr("id"))] = p.once(name)
			}
			return err
		})
	})
}

func (p *parser) allStates() error {
	return p.x.Each(func(e format.Element) error {
		if e.Name != "rpminfo_state" {
			return nil
		}
		if err := p.x.Count(&p.parts, p.limits.Parts, "tests, objects and states"); err != nil {
			return err
		}
		p.x.Hold(partBytes)
		var s state
		err := p.x.Each(func(c format.Element) error {
			text, err := p.x.Text()
			switch c.Name {
			case "evr":
				s.evr, s.operation = p.once(text), p.once(c.Attr("operation"))
			case "arch":
				s.arch = p.once(text)
			default:
				s.other = true
			}
			return err
		})
		if err == nil {
			p.states[p.once(e.Attr("id"))] = s
		}
		return err
	})
}

// hand yields a definition, once all that it refers to is known.
func (p *parser) hand(d *definition) error {
	switch {
	case d.deprecated:
		p.sink.Skip("withdrawn definitions")
		return nil
	case d.class != "patch" && d.class != "vulnerability":
		p.sink.Skip("definitions of another class than patch and vulnerability")
		return nil
	case len(d.vulnerabilities) == 0 && !d.security:
		p.sink.Skip("definitions that fix no vulnerability")
		return nil
	}
	w := &walk{p: p}
	w.criteria(&d.criteria, nil, condition{})
	platforms := w.platforms
	if len(platforms) == 0 {
		platforms = d.platforms
	}
	gap := func(why string) {
		p.sink.Gap(format.Gap{What: "definition", Of: d.advisory, At: d.at, Why: why, Release: firstOf(platforms)})
	}
	switch {
	case w.problem != "":
		gap(w.problem)
		return nil
	case !format.ID(d.advisory):
		gap("it has no identifier")
		return nil
	case w.count(d) > maxStatements:
		gap(fmt.Sprintf("it makes more than %d statements", maxStatements))
		return nil
	case len(w.statements) == 0:
		gap("it names no package with a version that has the fix")
		return nil
	}
	p.repaired += w.repaired
	e := format.Entry{Advisory: d.advisory, At: d.at, References: d.references, PublishedAt: d.published, ModifiedAt: d.modified}
	for _, s := range w.statements {
		for _, release := range releases(s.Release, d) {
			s.Release = release
			e.Statements = append(e.Statements, s)
		}
	}
	e.Vulnerabilities = d.vulnerabilities
	if len(e.Vulnerabilities) == 0 {
		e.Vulnerabilities = []format.Vulnerability{{ID: d.advisory}}
	}
	for i := range e.Vulnerabilities {
		v := &e.Vulnerabilities[i]
		v.Title, v.Description = d.title, d.description
		if v.Severity == "" {
			v.Severity = d.severity
		}
		if v.PublishedAt.IsZero() {
			v.PublishedAt = d.published
		}
	}
	return p.sink.Entry(e)
}

// count is how many statements a definition makes with all its releases.
func (w *walk) count(d *definition) (n int) {
	for i := range w.statements {
		if n++; len(w.statements[i].Release) == 0 {
			n += len(d.platforms) + len(d.cpes)
		}
	}
	return n
}

// releases are those of a statement: that of its criteria, else each platform of the
// definition. A CPE of the definition's list, when there is one, is the more exact word.
func releases(own format.Release, d *definition) []format.Release {
	if len(own) > 0 {
		return []format.Release{own}
	}
	if len(d.platforms) == 1 && len(d.cpes) == 1 {
		return []format.Release{{d.platforms[0], d.cpes[0]}}
	}
	var out []format.Release
	for _, name := range slices.Concat(d.platforms, d.cpes[:min(len(d.cpes), max(0, 1-len(d.platforms))*len(d.cpes))]) {
		out = append(out, format.Release{name})
	}
	if len(out) == 0 {
		out = append(out, nil)
	}
	return out
}

func firstOf(platforms []string) format.Release {
	if len(platforms) == 0 {
		return nil
	}
	return format.Release{platforms[0]}
}
