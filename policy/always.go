package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Always names the rules, as FILE:LINE, that deny every image because nothing
// in them depends on the input.
func (s *Set) Always() []string { return s.always }

func alwaysOf(c *ast.Compiler) []string {
	var list []string
	for _, r := range c.GetRulesExact(documentRef(ruleDeny)) {
		if !r.Default && holdsAlways(r.Body) {
			list = append(list, fmt.Sprintf("%s:%d", r.Location.File, r.Location.Row))
		}
	}
	return list
}

// holdsAlways is about a compiled body: nothing but true, and what the compiler
// moves out of the head.
func holdsAlways(body ast.Body) bool {
	for _, e := range body {
		if e.Negated || len(e.With) > 0 {
			return false
		}
		if t, ok := e.Terms.(*ast.Term); ok && ast.Boolean(true).Equal(t.Value) {
			continue
		}
		if !e.IsEquality() && !e.IsAssignment() {
			return false
		}
		name, ok := e.Operand(0).Value.(ast.Var)
		if !ok || !name.IsGenerated() || !e.Operand(1).IsGround() || mentionsRef(e.Operand(1)) {
			return false
		}
	}
	return true
}

func mentionsRef(t *ast.Term) bool {
	found := false
	ast.WalkRefs(t, func(ast.Ref) bool { found = true; return true })
	return found
}
