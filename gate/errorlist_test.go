package gate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// listsAllowed are the functions that name more than two failures in one expression
// all the same, each with the reason.
var listsAllowed = map[string]string{
	"gate/pipeline/confirm.go: ofTheTag":            "which answers are about one tag and not about its repository is asked only there",
	"scanner/advisory/download/download.go: blames": "which failures another mirror of a database may not have is asked only there",
	"gate/worded.go: Sentence":                      "which names of classes say nothing beside a sentence is asked only there",
	"scanner/joined/beside/beside.go: failed":       "which failures say nothing about what is beside an image is asked only there",
	"cmd/digestgate/show/exit.go: InWords":          "which names of classes say nothing beside a cause is a matter of this output",
}

// TestNoListsOfFailures reads the sources: what several failures have in common is a
// column of gate.Errors, and not a list beside it, which the next failure would be
// missing from. An expression, the case of a switch or a list of errors names at
// most two.
func TestNoListsOfFailures(t *testing.T) {
	used := map[string]bool{}
	files := sources(t, func(file string, parsed *ast.File) {
		if file == "gate/errors.go" {
			return
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if listOfFailures(f.Body) {
				name := file + ": " + f.Name.Name
				if used[name] = true; listsAllowed[name] == "" {
					t.Errorf("%s names more than two failures in one expression; ask a column of gate.Errors instead (gate.Any)", name)
				}
			}
		}
	})
	if files < 100 {
		t.Errorf("only %d files were read; the walk is broken", files)
	}
	for name := range listsAllowed {
		if !used[name] {
			t.Errorf("%s is allowed a list and has none", name)
		}
	}
}

// TestListOfFailuresIsSeen: the test above finds each form of a list.
func TestListOfFailuresIsSeen(t *testing.T) {
	for src, want := range map[string]bool{
		`return errors.Is(err, gate.ErrBusy) || errors.Is(err, gate.ErrFenced) || errors.Is(err, ErrTimeout)`:                         true,
		`if !errors.Is(err, gate.ErrBusy) && !errors.Is(err, gate.ErrFenced) && (ok || !errors.Is(err, gate.ErrPolicy)) {}`:           true,
		"switch {\ncase errors.Is(err, gate.ErrBusy), errors.Is(err, gate.ErrFenced), errors.Is(err, gate.ErrPolicy):\n}":             true,
		"switch err {\ncase gate.ErrBusy, gate.ErrFenced, gate.ErrPolicy:\n}":                                                         true,
		`for _, about := range []error{gate.ErrBusy, gate.ErrFenced, gate.ErrPolicy} { _ = about }`:                                   true,
		`return errors.Is(err, gate.ErrBusy) || errors.Is(err, gate.ErrFenced)`:                                                       false,
		"switch {\ncase errors.Is(err, gate.ErrBusy):\ncase errors.Is(err, gate.ErrFenced):\ncase errors.Is(err, gate.ErrPolicy):\n}": false,
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() {\n"+src+"\n}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := listOfFailures(parsed.Decls[0].(*ast.FuncDecl).Body); got != want {
			t.Errorf("%s\ngot %t, want %t", src, got, want)
		}
	}
}

// listOfFailures reports whether something in a body names more than two failures at
// once.
func listOfFailures(body ast.Node) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		count := 0
		switch n := n.(type) {
		case *ast.BinaryExpr:
			count = failuresIn(n)
		case *ast.CaseClause:
			for _, e := range n.List {
				count += failuresIn(e)
			}
		case *ast.CompositeLit:
			if _, list := n.Type.(*ast.ArrayType); list {
				for _, e := range n.Elts {
					if sentinel(e) {
						count++
					}
				}
			}
		}
		found = found || count > 2
		return !found
	})
	return found
}

// failuresIn counts the failures that an expression names, functions in it aside.
func failuresIn(e ast.Expr) (count int) {
	ast.Inspect(e, func(n ast.Node) bool {
		if _, inner := n.(*ast.FuncLit); inner {
			return false
		}
		if x, ok := n.(ast.Expr); ok && sentinel(x) {
			count++
			return false
		}
		return true
	})
	return count
}

// sentinel reports whether an expression is the name of a failure.
func sentinel(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok && pkg.Name == "gate" {
			name = e.Sel.Name
		}
	}
	rest, ok := strings.CutPrefix(name, "Err")
	return ok && rest != "" && strings.ToUpper(rest[:1]) == rest[:1] && name != "ErrPermanent"
}

// sources parses every Go file of the project that is not a test's and says how many
// there were. A file is named from the root of the module.
func sources(t *testing.T, look func(file string, parsed *ast.File)) (files int) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "tools" || (strings.HasPrefix(name, ".") && name != "..") {
				return filepath.SkipDir
			}
			return nil
		}
		dir := filepath.Base(filepath.Dir(path))
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(dir, "test") || strings.HasSuffix(dir, "bench") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		file, err := filepath.Rel("..", path)
		if err != nil {
			return err
		}
		look(filepath.ToSlash(file), parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
