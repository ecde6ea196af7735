package policy

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// check looks at every condition of a body, also inside comprehensions.
func (s *scope) check(body ast.Body) {
	ast.WalkExprs(body, func(e *ast.Expr) bool {
		s.checkReads(e)
		switch {
		case len(e.With) > 0: // the documents are others there
		case e.IsEvery(), isEquation(e):
		case e.IsCall():
			s.checkCall(e)
		default:
			if t, ok := e.Terms.(*ast.Term); ok {
				s.checkTruth(e, s.value(t), s.always(t), t.String())
			}
		}
		return false
	})
	for _, e := range body {
		s.dead = s.dead || s.never[e]
		if s.guard(e) {
			s.guards++
		}
	}
}

// checkCall looks at a call: at what it calls, and at its own value when it is
// a condition.
func (s *scope) checkCall(e *ast.Expr) {
	if operatorOf(e) == "sprintf" {
		s.checkSprintf(e)
	}
	r := s.call(e)
	s.ps, s.sure = append(s.ps, r.ps...), append(s.sure, r.sure...)
	if r.dead && len(r.ps) > 0 && !e.Negated {
		s.never[e] = true
	}
	if !r.captured && len(r.ps) == 0 {
		s.checkTruth(e, r.value, r.certain, s.callText(e, len(e.Operands())))
	}
}

// checkTruth reports a condition whose value is always there and never false:
// it always holds, and its negation never does. What is a constant of the set is
// a choice of its author.
func (s *scope) checkTruth(e *ast.Expr, k *known, always bool, text string) {
	if !always || !k.neverFalse() || len(k.options) > 0 {
		return
	}
	name := s.name(text)
	if e.Negated {
		s.never[e] = true
		s.problem(e, "`not %s` never holds: %s is %s, and always there; %s", name, name, k.words(), instead(name, k, true))
		return
	}
	s.problem(e, "`%s` always holds and decides nothing: it is %s, and always there; %s", name, k.words(), instead(name, k, false))
}

func (s *scope) problem(e *ast.Expr, format string, args ...any) {
	s.ps = append(s.ps, s.at(e.Location, format, args...))
}

// at is a problem that names the call that brought the arguments.
func (s *scope) at(loc *ast.Location, format string, args ...any) Problem {
	p := at(loc, format, args...)
	if s.via != "" {
		p.Text += viaMark + s.via + ")"
	}
	return p
}

// words name the kinds of value.
func (k *known) words() string {
	var list []string
	for _, w := range []struct {
		kind kinds
		word string
	}{
		{kindText, "a text"}, {kindNumber, "a number"}, {kindNull, "null"},
		{kindArray, "a list"}, {kindSet, "a set"}, {kindObject, "an object"},
	} {
		if k.kinds&w.kind != 0 {
			list = append(list, w.word)
		}
	}
	return strings.Join(list, " or ")
}

// instead is the comparison that an author means by a bare condition, or by its
// negation.
func instead(name string, k *known, negated bool) string {
	write := func(positive, negative string) string {
		if negated {
			positive = negative
		}
		return fmt.Sprintf("write `%s %s`", name, positive)
	}
	size := func() string {
		if negated {
			return fmt.Sprintf("write `count(%s) == 0`", name)
		}
		return fmt.Sprintf("write `count(%s) > 0`", name)
	}
	switch {
	case k.schema != nil && len(k.schema.Enum) > 0 && k.schema.NotKnown == "":
		return fmt.Sprintf("write `%s in {…}` with the values that you mean, out of %s", name, strings.Join(quoted(k.schema.Enum), ", "))
	case k.schema != nil && k.schema.NotKnown != "":
		return write(fmt.Sprintf("!= %q", k.schema.NotKnown), fmt.Sprintf("== %q", k.schema.NotKnown))
	case k.kinds == kindText:
		return write(`!= ""`, `== ""`)
	case k.kinds == kindNumber && k.schema != nil && k.schema.unknownIsNegative():
		return write(">= 0", "== -1") + " (-1 stands for what is not known)"
	case k.kinds == kindNumber:
		return write("> 0", "== 0")
	case k.kinds == kindObject && k.schema != nil && len(k.schema.Properties) > 0:
		return fmt.Sprintf("compare one of its fields, such as %s.%s", name, k.schema.Required[0])
	case k.kinds&^(kindArray|kindSet|kindObject) == 0:
		return size()
	}
	return "compare it with a value"
}

// guard reports whether an expression may hold or not.
func (s *scope) guard(e *ast.Expr) bool {
	switch {
	case len(e.With) > 0, e.IsEvery():
		return true
	case isEquation(e):
		return !s.assigns(e, e.Operand(0), e.Operand(1)) && !s.assigns(e, e.Operand(1), e.Operand(0))
	case e.IsCall():
		r := s.call(e)
		if r.captured {
			return !r.certain
		}
		return len(r.ps) == 0 && !(r.certain && r.value.neverFalse())
	}
	t, ok := e.Terms.(*ast.Term)
	if !ok {
		return true
	}
	if b, ok := t.Value.(ast.Boolean); ok {
		return bool(b) == e.Negated
	}
	return !(s.always(t) && s.value(t).neverFalse())
}

// assigns reports whether an equation does no more than give variables values
// that are always there.
func (s *scope) assigns(e *ast.Expr, pattern, t *ast.Term) bool {
	switch p := pattern.Value.(type) {
	case ast.Var:
		return s.first[p] == e && s.always(t)
	case *ast.Array:
		other, ok := t.Value.(*ast.Array)
		if !ok || other.Len() != p.Len() {
			return false
		}
		for i := range p.Len() {
			if !s.assigns(e, p.Elem(i), other.Elem(i)) {
				return false
			}
		}
		return true
	}
	return false
}
