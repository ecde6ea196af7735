package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// flow follows values through the compiled rules of a set: what each term may
// be, whether it is always there, and which fields of the input it reads. It
// finds conditions that decide nothing ([flow.problems]).
type flow struct {
	c     *ast.Compiler
	input *shape
	calls map[string]*outcome // by rule and arguments
	ps    Problems
	said  map[string]bool // places and mistakes in ps
}

// maxCalls bounds how many calls of functions are followed, each with the
// arguments that it has. Real sets have some hundreds.
const maxCalls = 20_000

// outcome is what comes of one rule with certain arguments.
type outcome struct {
	value *known
	// certain says that it always has a value, dead that it never has.
	certain, dead bool
	// guards counts conditions that may go either way.
	guards int
	// ps are conditions that decide nothing here, which another definition of
	// the same function may excuse; sure is what nothing excuses.
	ps, sure Problems
}

func newFlow(c *ast.Compiler) *flow {
	return &flow{c: c, input: inputShape(), calls: map[string]*outcome{}, said: map[string]bool{}}
}

// problems lists the conditions that decide nothing, in all rules.
func (f *flow) problems() Problems {
	for _, name := range sortedModules(f.c) {
		for _, rule := range f.c.Modules[name].Rules {
			for r := rule; r != nil; r = r.Else {
				o := f.rule(r, nil, "")
				f.report(o.sure)
				f.report(o.ps)
			}
		}
	}
	return f.ps
}

func sortedModules(c *ast.Compiler) []string {
	names := make([]string, 0, len(c.Modules))
	for name := range c.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// report adds what was not said of its place before.
func (f *flow) report(ps Problems) {
	for _, p := range ps {
		mistake, _, _ := strings.Cut(p.Text, viaMark)
		key := fmt.Sprintf("%s:%d:%d %s", p.File, p.Row, p.Col, mistake)
		if !f.said[key] {
			f.said[key] = true
			f.ps = append(f.ps, p)
		}
	}
}

// rule analyses one rule without its else; args are nil when nothing is known of
// the arguments.
func (f *flow) rule(r *ast.Rule, args []*known, via string) *outcome {
	key := fmt.Sprintf("%p", r)
	for _, a := range args {
		key += "|" + a.key(6)
	}
	if o := f.calls[key]; o != nil {
		return o
	}
	o := &outcome{value: unknown()}
	if len(f.calls) >= maxCalls {
		return o
	}
	f.calls[key] = o // also what a cycle finds, which the compiler refuses
	s := newScope(f, via)
	for i, arg := range r.Head.Args {
		k := unknown()
		if i < len(args) {
			k = args[i]
		}
		s.bind(arg, k)
		if !isVar(arg) {
			s.guards++
		}
	}
	s.order(r)
	s.learn(r.Body)
	s.check(r.Body)
	o.ps, o.sure, o.guards, o.dead = s.ps, s.sure, s.guards, s.dead
	o.certain = s.guards == 0 && !s.dead
	o.value = s.head(r)
	return o
}

// head is the value of the document that a rule is part of.
func (s *scope) head(r *ast.Rule) *known {
	switch {
	case r.Head.RuleKind() == ast.MultiValue && len(r.Head.Ref()) == 1:
		return &known{kinds: kindSet, items: s.value(r.Head.Key)}
	case len(r.Head.Ref()) > 1 && !r.Head.Ref().IsGround():
		return &known{kinds: kindObject}
	case r.Head.RuleKind() == ast.MultiValue:
		return &known{kinds: kindSet, items: s.value(r.Head.Key)}
	case r.Head.Value == nil:
		return &known{kinds: kindBoolean}
	}
	return s.value(r.Head.Value)
}

// document is what data.… leads to: its value, whether it is always there, and
// how many elements of the reference name it.
func (f *flow) document(ref ast.Ref) (k *known, always bool, length int) {
	prefix := ref.ConstantPrefix()
	for n := len(prefix); n > 1; n-- {
		rules := f.c.GetRulesExact(prefix[:n])
		if len(rules) == 0 {
			continue
		}
		for _, rule := range rules {
			if len(rule.Head.Args) > 0 {
				return unknown(), false, n
			}
			if rule.Default || rule.Head.RuleKind() == ast.MultiValue || !rule.Head.Ref().IsGround() {
				always = true
			}
			for r := rule; r != nil; r = r.Else {
				o := f.rule(r, nil, "")
				k = join(k, o.value)
				always = always || o.certain
			}
		}
		return k, always, n
	}
	return unknown(), false, len(prefix)
}

// call follows a call of a function of the set.
func (f *flow) call(ref ast.Ref, args []*known, via string) *outcome {
	all := &outcome{dead: true}
	var ps Problems
	decides, wrong := false, false
	for _, rule := range f.c.GetRulesExact(ref) {
		if !accepts(rule, args) {
			continue
		}
		u := f.unit(rule, args, via)
		all.value = join(all.value, u.value)
		all.certain = all.certain || u.certain || rule.Default
		all.dead = all.dead && u.dead
		ps = append(ps, u.ps...)
		all.sure = append(all.sure, u.sure...)
		wrong = wrong || len(u.ps) > 0
		decides = decides || u.guards > 0
	}
	if all.value == nil {
		all.value, all.dead = unknown(), false
	}
	if wrong && !decides { // another definition may be the one that decides
		all.ps = ps
	}
	return all
}

// unit is a definition of a function with its else.
func (f *flow) unit(rule *ast.Rule, args []*known, via string) *outcome {
	u := &outcome{dead: true}
	for r := rule; r != nil; r = r.Else {
		o := f.rule(r, args, via)
		u.value = join(u.value, o.value)
		u.ps, u.sure = append(u.ps, o.ps...), append(u.sure, o.sure...)
		u.dead = u.dead && o.dead
		if !o.dead {
			u.guards += o.guards
		}
		if o.certain {
			u.certain = true
			break
		}
	}
	return u
}

// accepts reports whether a definition can be meant by a call: f("a", x) is not
// when the first argument is "b".
func accepts(rule *ast.Rule, args []*known) bool {
	for i, pattern := range rule.Head.Args {
		if i < len(args) && len(args[i].options) > 0 && ast.IsConstant(pattern.Value) &&
			!slices.ContainsFunc(args[i].options, pattern.Equal) {
			return false
		}
	}
	return true
}
