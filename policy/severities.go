package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// Most rules look at severe vulnerabilities only: `some v in
// input.findings.vulnerabilities; v.severity == "CRITICAL"`. Where a body says so of
// each vulnerability before it does anything that can fail, those that are less severe
// make no difference to it, and an input without them gives the same answer.

// selection says which vulnerabilities a set can tell from none.
type selection struct {
	// least is the place in gate.Severities of the least severe of them, noSeverity when
	// there are none.
	least int
	// counted says that the rules see how many there are in all.
	counted bool
}

// noSeverity is before the first of gate.Severities.
const noSeverity = -1

// plus is what either sees.
func (s selection) plus(o selection) selection {
	return selection{max(s.least, o.least), s.counted || o.counted}
}

// alike is what the vulnerabilities that are told from none have in common with others,
// "" when there are none of them; of findings that are summarized.
func (s selection) alike(f *gate.FindingsSummary) string {
	if s.least == noSeverity {
		return ""
	}
	return f.Alike[s.least]
}

// vulnerable is the place of the vulnerabilities.
var vulnerable = [...]string{"findings", "vulnerabilities"}

// severities notes of each variable of a body that stands for any vulnerability how
// severe it must be.
func (m *mentioning) severities(body ast.Body) {
	for i, e := range body {
		v, p, ok := m.alias(e)
		if !ok || !slices.Equal(p.path, append(vulnerable[:], element)) || !m.any(e) {
			continue
		}
		if least, ok := m.required(body[i+1:], v); ok {
			m.severe[v] = least
		}
	}
}

// any reports whether an equation runs through a whole list: its index is a variable
// that is used nowhere else.
func (m *mentioning) any(e *ast.Expr) bool {
	for i := range 2 {
		if ref, ok := e.Operand(i).Value.(ast.Ref); ok {
			index, ok := ref[len(ref)-1].Value.(ast.Var)
			return ok && m.bare[index] == 1
		}
	}
	return false
}

// required is the least severity that the expressions after an equation require of its
// variable, before any that may fail or ask another rule.
func (m *mentioning) required(rest ast.Body, v ast.Var) (least int, ok bool) {
	names := []ast.Var{} // for the severity
	for _, e := range rest {
		if e.Negated || len(e.With) > 0 || !e.IsCall() {
			return 0, false
		}
		operands := e.Operands()
		isSeverity := func(t *ast.Term) bool {
			name, isVar := t.Value.(ast.Var)
			ref, isRef := t.Value.(ast.Ref)
			return isVar && slices.Contains(names, name) ||
				isRef && len(ref) == 2 && ref[0].Equal(ast.NewTerm(v)) && ref[1].Equal(ast.StringTerm("severity"))
		}
		switch {
		case len(operands) != 2 || !m.harmless(operands[0]) || !m.harmless(operands[1]):
			return 0, false
		case isEquation(e):
			for i, t := range operands {
				if !isSeverity(t) {
					continue
				}
				if name, ok := operands[1-i].Value.(ast.Var); ok {
					names = append(names, name)
				} else if least, ok := rankOf(operands[1-i]); ok {
					return least, true
				}
			}
		case operatorOf(e) == "internal.member_2" && isSeverity(operands[0]):
			if least, ok := rankOf(operands[1]); ok {
				return least, true
			}
		case !slices.Contains([]string{"equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2"}, operatorOf(e)):
			return 0, false
		}
	}
	return 0, false
}

// harmless reports whether a term only names or reads something of the input.
func (m *mentioning) harmless(t *ast.Term) bool {
	if ref, ok := t.Value.(ast.Ref); ok {
		_, of := m.placeOf(ref)
		return of && !slices.ContainsFunc(ref[1:], func(t *ast.Term) bool { _, ref := t.Value.(ast.Ref); return ref })
	}
	_, isVar := t.Value.(ast.Var)
	return isVar || t.IsGround() && !mentionsRef(t)
}

// rankOf is the place in gate.Severities of a constant, or of the least severe in a list
// of constants.
func rankOf(t *ast.Term) (rank int, ok bool) {
	list := []*ast.Term{t}
	switch t.Value.(type) {
	case *ast.Array, ast.Set:
		list = elements(t)
	}
	for _, e := range list {
		word, ok := e.Value.(ast.String)
		if !ok {
			return 0, false
		}
		rank = max(rank, gate.SeverityRank(gate.Severity(word)))
	}
	return rank, len(list) > 0
}

// ofSeverity notes a variable that is set to a place.
func (m *mentioning) ofSeverity(v ast.Var, p place) {
	if !throughVulnerabilities(p.path) {
		return
	}
	least, ok := m.severe[v]
	switch {
	case ok && len(p.path) == len(vulnerable)+1:
		m.some.least = max(m.some.least, least)
	case len(p.path) > len(vulnerable): // another variable of one, or a field of one
		m.some.least = leastSevere
	}
	// A variable for the whole list, or for more, is followed by what it is used for.
}

// everySeverity notes a reference that is not by a variable for a vulnerability.
func (m *mentioning) everySeverity(r ast.Ref, p place) {
	if !throughVulnerabilities(p.path) {
		return
	}
	if v, ok := r[0].Value.(ast.Var); ok && len(m.aliases[v].path) > len(vulnerable) {
		return // whose severity is noted where it is set
	}
	m.some.least = leastSevere
}

// throughVulnerabilities reports whether a place has vulnerabilities in it, or is in
// them.
func throughVulnerabilities(path []string) bool {
	n := min(len(path), len(vulnerable))
	return slices.Equal(path[:n], vulnerable[:n])
}
