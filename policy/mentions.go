package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mentionsOf is which parts of the input a set can look at, read from its compiled
// references, those of libraries included. A decision is kept under those parts only,
// and only they are built. Where a reference is dynamic (input.request[x]) or the value
// is handed on (f(input.request)), everything below counts as mentioned.
//
// some says which vulnerabilities can make a difference; see severities.go.
func mentionsOf(c *ast.Compiler) (_ *sight, some selection) {
	root, shape := &sight{}, inputShape()
	some = selection{least: noSeverity}
	for _, module := range c.Modules {
		for _, rule := range module.Rules {
			m := newMentioning(root, shape, rule)
			m.walk(rule, m.see)
			some = some.plus(m.some)
		}
	}
	return root, some
}

// mentioning looks at one rule, its else branches included.
//
// A variable that is set to a place of the input (`some v in
// input.findings.vulnerabilities`), and is otherwise only followed by the name of a
// field (v.severity), mentions those fields. One that stands anywhere else, in a call,
// a comparison, a list or a head, mentions the whole place: what compares or collects
// values sees all that is in them. What is only counted is a list, of which nothing but
// the length is seen; see counts.go.
type mentioning struct {
	root    *sight
	shape   *shape
	aliases map[ast.Var]place
	bare    map[ast.Var]int // how often a variable stands elsewhere than at the head of a reference
	severe  map[ast.Var]int // the least severity that a vulnerability must have
	some    selection
	counted counted
}

// place is one of the input.
type place struct {
	path  []string
	shape *shape // nil below what the schema describes
	fixed bool   // the path does not end before a name that is computed
}

// newMentioning knows which variables of a rule stand for places.
func newMentioning(root *sight, s *shape, r *ast.Rule) *mentioning {
	m := &mentioning{
		root: root, shape: s, aliases: map[ast.Var]place{}, bare: map[ast.Var]int{}, severe: map[ast.Var]int{},
		some: selection{least: noSeverity}, counted: newCounted(),
	}
	m.walk(r, m.counting)
	m.onlyCounted(r)
	for before := -1; before != len(m.aliases); {
		before = len(m.aliases)
		ast.WalkExprs(r, func(e *ast.Expr) bool {
			if v, p, ok := m.alias(e); ok {
				m.aliases[v] = p
			}
			return false
		})
	}
	return m
}

// walk visits a rule, with what the visitor leaves out: the references of heads.
func (m *mentioning) walk(r *ast.Rule, fn func(any) bool) {
	ast.NewGenericVisitor(fn).Walk(r)
	for ; r != nil; r = r.Else {
		m.inside(r.Head.Reference, fn)
	}
}

// counting counts the variables that stand alone.
func (m *mentioning) counting(x any) bool {
	switch x := x.(type) {
	case ast.Ref:
		if v, ok := x[0].Value.(ast.Var); ok {
			m.counted.followed[v] = true
		}
		m.inside(x, m.counting)
		return true
	case ast.Var:
		m.bare[x]++
	case *ast.Expr:
		return m.countingOf(x)
	}
	return false
}

// see notes what is mentioned.
func (m *mentioning) see(x any) bool {
	switch x := x.(type) {
	case ast.Body:
		m.severities(x)
	case *ast.ArrayComprehension:
		if m.counted.lists[x] {
			ast.NewGenericVisitor(m.see).Walk(x.Body)
			return true
		}
	case *ast.Expr:
		if m.seeCount(x) {
			return true
		}
		v, p, ok := m.alias(x)
		if !ok {
			return false
		}
		if _, ok = m.aliases[v]; !ok {
			return false
		}
		m.root.reach(p.path, false)
		m.ofSeverity(v, p)
		for i := range 2 {
			if ref, ok := x.Operand(i).Value.(ast.Ref); ok {
				m.inside(ref, m.see)
			}
		}
		return true
	case ast.Ref:
		if p, ok := m.placeOf(x); ok {
			m.root.reach(p.path, true)
			m.everySeverity(x, p)
		}
		m.inside(x, m.see)
		return true
	case ast.Var: // the compiler makes references of these; if one stays, it counts
		if x.Equal(ast.InputRootDocument.Value) {
			m.root.reach(nil, true)
			m.some.least = leastSevere
		}
	}
	return false
}

// inside walks what a reference holds besides the variable at its head.
func (m *mentioning) inside(r ast.Ref, fn func(any) bool) {
	for i, t := range r {
		if _, isVar := t.Value.(ast.Var); i > 0 || !isVar {
			ast.NewGenericVisitor(fn).Walk(t)
		}
	}
}

// alias is what an equation says of a variable that stands alone nowhere else: the
// place of the input that it stands for.
func (m *mentioning) alias(e *ast.Expr) (ast.Var, place, bool) {
	if e.Negated || len(e.With) > 0 || !isEquation(e) {
		return "", place{}, false
	}
	for i := range 2 {
		v, isVar := e.Operand(i).Value.(ast.Var)
		ref, isRef := e.Operand(1 - i).Value.(ast.Ref)
		if !isVar || !isRef || m.bare[v] != 1 {
			continue
		}
		if p, ok := m.placeOf(ref); ok && p.fixed {
			return v, p, true
		}
	}
	return "", place{}, false
}

// placeOf follows a reference into the input; ok is false when it does not lead there.
func (m *mentioning) placeOf(r ast.Ref) (p place, ok bool) {
	p = place{shape: m.shape}
	if !r[0].Equal(ast.InputRootDocument) {
		v, isVar := r[0].Value.(ast.Var)
		if p, ok = m.aliases[v]; !isVar || !ok {
			return place{}, false
		}
		p.path = slices.Clone(p.path)
	}
	p.fixed = true
	for _, t := range r[1:] {
		name, constant := t.Value.(ast.String)
		switch {
		case p.shape != nil && p.shape.Type == "array":
			p.path, p.shape = append(p.path, element), p.shape.Items
		case !constant:
			p.fixed = false
			return p, true
		case p.shape != nil:
			p.path, p.shape = append(p.path, string(name)), p.shape.Properties[string(name)]
		default:
			p.path = append(p.path, string(name))
		}
	}
	return p, true
}
