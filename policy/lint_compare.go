package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// comparison checks the comparisons of one rule against the schema: a text
// with a number, and words that a field never has (severity == "critical").
type comparison struct {
	c      *ast.Compiler
	input  *shape
	shapes map[ast.Var]*shape
	values map[ast.Var]*ast.Term
	texts  map[ast.Var]string // what a generated variable stands for
	ps     Problems
}

// lintComparisons works on the compiled rule, in which every variable has one
// name and every assignment is an equation.
func lintComparisons(c *ast.Compiler, rule *ast.Rule, input *shape) Problems {
	l := comparison{c: c, input: input, shapes: map[ast.Var]*shape{}, values: map[ast.Var]*ast.Term{}, texts: map[ast.Var]string{}}
	for range 8 { // an equation may come before the one that it needs
		before := len(l.shapes) + len(l.values)
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			if isCall(e, "eq", "assign") {
				l.learn(e.Operand(0), e.Operand(1))
				l.learn(e.Operand(1), e.Operand(0))
			}
			if every, ok := e.Terms.(*ast.Every); ok {
				if v, ok := every.Value.Value.(ast.Var); ok && l.shapes[v] == nil {
					if s := l.shape(every.Domain); s != nil && s.Items != nil {
						l.shapes[v] = s.Items
					}
				}
			}
			return false
		})
		if len(l.shapes)+len(l.values) == before {
			break
		}
	}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		switch {
		case isCall(e, "eq", "equal", "neq"):
			l.compare(e, e.Operand(0), e.Operand(1), false)
			l.compare(e, e.Operand(1), e.Operand(0), false)
		case isCall(e, "lt", "lte", "gt", "gte"):
			l.compare(e, e.Operand(0), e.Operand(1), true)
			l.compare(e, e.Operand(1), e.Operand(0), true)
		case isCall(e, "internal.member_2"):
			for _, value := range elements(l.constant(e.Operand(1))) {
				l.compare(e, e.Operand(0), value, false)
			}
		}
		return false
	})
	return l.ps
}

func isCall(e *ast.Expr, names ...string) bool {
	return e.IsCall() && len(e.Operands()) >= 2 && slices.Contains(names, operatorOf(e))
}

// learn notes what a variable stands for.
func (l *comparison) learn(v, value *ast.Term) {
	name, ok := v.Value.(ast.Var)
	if !ok {
		return
	}
	if s := l.shape(value); s != nil && l.shapes[name] == nil {
		l.shapes[name], l.texts[name] = s, value.String()
	}
	if v := l.constant(value); v != nil && l.values[name] == nil {
		l.values[name] = v
	}
}

// shape is what the schema says of a term, nil when nothing.
func (l *comparison) shape(t *ast.Term) *shape {
	switch v := t.Value.(type) {
	case ast.Var:
		return l.shapes[v]
	case ast.Ref:
		var s *shape
		if v[0].Equal(ast.InputRootDocument) {
			s = l.input
		} else if name, ok := v[0].Value.(ast.Var); ok {
			s = l.shapes[name]
		}
		for _, step := range v[1:] {
			s = s.step(step)
		}
		return s
	}
	return nil
}

// constant is the fixed value of a term, nil when it has none: a literal, a
// variable that is one, or a rule without a body.
func (l *comparison) constant(t *ast.Term) *ast.Term {
	switch v := t.Value.(type) {
	case ast.Var:
		return l.values[v]
	case ast.Ref:
		if !v[0].Equal(ast.DefaultRootDocument) || !v.IsGround() {
			return nil
		}
		rules := l.c.GetRulesExact(v)
		if len(rules) == 1 && rules[0].Head.Value != nil && ast.IsConstant(rules[0].Head.Value.Value) {
			return rules[0].Head.Value
		}
		return nil
	}
	if ast.IsConstant(t.Value) {
		return t
	}
	return nil
}

func elements(t *ast.Term) []*ast.Term {
	if t == nil {
		return nil
	}
	var list []*ast.Term
	add := func(t *ast.Term) { list = append(list, t) }
	switch v := t.Value.(type) {
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	case ast.Object:
		v.Foreach(func(_, v *ast.Term) { add(v) })
	}
	return list
}

// compare reports a field that can never be, or be ordered against, a value.
func (l *comparison) compare(e *ast.Expr, field, value *ast.Term, ordered bool) {
	s, v := l.shape(field), l.constant(value)
	if s == nil || v == nil || s.Type == "" {
		return
	}
	name := l.name(field)
	if got := jsonType(v); !fits(s.Type, got) {
		l.ps = append(l.ps, at(e.Location, "%s is a %s and is compared with the %s %s", name, s.Type, got, v))
		return
	}
	text, ok := v.Value.(ast.String)
	if !ok || len(s.Enum) == 0 {
		return
	}
	words := fmt.Sprint(s.Enum...)
	if list := quoted(s.Enum); len(list) > 0 {
		words = strings.Join(list, ", ")
	}
	switch {
	case ordered:
		l.ps = append(l.ps, at(e.Location, "%s is a word and has no order: write `%s in {%s}` with the ones you mean", name, name, words))
	case !slices.Contains(s.Enum, any(string(text))):
		l.ps = append(l.ps, at(e.Location, "%s is never %s: it is one of %s", name, v, words))
	}
}

func quoted(enum []any) []string {
	var list []string
	for _, e := range enum {
		list = append(list, fmt.Sprintf("%q", e))
	}
	return list
}

// name is a field as the author wrote it.
func (l *comparison) name(t *ast.Term) string {
	text := t.String()
	for range 4 { // a generated variable may stand for another
		text = localName.ReplaceAllStringFunc(text, func(local string) string {
			if v, ok := l.c.RewrittenVars[ast.Var(local)]; ok {
				return string(v)
			}
			if s, ok := l.texts[ast.Var(local)]; ok {
				return s
			}
			return "_"
		})
	}
	return text
}

func jsonType(t *ast.Term) string {
	switch t.Value.(type) {
	case ast.String:
		return "string"
	case ast.Number:
		return "number"
	case ast.Boolean:
		return "boolean"
	case ast.Null:
		return "null"
	case *ast.Array:
		return "array"
	case ast.Object:
		return "object"
	}
	return "set"
}

// fits compares a schema's type with a value's.
func fits(schema, value string) bool {
	return schema == value || schema == "integer" && value == "number"
}
