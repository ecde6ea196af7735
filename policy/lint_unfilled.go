package policy

import "github.com/open-policy-agent/opa/v1/ast"

// checkReads reports what an expression reads of places that this version never
// fills: a rule that rests on them decides the same for every image. What is filled
// where the cluster is watched is reported apart; see [Set.Watched].
func (s *scope) checkReads(e *ast.Expr) {
	walk := func(x *ast.Term) {
		ast.WalkTerms(x, func(t *ast.Term) bool {
			if ref, ok := t.Value.(ast.Ref); ok && !s.unfilled(ref[0]) {
				s.follow(t, e, func(see func(*known)) { s.ref(ref, see) })
			}
			return false
		})
	}
	switch terms := e.Terms.(type) {
	case *ast.Term:
		walk(terms)
	case []*ast.Term:
		for _, t := range terms {
			walk(t)
		}
	case *ast.Every:
		walk(terms.Domain)
	}
	for _, w := range e.With {
		walk(w.Value)
	}
	switch {
	case isEquation(e):
		s.checkPattern(e, e.Operand(0), e.Operand(1))
		s.checkPattern(e, e.Operand(1), e.Operand(0))
	case e.IsCall() && operatorOf(e) == "object.get" && len(e.Operands()) >= 3:
		s.follow(e.Operand(0), e, func(see func(*known)) { s.path(e.Operand(0), e.Operand(1), see) })
	case e.IsCall() && operatorOf(e) == "walk" && len(e.Operands()) == 2:
		if pattern, ok := e.Operand(1).Value.(*ast.Array); ok && pattern.Len() == 2 {
			s.follow(e.Operand(0), e, func(see func(*known)) { s.path(e.Operand(0), pattern.Elem(0), see) })
		}
	}
}

// checkPattern looks at the keys of {"namespaceLabels": labels, …} = value.
func (s *scope) checkPattern(e *ast.Expr, pattern, t *ast.Term) {
	o, ok := pattern.Value.(ast.Object)
	if !ok {
		return
	}
	o.Foreach(func(key, v *ast.Term) {
		if name, ok := v.Value.(ast.Var); ok && name.IsWildcard() {
			return
		}
		s.follow(key, e, func(see func(*known)) { s.path(t, key, see) })
	})
}

// follow reports the first place among those that steps passes that is never
// filled.
func (s *scope) follow(t *ast.Term, e *ast.Expr, steps func(see func(*known))) {
	if s.unfilled(t) {
		return // which was said where it came from
	}
	var found *shape
	steps(func(k *known) {
		if found == nil {
			found = k.unfilled
		}
	})
	if found == nil {
		return
	}
	loc := t.Location
	if loc == nil || loc.Row == 0 {
		loc = e.Location
	}
	if found.Watched {
		p := s.at(loc, "%s is filled only where the cluster is watched: set kubernetes.watch, or compare input.request.namespace with names", found.path)
		p.watched = true
		s.sure = append(s.sure, p)
		return
	}
	s.sure = append(s.sure, s.at(loc, "%s is not filled: %s", found.path, found.NotFilled))
}

func (s *scope) unfilled(t *ast.Term) bool {
	v, ok := t.Value.(ast.Var)
	return ok && s.vars[v] != nil && s.vars[v].unfilled != nil
}
