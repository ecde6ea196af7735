package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/digestgate/digestgate/gate"
)

// testTimeout ends one test. Tests may look at much more than one image.
const testTimeout = 5 * time.Second

// TestResult is the outcome of one test rule.
type TestResult struct {
	Name     string        `json:"name"` // package and rule
	File     string        `json:"file"`
	Row      int           `json:"row"`
	Passed   bool          `json:"passed"`
	Skipped  bool          `json:"skipped"` // named todo_test_…
	Error    string        `json:"error"`   // "" when the rule was merely not true
	Output   string        `json:"output"`  // of print
	Duration time.Duration `json:"duration"`
	// Failure says what a test that did not pass saw; nil otherwise.
	Failure *TestFailure `json:"failure,omitempty"`
}

// Test runs the rules test_… of the _test.rego files against the others, under
// the same schema, builtins and bounds as the server. filter is a regular
// expression over names, "" for all. The results are sorted by file and row.
// Errors: [Problems] for a set that does not load or has no test.
func Test(ctx context.Context, files []File, filter string) ([]TestResult, error) {
	if _, err := Compile(files); err != nil {
		return nil, err
	}
	modules, problems := parse(files, true)
	if len(problems) > 0 {
		return nil, problems
	}
	library, err := testingLibrary()
	if err != nil {
		return nil, err
	}
	modules[testingPackage] = library
	c := newTestCompiler()
	store := inmem.New()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting the tests: %w", err)
	}
	defer store.Abort(ctx, txn)
	results, err := runTests(ctx, c, store, txn, modules, filter)
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, Problems{{Text: fmt.Sprintf("no test: none of the %d files has a matching rule test_… in a file that ends in %s", len(files), testSuffix)}}
	}
	return results, nil
}

func runTests(ctx context.Context, c *ast.Compiler, store storage.Store, txn storage.Transaction, modules map[string]*ast.Module, filter string) ([]TestResult, error) {
	ch, err := tester.NewRunner().
		SetCompiler(c).
		SetStore(store).
		SetModules(modules).
		SetTimeout(testTimeout).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		AddCustomBuiltins(boundedForTests()).
		Filter(filter).
		RunTests(withCare(ctx, func(p Problem) error { return errors.New(p.Text) }), txn)
	if err != nil {
		return nil, problemsOf(err, c.RewrittenVars)
	}
	var results []TestResult
	for r := range ch {
		t := TestResult{
			Name:   strings.TrimPrefix(r.Package, "data.") + "." + r.Name,
			Passed: r.Pass(), Skipped: r.Skip, Output: string(r.Output), Duration: r.Duration,
		}
		if r.Location != nil {
			t.File, t.Row = r.Location.File, r.Location.Row
		}
		if r.Error != nil {
			t.Error = strings.ReplaceAll(r.Error.Error(), boundedPrefix, "")
		}
		if !t.Passed && !t.Skipped {
			t.Failure = explain(ctx, c, t)
		}
		results = append(results, t)
	}
	slices.SortFunc(results, func(a, b TestResult) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Row - b.Row
	})
	return results, nil
}

// boundedForTests gives the test runner our bounded builtins.
func boundedForTests() []*tester.Builtin {
	var list []*tester.Builtin
	options := boundedFunctions()
	for i, name := range boundedNames() {
		list = append(list, &tester.Builtin{
			Decl: &ast.Builtin{Name: boundedPrefix + name, Decl: ast.BuiltinMap[name].Decl},
			Func: options[i],
		})
	}
	decl, weigh := weighFunction()
	return append(list, &tester.Builtin{Decl: decl, Func: weigh})
}

// testingSource is package digestgate.testing. Its functions give total values
// with a few fields changed, so that a test cannot pass because a field is
// absent; a field that does not exist makes the value undefined and the test
// fail.
const testingSource = `package digestgate.testing

image(changes) := object.union(clean, changes) if known(clean, changes)

vulnerability(changes) := object.union(a_vulnerability, changes) if known(a_vulnerability, changes)

secret(changes) := object.union(a_secret, changes) if known(a_secret, changes)

installed(changes) := object.union(a_package, changes) if known(a_package, changes)

known(total, changes) if {
	every k, v in changes {
		k in object.keys(total)
		type_name(v) == type_name(total[k])
		known_below(total[k], v)
	}
}

known_below(_, changes) if not is_object(changes)

known_below(total, changes) if {
	is_object(changes)
	every k, v in changes {
		k in object.keys(total)
		type_name(v) == type_name(total[k])
	}
}

`

// testingLibrary adds the samples to the source.
func testingLibrary() (*ast.Module, error) {
	full := admissionSample()
	full.tables = nil // tests say themselves what is joined
	input := full.input().(ast.Object)
	findings := input.Get(ast.StringTerm("findings"))
	var b strings.Builder
	b.WriteString(testingSource)
	for _, v := range []struct {
		name  string
		value ast.Value
	}{
		{"clean", cleanSample().input()},
		{"a_vulnerability", firstOf(findings, "vulnerabilities")},
		{"a_secret", firstOf(findings, "secrets")},
		{"a_package", input.Get(ast.StringTerm("packages")).Value.(*ast.Array).Elem(0).Value},
	} {
		plain, err := ast.JSON(v.value)
		if err != nil {
			return nil, fmt.Errorf("building package %s: %w", testingPackage, err)
		}
		text, err := json.Marshal(plain)
		if err != nil {
			return nil, fmt.Errorf("building package %s: %w", testingPackage, err)
		}
		fmt.Fprintf(&b, "%s := %s\n", v.name, text)
	}
	m, err := ast.ParseModuleWithOpts(testingPackage, b.String(), ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return nil, fmt.Errorf("building package %s: %w: %w", testingPackage, gate.ErrPolicyFailed, err)
	}
	return m, nil
}

func firstOf(object *ast.Term, list string) ast.Value {
	return object.Value.(ast.Object).Get(ast.StringTerm(list)).Value.(*ast.Array).Elem(0).Value
}
