package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// check compiles files and lists what is wrong with them: problems, and newer
// ones that versions before this one did not look for. One mistake must not hide
// others, so it continues past builtins that are not allowed, past files that do
// not parse and past rules that do not compile. The compiler is of use only when
// there is no problem.
func check(files []File, prints bool) (c *ast.Compiler, problems, newer Problems) {
	modules, problems := parse(files, false)
	parsed := len(problems) == 0 || len(modules) == len(files)
	var refused Problems
	c = newCompiler(refusing(&refused)).WithEnablePrintStatements(prints)
	c.Compile(modules)
	problems = append(problems, refused...)
	if !c.Failed() && parsed {
		return c, append(problems, lint(c, true)...), newFlow(c).problems()
	}
	for _, p := range problemsOf(c.Errors, c.RewrittenVars) {
		if parsed || !undefinedCall.MatchString(p.Text) { // a file that does not parse may define it
			problems = append(problems, p)
		}
	}
	loose := newCompiler().WithStrict(false).WithAllowUndefinedFunctionCalls(true).WithSkipStages(ast.StageCheckTypes)
	loose.Compile(modules)
	if loose.Failed() {
		return c, problems, nil
	}
	problems = append(problems, problems.others(lint(loose, parsed))...)
	return c, problems, problems.others(newFlow(loose).problems())
}

// others are those of more that are about other lines: what does not compile
// causes more in its line.
func (ps Problems) others(more Problems) Problems {
	type line struct {
		file string
		row  int
	}
	known := map[line]bool{}
	for _, p := range ps {
		known[line{p.File, p.Row}] = true
	}
	var out Problems
	for _, p := range more {
		if !known[line{p.File, p.Row}] {
			out = append(out, p)
		}
	}
	return out
}

// parse reads the modules and refuses what must not reach the compiler.
func parse(files []File, testing bool) (map[string]*ast.Module, Problems) {
	modules := map[string]*ast.Module{}
	var problems Problems
	for _, f := range files {
		m, err := ast.ParseModuleWithOpts(f.Name, f.Text, ast.ParserOptions{
			RegoVersion:  ast.RegoV1,
			Capabilities: capabilities(testing),
		})
		if err != nil {
			problems = append(problems, problemsOf(err, nil)...)
			continue
		}
		problems = append(problems, lintParsed(m, f.Test())...)
		modules[f.Name] = m
	}
	return modules, problems.sorted()
}

// newCompiler is OPA's compiler with our schema and bounds. Annotations are not
// processed: an author's `# schemas:` would replace our schema. It knows every
// builtin; refusing says which of them are used and not allowed.
func newCompiler(stages ...stage) *ast.Compiler {
	caps := capabilities(false)
	caps.Builtins = ast.CapabilitiesForThisVersion().Builtins
	return configured(ast.NewCompiler().WithCapabilities(caps), stages)
}

// newTestCompiler knows the allowed builtins, and what OPA's test runner puts
// into test rules, only; it keeps print calls.
func newTestCompiler() *ast.Compiler {
	return configured(ast.NewCompiler().WithCapabilities(capabilities(true)), nil).WithEnablePrintStatements(true)
}

// stage is a step of the compiler that runs after another.
type stage struct {
	after ast.StageID
	ast.CompilerStageDefinition
}

func configured(c *ast.Compiler, stages []stage) *ast.Compiler {
	c.WithStrict(true).
		WithSchemas(schemaSet()).
		WithStageAfterID(ast.StageCheckDeprecatedBuiltins, weighStage()).
		WithStageAfterID(ast.StageCheckDeprecatedBuiltins, boundStage()).
		SetErrorLimit(0)
	for _, s := range stages {
		c.WithStageAfterID(s.after, s.CompilerStageDefinition)
	}
	return c
}

// refusing notes the builtins that a set calls and may not. It runs when calls
// of the set's own functions have their full names, and before anything can end
// the compilation.
func refusing(ps *Problems) stage {
	allowed := map[string]bool{}
	for _, name := range AllowedBuiltins() {
		allowed[name] = true
	}
	see := func(operator *ast.Term, loc *ast.Location) {
		ref, ok := operator.Value.(ast.Ref)
		if !ok {
			return
		}
		if name := ref.String(); knownBuiltin(name) && !allowed[name] {
			if operator.Location != nil {
				loc = operator.Location
			}
			*ps = append(*ps, at(loc, "%s", notAllowed(name)))
		}
	}
	look := func(c *ast.Compiler) *ast.Error {
		for _, m := range c.Modules {
			ast.WalkExprs(m, func(e *ast.Expr) bool {
				if terms, ok := e.Terms.([]*ast.Term); ok {
					see(terms[0], e.Location)
				}
				return false
			})
			ast.WalkTerms(m, func(t *ast.Term) bool {
				if call, ok := t.Value.(ast.Call); ok {
					see(call[0], t.Location)
				}
				return false
			})
		}
		return nil
	}
	return stage{ast.StageResolveRefs, ast.CompilerStageDefinition{Name: "RefuseBuiltins", MetricName: "refuse_builtins", Stage: look}}
}
