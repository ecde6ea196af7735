package policy

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The lints refuse what OPA accepts and what would make a rule silent: it is
// never asked, or its condition can never hold.

// lintParsed looks at a module before it is compiled.
func lintParsed(m *ast.Module, test bool) Problems {
	var ps Problems
	pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
	if pkg == testingPackage || strings.HasPrefix(pkg, testingPackage+".") {
		ps = append(ps, at(m.Package.Location, "package %s belongs to `policy test`; use another name", pkg))
	}
	ast.WalkTerms(m, func(t *ast.Term) bool {
		if n, ok := t.Value.(ast.Number); ok && !cheapNumber(string(n)) {
			ps = append(ps, at(t.Location, "the number has more than %d digits", maxDigits))
		}
		return false
	})
	if test {
		return ps
	}
	ast.WalkWiths(m, func(w *ast.With) bool {
		root := w.Target
		if ref, ok := root.Value.(ast.Ref); ok {
			root = ref[0]
		}
		if !root.Equal(ast.InputRootDocument) && !root.Equal(ast.DefaultRootDocument) {
			ps = append(ps, at(w.Location, "`with %s as …` replaces a function; only tests may do that", w.Target))
		}
		return false
	})
	return ps
}

// lint looks at the compiled modules. Of a set that is not complete, because
// other files of it do not parse, it does not say what is missing or not used.
func lint(c *ast.Compiler, complete bool) Problems {
	used := map[*ast.Rule]bool{}
	var ps Problems
	look := func(ref ast.Ref) bool {
		if !ref[0].Equal(ast.DefaultRootDocument) {
			return false
		}
		rules := rulesOf(c, ref)
		for _, r := range rules {
			used[r] = true
		}
		if complete && len(rules) == 0 && len(ref) > 1 {
			ps = append(ps, at(ref[0].Location, "%s is not defined by any of the files, so nothing that uses it ever holds", ref.ConstantPrefix()))
		}
		return false
	}
	for _, m := range c.Modules {
		for _, rule := range m.Rules { // not the module, whose package is a reference too
			ast.WalkRefs(rule, look)
		}
	}
	shape := inputShape()
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			if complete {
				ps = append(ps, lintDocument(rule, used)...)
			}
			ps = append(ps, lintComparisons(c, rule, shape)...)
		}
	}
	return ps
}

// rulesOf lists the rules that a reference may be about.
func rulesOf(c *ast.Compiler, ref ast.Ref) []*ast.Rule {
	prefix := ref.ConstantPrefix()
	if rules := c.GetRulesForVirtualDocument(prefix); len(rules) > 0 {
		return rules
	}
	return c.GetRulesWithPrefix(prefix)
}

// lintDocument checks that a rule is asked, and that deny and warn are sets.
func lintDocument(rule *ast.Rule, used map[*ast.Rule]bool) Problems {
	pkg := strings.TrimPrefix(rule.Module.Package.Path.String(), "data.")
	name, ok := rule.Head.Ref()[0].Value.(ast.Var)
	if !ok {
		return nil
	}
	asked := name == ruleDeny || name == ruleWarn
	switch {
	case pkg == rulePackage && asked:
		if rule.Default || rule.Head.RuleKind() != ast.MultiValue || len(rule.Head.Ref()) != 1 || len(rule.Head.Args) > 0 {
			return Problems{at(rule.Location, "%s must be a set: write `%s contains {\"rule\": …, \"msg\": …} if { … }`", name, name)}
		}
	case used[rule]:
	case pkg == rulePackage:
		return Problems{at(rule.Location, "rule %s is never asked: the engine asks data.digestgate.deny and data.digestgate.warn, and no rule uses this one", name)}
	case asked:
		return Problems{at(rule.Location, "rule %s in package %s is never asked: the engine asks package %s only", name, pkg, rulePackage)}
	}
	return nil
}
