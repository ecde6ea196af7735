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
	sight    *sight
	visible  *visible
	warnings Problems
	watched  Problems
	always   []string
}

// Warnings is why the set would be refused if it were not in force already:
// mistakes that versions before this one did not look for. Only [InForce] lets
// them pass.
func (s *Set) Warnings() Problems { return s.warnings }

// Watched are the places where the set reads what is known of the cluster only where it
// is watched: labels and annotations of namespaces. Elsewhere the set must not decide.
func (s *Set) Watched() Problems { return s.watched }

// Files are the sources of the set, tests left out.
func (s *Set) Files() []File { return s.files }

// Rules is the number of deny and warn rules.
func (s *Set) Rules() int { return s.rules }

// The documents that the engine asks for: data.digestgate.deny and .warn.
const (
	rulePackage = "digestgate"
	ruleDeny    = "deny"
	ruleWarn    = "warn"
	// testingPackage is the library of `policy test`; no set may add to it.
	testingPackage = "digestgate.testing"
)

// Compile parses, type-checks and lints files; tests among them are left out.
// The error is [Problems] and names everything that is wrong. Compiling runs
// no rule, but a hostile file can make it slow: see [ChildTrial].
func Compile(files []File) (*Set, error) { return compile(files, compiling{}) }

// CompileInForce is Compile for a set that is in force already: what only newer
// versions of this program refuse are [Set.Warnings] (docs/adr/0012-policies-at-an-upgrade.md).
func CompileInForce(files []File) (*Set, error) { return compile(files, compiling{inForce: true}) }

// compiling says how a set is compiled.
type compiling struct {
	prints  bool // keep print calls
	inForce bool // see CompileInForce
}

func compile(files []File, how compiling) (*Set, error) {
	files = live(files)
	c, problems, newer := check(files, how.prints)
	newer, watched := newer.apart()
	if !how.inForce {
		problems, newer = append(problems, newer...), nil
	}
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	see, some := mentionsOf(c)
	s := &Set{files: files, sight: see, visible: newVisible(see, some, quietOf(c)), warnings: newer.sorted(), watched: watched.sorted(), always: alwaysOf(c)}
	s.visible.tables.needed = neededBy(c)
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

func documentRef(name string) ast.Ref {
	return ast.Ref{ast.DefaultRootDocument, ast.InternedTerm(rulePackage), ast.InternedTerm(name)}
}
