package refusal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dynamic are the files that choose a key by a table of their own; tests beside them
// walk it with Fits.
var dynamic = map[string]bool{"gate/explain/obstacle.go": true, "gate/lookup/why.go": true, "gate/api/errors.go": true}

// marks are in sentences of refusals only.
var marks = []string{"try again", "a bare Pod", "the operators must", "ask the operators", "tell the operators", "POST /api/v1/scans", "retries by itself"}

// TestSentencesStandOnce: no other package of the program words a refusal.
func TestSentencesStandOnce(t *testing.T) {
	read(t, func(file string, parsed *ast.File) {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "gate/refusal/") || strings.HasPrefix(file, "examples/") {
			return
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			for _, mark := range marks {
				if strings.Contains(lit.Value, mark) {
					t.Errorf("%s: %s is worded outside gate/refusal", file, lit.Value)
				}
			}
			return true
		})
	})
}

// TestCalls reads every use of the table: a call of Say gives exactly the parameters of
// its key, and each key is said somewhere.
func TestCalls(t *testing.T) {
	keys, names := declared(t), map[string]bool{}
	calls := 0
	read(t, func(file string, parsed *ast.File) {
		prefix := "refusal"
		if parsed.Name.Name == "refusal" {
			prefix = ""
		}
		test := strings.HasSuffix(file, "_test.go")
		ast.Inspect(parsed, func(n ast.Node) bool {
			if prefix != "" && !test {
				if e, ok := n.(ast.Expr); ok {
					names[named(e, prefix)] = true
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || named(call.Fun, prefix) != "Say" || len(call.Args) != 2 {
				return true
			}
			calls++
			name := named(call.Args[0], prefix)
			if prefix == "" && !test {
				names[name] = true
			}
			key, ok := keys[name]
			if !ok {
				if prefix != "" && !dynamic[file] {
					t.Errorf("%s: the key of a call of Say is not a constant of the table", file)
				}
				return true
			}
			got, want := given(call.Args[1]), make([]string, 0, len(table[key].Params))
			for param := range table[key].Params {
				want = append(want, param)
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: Say(%s) gives %q, its parameters are %q", file, name, got, want)
			}
			return true
		})
	})
	if calls < 60 {
		t.Errorf("only %d calls were read; the walk is broken", calls)
	}
	for name, key := range keys {
		if usual[table[key].Code] != key && !names[name] {
			t.Errorf("%s (%s) is never said", name, key)
		}
	}
}

// read parses every Go file of the project, named from its root.
func read(t *testing.T, look func(file string, parsed *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "tools" || strings.HasPrefix(name, ".") && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		file, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		files++
		look(filepath.ToSlash(file), parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 {
		t.Errorf("only %d files were read; the walk is broken", files)
	}
}

// declared are the names of the keys.
func declared(t *testing.T) map[string]Key {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "key.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]Key{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		keys[spec.Names[0].Name] = Key(text)
		if _, ok := table[Key(text)]; !ok {
			t.Errorf("%s is not in the table", text)
		}
		return true
	})
	if len(keys) != len(table) {
		t.Errorf("%d keys are declared, the table has %d", len(keys), len(table))
	}
	return keys
}

// named is the name of pkg.Name, or of Name where pkg is "".
func named(e ast.Expr, pkg string) string {
	switch e := e.(type) {
	case *ast.Ident:
		if pkg == "" {
			return e.Name
		}
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok && pkg != "" && x.Name == pkg {
			return e.Sel.Name
		}
	}
	return ""
}

// given are the names of the parameters in a literal, sorted.
func given(e ast.Expr) []string {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return []string{}
	}
	names := make([]string, 0, len(lit.Elts))
	for _, elt := range lit.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.BasicLit); ok {
				name, _ := strconv.Unquote(key.Value)
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
