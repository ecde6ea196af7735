package policy

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// viaMark begins the part of a message that names a call.
const viaMark = " (in the call "

// partialBuiltins may have no value where there is no error: of an empty
// collection there is no greatest element.
var partialBuiltins = map[string]bool{"max": true, "min": true}

// wholeBuiltins give numbers that are never fractions.
var wholeBuiltins = map[string]bool{
	"count": true, "floor": true, "ceil": true, "round": true, "indexof": true, "strings.count": true,
	"semver.compare": true, "time.parse_rfc3339_ns": true, "time.parse_duration_ns": true, "time.add_date": true,
}

// result is what is known of a call.
type result struct {
	value *known
	// certain says that it always has a value, dead that it never holds.
	certain, dead bool
	// captured says that the last operand takes the value: the call is no
	// condition by itself.
	captured bool
	ps, sure Problems
}

// call is what is known of an expression that is a call.
func (s *scope) call(e *ast.Expr) result {
	operands := e.Operands()
	ref := e.Operator()
	if ref[0].Equal(ast.DefaultRootDocument) {
		rules := s.flow.c.GetRulesExact(ref)
		if len(rules) == 0 {
			return result{value: unknown(), captured: true}
		}
		arity := len(rules[0].Head.Args)
		args := make([]*known, 0, arity)
		for _, o := range operands[:min(arity, len(operands))] {
			args = append(args, s.value(o))
		}
		via := s.name(s.callText(e, arity))
		if e.Location != nil {
			via += fmt.Sprintf(" at %s:%d", e.Location.File, e.Location.Row)
		}
		o := s.flow.call(ref, args, via)
		return result{value: o.value, certain: o.certain, dead: o.dead, captured: len(operands) > arity, ps: o.ps, sure: o.sure}
	}
	name := operatorOf(e)
	if name == weighName {
		return result{value: unknown(), captured: true, certain: true}
	}
	b := ast.BuiltinMap[name]
	if b == nil || b.Decl.Result() == nil || b.Relation {
		return result{value: unknown(), captured: true, certain: b != nil && !b.Relation}
	}
	arity := b.Decl.Arity()
	r := result{captured: len(operands) > arity, certain: !partialBuiltins[name]}
	r.value = s.builtin(name, operands[:min(arity, len(operands))])
	return r
}

// builtin is what a builtin gives.
func (s *scope) builtin(name string, o []*ast.Term) *known {
	switch name {
	case "object.get":
		if len(o) == 3 {
			found, always := s.path(o[0], o[1], nil)
			if always {
				return found
			}
			return join(found, s.value(o[2]))
		}
	case "object.filter", "object.remove":
		k := *s.value(o[0])
		k.loose, k.fields, k.options = true, nil, nil
		return &k
	case "array.slice", "array.reverse", "sort":
		return &known{kinds: kindArray, items: s.value(o[0]).element()}
	case "array.concat":
		return &known{kinds: kindArray, items: join(s.value(o[0]).element(), s.value(o[1]).element())}
	case "or", "and":
		return &known{kinds: kindSet, items: join(s.value(o[0]).element(), s.value(o[1]).element())}
	case "max", "min":
		return s.value(o[0]).element()
	case "plus", "minus", "mul":
		k := knownOfType(ast.BuiltinMap[name].Decl.Result())
		if a, b := s.value(o[0]), s.value(o[1]); k.kinds == kindNumber || a.kinds == kindNumber && b.kinds == kindNumber {
			return &known{kinds: kindNumber, whole: a.whole && b.whole}
		}
		return k
	}
	k := knownOfType(ast.BuiltinMap[name].Decl.Result())
	k.whole = wholeBuiltins[name]
	return k
}

// path follows a key, or an array of keys, as object.get does.
func (s *scope) path(object, key *ast.Term, see func(*known)) (k *known, always bool) {
	k, always = s.value(object), true
	keys := []*known{s.value(key)}
	if kk := keys[0]; kk.kinds == kindArray {
		if kk.tuple == nil {
			return unknown(), false
		}
		keys = kk.tuple
	}
	for _, one := range keys {
		next, there := k.step(one)
		if next == nil {
			return nil, false
		}
		always = always && there
		if k = next; see != nil {
			see(k)
		}
	}
	return k, always
}

// learnCall binds the variable that takes the value of a call.
func (s *scope) learnCall(e *ast.Expr) {
	operands := e.Operands()
	if len(operands) == 0 || operatorOf(e) == weighName {
		return
	}
	last := operands[len(operands)-1]
	for _, o := range operands[:len(operands)-1] {
		if !s.ready(o) {
			return
		}
	}
	if operatorOf(e) == "walk" && len(operands) == 2 {
		s.bind(last, &known{kinds: kindArray, tuple: []*known{{kinds: kindArray}, unknown()}})
		return
	}
	if r := s.call(e); r.captured {
		if v, ok := last.Value.(ast.Var); ok && s.texts[v] == "" {
			s.texts[v] = s.callText(e, len(operands)-1)
		}
		s.bind(last, r.value)
	}
}

// callText is a call as its author wrote it.
func (s *scope) callText(e *ast.Expr, arity int) string {
	args := make([]string, 0, arity)
	for _, o := range e.Operands()[:min(arity, len(e.Operands()))] {
		args = append(args, o.String())
	}
	return fmt.Sprintf("%s(%s)", operatorOf(e), strings.Join(args, ", "))
}

// name is a term as its author wrote it.
func (s *scope) name(text string) string {
	for range 6 { // a generated variable may stand for another
		text = localName.ReplaceAllStringFunc(text, func(local string) string {
			if v, ok := s.flow.c.RewrittenVars[ast.Var(local)]; ok {
				return string(v)
			}
			if t, ok := s.texts[ast.Var(local)]; ok {
				return t
			}
			return local
		})
	}
	return strings.ReplaceAll(localName.ReplaceAllString(text, "_"), "data."+rulePackage+".", "")
}
