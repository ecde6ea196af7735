package policy

import (
	"math"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// Most rules look at the advisory data to say that it is old:
// `input.scan.advisories.ageHours > 7 * 24`, and then how old. While no such comparison
// holds, nothing else that they mention of the data is looked at: decisions are the same
// with any data, and hold until the first comparison does. So a new generation, or an
// hour more, does not have every decision made again.

// unseenAges is when the rules of a set see nothing of the advisory data in force: at ages
// from one number of whole hours to just before another. The nil value is never.
type unseenAges struct{ from, before int64 }

// anyAge is quiet at every age: for rules that do not look at the data at all.
func anyAge() *unseenAges { return &unseenAges{math.MinInt64, math.MaxInt64} }

// at reports whether nothing is seen at an age.
func (s *unseenAges) at(hours int64) bool { return s != nil && hours >= s.from && hours < s.before }

// period is the time around now, at which nothing is seen, in which nothing is.
func (s *unseenAges) period(a age, now time.Time) period {
	if a.hours(now) < 0 {
		return a.turn(now)
	}
	p := period{start: a.since.Add(-a.ahead)}
	if s.from > 0 {
		p.start = after(a.since, s.from)
	}
	if s.before < math.MaxInt64 {
		p.end = after(a.since, s.before)
	}
	return p
}

// quietOf finds out when a set sees nothing of the data: each body that mentions it
// compares its age with a number first, in an expression that nothing of the data comes
// before. A set that replaces parts of the input is never quiet: what is compared then is
// not the age.
func quietOf(c *ast.Compiler) *unseenAges {
	s, shape := anyAge(), inputShape()
	for _, module := range c.Modules {
		for _, rule := range module.Rules {
			if replaces(rule) || !s.narrow(newMentioning(&sight{}, shape, rule), rule) {
				return nil
			}
		}
	}
	return s
}

func replaces(r *ast.Rule) (found bool) {
	ast.WalkWiths(r, func(*ast.With) bool { found = true; return true })
	return found
}

// narrow takes away the ages at which the comparisons of a rule hold; false when it sees
// the data at any age.
func (s *unseenAges) narrow(m *mentioning, r *ast.Rule) bool {
	for ; r != nil; r = r.Else {
		b := &ageBody{mentioning: m, rule: r}
		if !s.body(b) && (b.ofAdvisories(r.Body) || b.ofAdvisories(r.Head)) {
			return false
		}
	}
	return true
}

// body reports whether a body compares the age before it mentions anything of the data.
// What comes after the comparison is not evaluated unless that holds.
func (s *unseenAges) body(b *ageBody) bool {
	for i, e := range b.rule.Body {
		if from, before, ok := b.comparesAge(e, b.rule.Body[:i]); ok {
			for _, later := range b.rule.Body[i+1:] {
				if !b.ofAdvisories(later) {
					continue
				}
				if selects(later) {
					return false
				}
				b.ages = append(b.ages, b.sets(later)...)
			}
			s.from, s.before = max(s.from, from), min(s.before, before)
			return true
		}
		if v, ok := b.names(e, i); ok {
			b.ages = append(b.ages, v)
		} else if b.ofAdvisories(e) {
			return false
		}
	}
	return false
}

// sets are the variables that an equation sets to something.
func (b *ageBody) sets(e *ast.Expr) (list []ast.Var) {
	if isEquation(e) {
		for _, t := range e.Operands() {
			if v, ok := t.Value.(ast.Var); ok {
				list = append(list, v)
			}
		}
	}
	return list
}

// ageBody is a body that is looked at; ages are variables that were set to the age so far,
// and after its comparison to anything of the data.
type ageBody struct {
	*mentioning
	rule *ast.Rule
	ages []ast.Var
}

// names reports whether an expression only gives the age a name that nothing before it
// has: the compiler does that before a comparison.
func (b *ageBody) names(e *ast.Expr, at int) (v ast.Var, ok bool) {
	if e.Negated || len(e.With) > 0 || !isEquation(e) {
		return "", false
	}
	for i := range 2 {
		v, isVar := e.Operand(i).Value.(ast.Var)
		if !isVar || !b.isAge(e.Operand(1-i)) {
			continue
		}
		used := func(x any) (found bool) {
			ast.WalkVars(x, func(w ast.Var) bool { found = found || w == v; return found })
			return found
		}
		return v, v.IsGenerated() && !used(b.rule.Body[:at]) && !used(b.rule.Head.Args)
	}
	return "", false
}

// selects reports whether an expression may keep a rule from being evaluated at all,
// wherever in the body it stands: OPA finds the rules that can hold by the values that
// they require of the input.
func selects(e *ast.Expr) bool {
	if !e.IsCall() {
		return false
	}
	switch operatorOf(e) {
	case "eq", "assign", "equal":
		constant := func(t *ast.Term) bool { return t.IsGround() && !mentionsRef(t) }
		return constant(e.Operand(0)) || constant(e.Operand(1))
	case "internal.member_2", "internal.member_3", "glob.match", "startswith":
		return true
	}
	return false
}

// advisoryData is the place of the data in force, advisoryAge that of its age.
var (
	advisoryData = []string{"scan", "advisories"}
	advisoryAge  = []string{"scan", "advisories", "ageHours"}
)

// ofAdvisories reports whether anything of x can see something of the data in force.
func (b *ageBody) ofAdvisories(x any) (found bool) {
	var look func(any) bool
	look = func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			if p, ok := b.placeOf(x); ok {
				n := min(len(p.path), len(advisoryData))
				found = found || slices.Equal(p.path[:n], advisoryData[:n])
			}
			b.inside(x, look)
			return true
		case ast.Var:
			p, alias := b.aliases[x]
			n := min(len(p.path), len(advisoryData))
			found = found || slices.Contains(b.ages, x) || x.Equal(ast.InputRootDocument.Value) || alias && slices.Equal(p.path[:n], advisoryData[:n])
		}
		return false
	}
	ast.NewGenericVisitor(look).Walk(x)
	return found
}

// comparesAge says at which ages a comparison of the age with a number does not hold.
func (b *ageBody) comparesAge(e *ast.Expr, earlier ast.Body) (from, before int64, ok bool) {
	if e.Negated || !e.IsCall() || len(e.Operands()) != 2 {
		return 0, 0, false
	}
	op := operatorOf(e)
	age, number := e.Operand(0), e.Operand(1)
	if !b.isAge(age) {
		age, number = number, age
		op = map[string]string{"gt": "lt", "gte": "lte", "lt": "gt", "lte": "gte"}[op]
	}
	n, known := numberOf(number, earlier)
	if !b.isAge(age) || !known {
		return 0, 0, false
	}
	from, before = math.MinInt64, math.MaxInt64
	switch op {
	case "gt":
		before = int64(math.Floor(n)) + 1
	case "gte":
		before = int64(math.Ceil(n))
	case "lt":
		from = int64(math.Ceil(n))
	case "lte":
		from = int64(math.Floor(n)) + 1
	default:
		return 0, 0, false
	}
	return from, before, true
}

func (b *ageBody) isAge(t *ast.Term) bool {
	if v, ok := t.Value.(ast.Var); ok {
		return slices.Contains(b.ages, v)
	}
	ref, ok := t.Value.(ast.Ref)
	if !ok || !ref[0].Equal(ast.InputRootDocument) {
		return false
	}
	p, ok := b.placeOf(ref)
	return ok && p.fixed && slices.Equal(p.path, advisoryAge)
}

// largestNumber is up to where numbers are followed.
const largestNumber = 1e9

// numberOf is a constant, or a variable that one of the expressions sets to a sum, a
// difference or a product of whole constants (7 * 24).
func numberOf(t *ast.Term, set ast.Body) (n float64, ok bool) {
	if number, constant := t.Value.(ast.Number); constant {
		n, ok = number.Float64()
		_, whole := number.Int64()
		// OPA compares every digit: 1.99999999999999999999 is less than 2, and not here.
		return n, ok && math.Abs(n) <= largestNumber && whole == isWhole(n)
	}
	if _, isVar := t.Value.(ast.Var); !isVar {
		return 0, false
	}
	for i, e := range set {
		if e.Negated || !e.IsCall() {
			continue
		}
		o := e.Operands()
		if isEquation(e) && o[0].Equal(t) {
			return numberOf(o[1], set[:i])
		}
		if len(o) != 3 || !o[2].Equal(t) {
			continue
		}
		x, okX := numberOf(o[0], set[:i])
		y, okY := numberOf(o[1], set[:i])
		switch operatorOf(e) {
		case "mul":
			n = x * y
		case "plus":
			n = x + y
		case "minus":
			n = x - y
		default:
			return 0, false
		}
		return n, okX && okY && isWhole(x) && isWhole(y) && math.Abs(n) <= largestNumber
	}
	return 0, false
}

func isWhole(n float64) bool { return n == math.Trunc(n) }

// unseen reports whether rules see nothing of the data in force, at the time of a
// question; own is the generation of the findings.
func (v *visible) unseen(now time.Time, g gate.Generation) bool {
	return v.quiet.at(stamped(g.UpdatedAt).hours(now))
}

// Sees names what decisions about stored images depend on of a generation in force, at a
// time: where that is the same of two generations, so is every decision about findings
// that stand in both, as far as [gate.Decision.Until] says. "" is never the same.
func (e *Engine) Sees(g gate.Generation, now time.Time) string {
	if g.Number == 0 && g.UpdatedAt.IsZero() {
		return "" // that of the findings counts
	}
	set := e.active.Load()
	w := append(written(nil), set.id[:]...)
	was := ""
	for i, at := range g.Times() { // each is that of some image
		if !gate.AgeKnown(at) {
			at = time.Time{}
		}
		if limit := e.options.youngest(); limit > 0 && older(now, at, limit) {
			return "" // its words say the age
		}
		of := g
		of.UpdatedAt = at
		one := append(written(nil), set.id[:]...)
		set.visible.writeGeneration(&one, now, of)
		if i > 0 && string(one) != was {
			w.text(string(g.Content)) // that says which image sees which
			w.number(g.Number)
		}
		if was = string(one); i == 0 {
			w = one
		}
	}
	return string(w)
}
