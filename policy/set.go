package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Set is a compiled set of policies. It is immutable and safe for concurrent
// use.
type Set struct {
	files    []File
	rules    int
	query    rego.PreparedEvalQuery
	mentions mentions
}

// Files are the sources of the set, tests left out.
func (s *Set) Files() []File { return s.files }

// Rules is the number of deny and warn rules.
func (s *Set) Rules() int { return s.rules }

// The documents that the engine asks for: data.digestgate.deny and .warn.
const (
	rulePackage = "digestgate"
	ruleDeny    = "deny"
	ruleWarn    = "warn"
	// testingPackage is the library of `policy test`; nobody else may add to it.
	testingPackage = "digestgate.testing"
)

// Compile parses, type-checks and lints files; tests among them are left out.
// The error is [Problems] and names everything that is wrong. Compiling runs
// no rule, but a hostile file can make it slow: see [ChildTrial].
func Compile(files []File) (*Set, error) { return compile(files, false) }

// compile keeps print calls if prints is set.
func compile(files []File, prints bool) (*Set, error) {
	files = live(files)
	modules, problems := parse(files, false)
	if len(problems) > 0 {
		return nil, problems
	}
	c := newCompiler(false).WithEnablePrintStatements(prints)
	c.Compile(modules)
	if c.Failed() {
		return nil, problemsOf(c.Errors, c.RewrittenVars)
	}
	if problems := lint(c); len(problems) > 0 {
		return nil, problems.sorted()
	}
	s := &Set{files: files, mentions: mentionsOf(c)}
	var body []string
	for _, name := range []string{ruleDeny, ruleWarn} {
		if n := len(c.GetRulesExact(documentRef(name))); n > 0 {
			s.rules += n
			body = append(body, fmt.Sprintf("%s = data.%s.%s", name, rulePackage, name))
		}
	}
	if s.rules == 0 {
		return nil, Problems{{Text: fmt.Sprintf(
			"no rule: none of the %d files has a rule `deny contains … if …` or `warn contains … if …` in package %s; an empty set would admit every image",
			len(files), rulePackage)}}
	}
	options := append(boundedFunctions(),
		rego.Compiler(c),
		rego.Query(strings.Join(body, "; ")),
		rego.StrictBuiltinErrors(true),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
	)
	query, err := rego.New(options...).PrepareForEval(context.Background())
	if err != nil {
		return nil, problemsOf(err, c.RewrittenVars)
	}
	s.query = query
	return s, nil
}

// newCompiler is OPA's compiler with our schema, builtins and bounds.
// Annotations are not processed: an author's `# schemas:` would replace our
// schema. Print calls are dropped unless testing.
func newCompiler(testing bool) *ast.Compiler {
	return ast.NewCompiler().
		WithCapabilities(capabilities(testing)).
		WithStrict(true).
		WithSchemas(schemaSet()).
		WithEnablePrintStatements(testing).
		WithStageAfterID(ast.StageCheckDeprecatedBuiltins, boundStage()).
		SetErrorLimit(0)
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

func documentRef(name string) ast.Ref {
	return ast.Ref{ast.DefaultRootDocument, ast.InternedTerm(rulePackage), ast.InternedTerm(name)}
}
