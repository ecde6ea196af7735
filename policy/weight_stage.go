package policy

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

// A rule can build values that hold others many times: a list of 500 references
// to a list of 500 references to … costs 500 steps for each level, and comparing
// two of them, or walking through one, 500 steps to the power of the levels,
// which nothing can interrupt. So what rules build is weighed: a call of
// bounded.weigh is put behind each place that builds a value of other large
// values, and an evaluation that has built more than maxBuilt ends.
const (
	weighName = "weigh"
	// maxBuilt is the weight of all that an evaluation builds of large values.
	// Comparing so much takes about half a second.
	maxBuilt = 20_000_000
)

// weighFunction declares and implements bounded.weigh.
func weighFunction() (*ast.Builtin, func(*rego.Rego)) {
	decl := types.NewFunction(types.Args(types.A), types.B)
	name := boundedPrefix + weighName
	return &ast.Builtin{Name: name, Decl: decl}, rego.FunctionDyn(&rego.Function{Name: name, Decl: decl},
		func(bctx rego.BuiltinContext, o []*ast.Term) (*ast.Term, error) {
			if err := built(bctx, o[0]); err != nil {
				return nil, rego.NewHaltError(err)
			}
			return ast.InternedTerm(true), nil
		})
}

// built adds a value to what an evaluation has built.
func built(bctx rego.BuiltinContext, t *ast.Term) error {
	a, ok := bctx.Context.Value(spentKey{}).(*account)
	if !ok {
		a = newAccount() // of this call alone, in tests
	}
	if a.built += a.scale.weigh(t); a.built > maxBuilt {
		return fmt.Errorf("this evaluation has built values with more than %d parts; a value counts once for each value that contains it", maxBuilt)
	}
	return nil
}

// weighStage puts the calls into a compiled set.
func weighStage() ast.CompilerStageDefinition {
	return ast.CompilerStageDefinition{
		Name: "WeighValues", MetricName: "weigh_values",
		Stage: func(c *ast.Compiler) *ast.Error {
			f := newFlow(c)
			for _, m := range c.Modules {
				for _, rule := range m.Rules {
					for r := rule; r != nil; r = r.Else {
						s := newScope(f, "")
						s.learn(r.Body)
						w := weigher{s}
						w.inside(r.Head.Value)
						r.Body = w.body(r.Body, w.heads(r))
					}
				}
			}
			return nil
		},
	}
}

type weigher struct{ scope *scope }

// heads are the terms of a rule's head that collect values.
func (w weigher) heads(r *ast.Rule) []*ast.Term {
	switch {
	case r.Head.RuleKind() == ast.MultiValue:
		return []*ast.Term{r.Head.Key}
	case !r.Head.Ref().IsGround():
		return []*ast.Term{r.Head.Value}
	}
	return w.literals(r.Head.Value, nil)
}

// body weighs what the expressions of a body build, and further terms at its
// end.
func (w weigher) body(body ast.Body, last []*ast.Term) ast.Body {
	out := make(ast.Body, 0, len(body)+len(last))
	add := func(e *ast.Expr) {
		e.Index = len(out)
		out = append(out, e)
	}
	for _, e := range body {
		add(e)
		for _, t := range termsOf(e) {
			w.inside(t)
			for _, literal := range w.literals(t, nil) {
				add(weighing(literal, e.Location))
			}
		}
	}
	for _, t := range last {
		if w.large(t) {
			add(weighing(t, t.Location))
		}
	}
	return out
}

func weighing(t *ast.Term, loc *ast.Location) *ast.Expr {
	name := ast.NewTerm(ast.Ref{ast.VarTerm("bounded"), ast.StringTerm(weighName)})
	e := ast.NewExpr([]*ast.Term{name, t})
	e.Generated = true
	return e.SetLocation(loc)
}

// termsOf are the terms of an expression; of every, whose body is weighed too,
// its domain.
func termsOf(e *ast.Expr) []*ast.Term {
	switch t := e.Terms.(type) {
	case *ast.Term:
		return []*ast.Term{t}
	case []*ast.Term:
		return t
	case *ast.Every:
		return []*ast.Term{t.Domain}
	}
	return nil
}

// inside weighs what the comprehensions in a term collect.
func (w weigher) inside(t *ast.Term) {
	if t == nil {
		return
	}
	ast.WalkTerms(t, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case *ast.ArrayComprehension:
			v.Body = w.body(v.Body, []*ast.Term{v.Term})
		case *ast.SetComprehension:
			v.Body = w.body(v.Body, []*ast.Term{v.Term})
		case *ast.ObjectComprehension:
			v.Body = w.body(v.Body, []*ast.Term{v.Key, v.Value})
		default:
			return false
		}
		return true // body has seen to those below
	})
}

// literals are the lists, objects and sets in a term that hold more than one
// large value.
func (w weigher) literals(t *ast.Term, list []*ast.Term) []*ast.Term {
	if t == nil {
		return list
	}
	parts, large := parts(t), 0
	for _, p := range parts {
		if w.large(p) {
			large++
		}
	}
	if large > 1 {
		return append(list, t)
	}
	for _, p := range parts {
		list = w.literals(p, list)
	}
	return list
}

// parts are the elements of a literal.
func parts(t *ast.Term) (list []*ast.Term) {
	add := func(t *ast.Term) { list = append(list, t) }
	switch v := t.Value.(type) {
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	case ast.Object:
		v.Foreach(func(k, v *ast.Term) { add(k); add(v) })
	}
	return list
}

// large reports whether a term may have a value of many parts.
func (w weigher) large(t *ast.Term) bool {
	if ast.IsConstant(t.Value) {
		return false
	}
	k := w.scope.value(t)
	switch {
	case k.kinds&(kindArray|kindObject|kindSet) == 0:
		return false
	case k.schema != nil && k.schema.flat():
		return false
	case k.tuple != nil || k.fields != nil: // a literal of small values
		for _, p := range parts(t) {
			if w.large(p) {
				return true
			}
		}
		_, isVar := t.Value.(ast.Var)
		return isVar
	}
	return true
}

// flat reports whether an object of the input has single values only.
func (s *shape) flat() bool {
	for _, p := range s.Properties {
		if p.Type == "array" || p.Type == "object" {
			return false
		}
	}
	return len(s.Properties) > 0
}
