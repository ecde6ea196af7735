package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Many rules only count: `count(input.findings.vulnerabilities) > 0`, or
// `count([v | some v in input.findings.vulnerabilities; v.severity == "HIGH"]) > 5`. Of a
// list that is counted nothing is seen but its length, so that its elements may be empty
// objects; of a list that is collected to be counted, what its conditions see. That does
// not hold for sets, in which what is equal counts once, and for objects and texts.

// counted is what a rule counts.
type counted struct {
	vars     map[ast.Var]bool // that are counted
	followed map[ast.Var]bool // at the head of a reference
	// lists are comprehensions of which nothing is looked at but the length.
	lists map[*ast.ArrayComprehension]bool
}

func newCounted() counted {
	return counted{vars: map[ast.Var]bool{}, followed: map[ast.Var]bool{}, lists: map[*ast.ArrayComprehension]bool{}}
}

// countOf is what an expression counts; nil when it does not count.
func countOf(e *ast.Expr) *ast.Term {
	if len(e.With) > 0 || !e.IsCall() || operatorOf(e) != "count" || len(e.Operands()) != 2 {
		return nil
	}
	return e.Operand(0)
}

// countingOf notes a variable that an expression counts, which is no other use of it;
// false when the expression does something else.
func (m *mentioning) countingOf(e *ast.Expr) bool {
	t := countOf(e)
	if t == nil || !isVar(t) {
		return false
	}
	m.counted.vars[t.Value.(ast.Var)] = true
	ast.NewGenericVisitor(m.counting).Walk(e.Operand(1))
	return true
}

// onlyCounted finds the lists that are made to be counted and for nothing else. What they
// collect is not mentioned by that.
func (m *mentioning) onlyCounted(r *ast.Rule) {
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if !isEquation(e) || len(e.With) > 0 {
			return false
		}
		for i := range 2 {
			v, isVar := e.Operand(i).Value.(ast.Var)
			list, isList := e.Operand(1 - i).Value.(*ast.ArrayComprehension)
			if !isVar || !isList || !m.counted.vars[v] || m.counted.followed[v] || m.bare[v] != 1 || m.counted.lists[list] {
				continue
			}
			if of, ok := list.Term.Value.(ast.Var); ok {
				m.counted.lists[list] = true
				m.bare[of]--
			}
		}
		return false
	})
}

// seeCount notes what an expression sees that counts; false when it does not.
func (m *mentioning) seeCount(e *ast.Expr) bool {
	t := countOf(e)
	if t == nil {
		return false
	}
	ref, isRef := t.Value.(ast.Ref)
	if v, isVar := t.Value.(ast.Var); isVar {
		if _, known := m.aliases[v]; !known {
			ast.NewGenericVisitor(m.see).Walk(e.Operand(1))
			return true // what it stands for is seen where it is set
		}
		ref, isRef = ast.Ref{t}, true
	}
	if !isRef {
		return false
	}
	p, ok := m.placeOf(ref)
	switch {
	case !ok:
		return false
	case p.fixed && p.shape != nil && p.shape.Type == "array" && p.shape.Items != nil:
		m.root.reach(append(p.path, element), false)
		if slices.Equal(p.path, vulnerable[:]) {
			m.some.counted = true
		}
	default:
		m.root.reach(p.path, true)
		m.everySeverity(ref, p)
	}
	m.inside(ref, m.see)
	ast.NewGenericVisitor(m.see).Walk(e.Operand(1))
	return true
}
