package policy

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scope is what is known of the variables of one rule. In a compiled rule every
// variable has one name, also in comprehensions, and every assignment is an
// equation.
type scope struct {
	flow    *flow
	vars    map[ast.Var]*known
	texts   map[ast.Var]string // what a variable stands for, as it was written
	via     string             // the call that brought the arguments, "" for none
	first   map[ast.Var]*ast.Expr
	lenient bool               // of learn: variables that are not known now will not be
	never   map[*ast.Expr]bool // what never holds
	ps      Problems
	sure    Problems // see outcome
	guards  int
	dead    bool
}

func newScope(f *flow, via string) *scope {
	return &scope{
		flow: f, via: via, vars: map[ast.Var]*known{}, texts: map[ast.Var]string{},
		first: map[ast.Var]*ast.Expr{}, never: map[*ast.Expr]bool{},
	}
}

// order notes where each variable of a body is seen first. Those of the head
// have values before.
func (s *scope) order(r *ast.Rule) {
	see := func(x any, e *ast.Expr) {
		ast.WalkVars(x, func(v ast.Var) bool {
			if _, ok := s.first[v]; !ok {
				s.first[v] = e
			}
			return false
		})
	}
	for _, arg := range r.Head.Args {
		see(arg, nil)
	}
	for _, e := range r.Body {
		see(e, e)
	}
}

// learn gives the variables their values. An equation may come before the one
// that it needs: constants are first, since they are keys of references, then
// what rests on known variables alone, then the rest.
func (s *scope) learn(body ast.Body) {
	s.pass(body, s.learnConstant)
	for _, s.lenient = range []bool{false, true} {
		for before := -1; before != len(s.vars); {
			before = len(s.vars)
			s.pass(body, s.learnFrom)
		}
	}
}

// pass looks at all expressions that say something of their variables; x = 1
// under not says nothing of x.
func (s *scope) pass(body ast.Body, learn func(*ast.Expr)) {
	ast.WalkExprs(body, func(e *ast.Expr) bool {
		if !e.Negated {
			learn(e)
		}
		return false
	})
}

func (s *scope) learnFrom(e *ast.Expr) {
	switch {
	case e.IsEvery():
		if every := e.Terms.(*ast.Every); s.ready(every.Domain) {
			s.bind(every.Value, s.value(every.Domain).element())
		}
	case isEquation(e):
		s.equate(e.Operand(0), e.Operand(1))
		s.equate(e.Operand(1), e.Operand(0))
	case e.IsCall():
		s.learnCall(e)
	}
}

func (s *scope) learnConstant(e *ast.Expr) {
	if !isEquation(e) {
		return
	}
	for i := range 2 {
		if v, c := e.Operand(i), e.Operand(1-i); isVar(v) && ast.IsConstant(c.Value) {
			s.bind(v, s.value(c))
		}
	}
}

func isEquation(e *ast.Expr) bool {
	return e.IsCall() && len(e.Operands()) == 2 && (operatorOf(e) == "eq" || operatorOf(e) == "assign")
}

// operatorOf is the name of what an expression calls, as it was written.
func operatorOf(e *ast.Expr) string { return strings.TrimPrefix(e.Operator().String(), boundedPrefix) }

// equate binds the variables of a pattern to a term.
func (s *scope) equate(pattern, t *ast.Term) {
	switch p := pattern.Value.(type) {
	case ast.Var:
		if s.texts[p] == "" && !isVar(t) {
			s.texts[p] = t.String()
		}
		if s.ready(t) {
			s.bind(pattern, s.value(t))
		}
	case *ast.Array:
		other, ok := t.Value.(*ast.Array)
		if ok && other.Len() == p.Len() {
			for i := range p.Len() {
				s.equate(p.Elem(i), other.Elem(i))
			}
		} else if s.ready(t) {
			s.bind(pattern, s.value(t))
		}
	case ast.Object:
		if s.ready(t) {
			s.bind(pattern, s.value(t))
		}
	}
}

func isVar(t *ast.Term) bool {
	_, ok := t.Value.(ast.Var)
	return ok
}

// ready reports whether the variables that a term's value rests on are known,
// or will not be.
func (s *scope) ready(t *ast.Term) bool {
	if s.lenient {
		return true
	}
	switch v := t.Value.(type) {
	case ast.Var:
		return s.vars[v] != nil
	case ast.Ref:
		return ast.RootDocumentNames.Contains(v[0]) || s.ready(v[0])
	case *ast.Array:
		return !v.Until(func(e *ast.Term) bool { return !s.ready(e) })
	case ast.Set:
		return !v.Until(func(e *ast.Term) bool { return !s.ready(e) })
	case ast.Object:
		return !v.Until(func(_, e *ast.Term) bool { return !s.ready(e) })
	case *ast.ArrayComprehension:
		return s.ready(v.Term)
	case *ast.SetComprehension:
		return s.ready(v.Term)
	case *ast.ObjectComprehension:
		return s.ready(v.Value)
	}
	return true
}

// bind gives the variables of a pattern the parts of a value. A variable that
// is also compared with a constant is that constant, whatever else is known.
func (s *scope) bind(pattern *ast.Term, k *known) {
	switch p := pattern.Value.(type) {
	case ast.Var:
		if old := s.vars[p]; old == nil {
			s.vars[p] = k
		} else if len(old.options) == 0 && len(k.options) == 1 && old.kinds&k.kinds != 0 {
			both := *old
			both.options = k.options
			s.vars[p] = &both
		}
	case *ast.Array:
		for i := range p.Len() {
			if next, _ := k.step(knownOfConstant(ast.InternedTerm(i))); next != nil {
				s.bind(p.Elem(i), next)
			}
		}
	case ast.Object:
		p.Foreach(func(key, v *ast.Term) {
			if next, _ := k.step(s.value(key)); next != nil {
				s.bind(v, next)
			}
		})
	}
}

// value is what is known of a term.
func (s *scope) value(t *ast.Term) *known {
	if t == nil {
		return unknown()
	}
	switch v := t.Value.(type) {
	case ast.Var:
		if k := s.vars[v]; k != nil {
			return k
		}
		return unknown()
	case ast.Ref:
		k, _ := s.ref(v, nil)
		return k
	case *ast.Array:
		k := &known{kinds: kindArray, tuple: []*known{}}
		for i := range v.Len() {
			k.tuple = append(k.tuple, s.value(v.Elem(i)))
		}
		return k
	case ast.Set:
		k := &known{kinds: kindSet}
		v.Foreach(func(e *ast.Term) { k.items = join(k.items, s.value(e)) })
		return k
	case ast.Object:
		return s.object(v)
	case *ast.ArrayComprehension:
		return &known{kinds: kindArray, items: s.value(v.Term)}
	case *ast.SetComprehension:
		return &known{kinds: kindSet, items: s.value(v.Term)}
	case *ast.ObjectComprehension:
		return &known{kinds: kindObject, items: s.value(v.Value)}
	}
	return knownOfConstant(t)
}

func (s *scope) object(o ast.Object) *known {
	k := &known{kinds: kindObject, fields: map[string]*known{}}
	o.Foreach(func(key, v *ast.Term) {
		if name, ok := key.Value.(ast.String); ok && k.fields != nil {
			k.fields[string(name)] = s.value(v)
			return
		}
		k.fields, k.items = nil, join(k.items, s.value(v))
	})
	return k
}

// ref follows a reference. always says that it leads to something whatever the
// input is, given that its variables have values; see gets each place of the
// input that it passes, in order.
func (s *scope) ref(r ast.Ref, see func(*known)) (k *known, always bool) {
	first := 1
	switch head, ok := r[0].Value.(ast.Var); {
	case r[0].Equal(ast.InputRootDocument):
		k, always = knownOfSchema(s.flow.input), true
	case r[0].Equal(ast.DefaultRootDocument):
		k, always, first = s.flow.document(r)
	case ok && s.vars[head] != nil:
		k, always = s.vars[head], true
	default:
		return unknown(), false
	}
	for _, t := range r[first:] {
		next, there := k.step(s.value(t))
		if next == nil {
			return unknown(), false
		}
		always = always && there
		if k = next; see != nil {
			see(k)
		}
	}
	return k, always
}

// always reports whether a term has a value whatever the input is.
func (s *scope) always(t *ast.Term) bool {
	switch v := t.Value.(type) {
	case ast.Ref:
		_, always := s.ref(v, nil)
		return always
	case *ast.Array:
		for i := range v.Len() {
			if !s.always(v.Elem(i)) {
				return false
			}
		}
	case ast.Object:
		all := true
		v.Foreach(func(_, v *ast.Term) { all = all && s.always(v) })
		return all
	}
	return true
}
