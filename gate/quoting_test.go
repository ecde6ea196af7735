package gate_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// escaping finds text that is escaped twice in the files of one package: what
// [gate.Printable] or [gate.Quoted] gives in a %q, and what %q or Quoted gives in
// one of the two. A value is followed through the variables of a function, and
// through functions of the package that return nothing else.
type escaping struct {
	set   *token.FileSet
	funcs map[string]string // function of the package → what it gives
	found []string
}

// printable and quotedText are what an expression can give.
const (
	printableText = "text that Printable made"
	quotedText    = "text that is quoted"
)

// escapedTwice looks at the sources of one package, by file name.
func escapedTwice(sources map[string]string) ([]string, error) {
	e := &escaping{set: token.NewFileSet(), funcs: map[string]string{}}
	var files []*ast.File
	for name, text := range sources {
		f, err := parser.ParseFile(e.set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	for range 3 { // functions that return what others return
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Recv == nil {
					e.learn(fn)
				}
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			e.check(d, e.variables(d))
		}
	}
	return e.found, nil
}

// learn remembers a function all of whose returns give the same.
func (e *escaping) learn(fn *ast.FuncDecl) {
	if fn.Name.Name == "Printable" || fn.Name.Name == "Quoted" {
		return
	}
	vars := e.variables(fn)
	gives, all := "", true
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if _, inner := n.(*ast.FuncLit); inner {
			return false
		}
		if r, ok := n.(*ast.ReturnStmt); ok {
			what := ""
			if len(r.Results) == 1 {
				what = e.gives(r.Results[0], vars)
			}
			all = all && what != "" && (gives == "" || gives == what)
			gives = what
		}
		return true
	})
	if all && gives != "" {
		e.funcs[fn.Name.Name] = gives
	}
}

// variables are those that hold escaped text, by name.
func (e *escaping) variables(d ast.Decl) map[string]string {
	vars := map[string]string{}
	ast.Inspect(d, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
			for i, left := range a.Lhs {
				if name, ok := left.(*ast.Ident); ok {
					if what := e.gives(a.Rhs[i], vars); what != "" {
						vars[name.Name] = what
					}
				}
			}
		}
		return true
	})
	return vars
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if pkg, ok := f.X.(*ast.Ident); ok && (pkg.Name == "gate" || pkg.Name == "strconv" || pkg.Name == "fmt") {
			return f.Sel.Name
		}
		return "." + f.Sel.Name
	}
	return ""
}

// gives says what an expression gives, "" for anything else.
func (e *escaping) gives(x ast.Expr, vars map[string]string) string {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return e.gives(x.X, vars)
	case *ast.Ident:
		return vars[x.Name]
	case *ast.CallExpr:
		switch name := called(x); name {
		case "Printable":
			return printableText
		case "Quoted", "Quote", "QuoteToASCII":
			return quotedText
		case "Sprintf":
			if len(x.Args) == 2 {
				if s, _ := literal(x.Args[0]); s == "%q" || s == "%+q" {
					return quotedText
				}
			}
		default:
			return e.funcs[name]
		}
	}
	return ""
}

// literal joins the string literals of a concatenation. What stands between them is
// taken for text without verbs.
func literal(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return literal(x.X)
	case *ast.BasicLit:
		return strings.Trim(x.Value, "`\""), x.Kind == token.STRING
	case *ast.BinaryExpr:
		left, is := literal(x.X)
		right, too := literal(x.Y)
		return left + right, is || too
	}
	return "", false
}

// verbs are the letters of the verbs in a format, in order.
func verbs(format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.", format[i]) >= 0; i++ {
		}
		if i < len(format) && format[i] != '%' {
			b.WriteByte(format[i])
		}
	}
	return b.String()
}

func (e *escaping) check(d ast.Decl, vars map[string]string) {
	report := func(at ast.Node, format string, args ...any) {
		e.found = append(e.found, e.set.Position(at.Pos()).String()+": "+fmt.Sprintf(format, args...))
	}
	ast.Inspect(d, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch name := called(c); name {
		case "Quoted", "Quote", "QuoteToASCII":
			if len(c.Args) > 0 && e.gives(c.Args[0], vars) != "" {
				report(c, "%s of %s", name, e.gives(c.Args[0], vars))
			}
			return true
		case "Printable":
			if len(c.Args) == 0 {
				return true
			}
			if what := e.gives(c.Args[0], vars); what == quotedText {
				report(c, "Printable of %s, which can lose the mark at its end: use Quoted alone", what)
			}
			if inner, ok := c.Args[0].(*ast.CallExpr); ok && called(inner) == "Sprintf" {
				if format, _ := literal(inner.Args[0]); strings.Contains(verbs(format), "q") {
					report(c, "Printable of a text with %%q in it: use %%s and Quoted there")
				}
			}
			return true
		}
		for i, a := range c.Args {
			format, ok := literal(a)
			if !ok || verbs(format) == "" {
				continue
			}
			for k, v := range []byte(verbs(format)) {
				if i+1+k < len(c.Args) && v == 'q' {
					if what := e.gives(c.Args[i+1+k], vars); what != "" {
						report(c.Args[i+1+k], "%%q of %s: use %%s and Quoted", what)
					}
				}
			}
			break
		}
		return true
	})
}

// TestTextIsEscapedOnce reads every source of the module. A value of a caller that is
// escaped twice shows `\\u200b` or `\\"` where a reader must see the value as it was.
func TestTextIsEscapedOnce(t *testing.T) {
	packages := map[string]map[string]string{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(file)
		dir := filepath.Dir(file)
		if packages[dir] == nil {
			packages[dir] = map[string]string{}
		}
		packages[dir][file] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 40 {
		t.Errorf("only %d packages were looked at; the walk is broken", len(packages))
	}
	for _, sources := range packages {
		found, err := escapedTwice(sources)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range found {
			t.Error(problem)
		}
	}
}

func TestEscapedTwiceIsFound(t *testing.T) {
	const head = "package p\nfunc short(s string) string { return gate.Printable(s, 9) }\nfunc f(s string, bad func(string, string, ...any)) any {\n"
	for body, want := range map[string]string{
		`return fmt.Errorf("%q", gate.Printable(s, 9))`:                     "%q of text that Printable made",
		`return fmt.Errorf("a %d %% %-5.2f %q: %w", 1, 2, short(s), err)`:   "%q of text that Printable made",
		`bad("name", "a "+word+" %q", gate.Printable(s, 9)); return 0`:      "%q of text that Printable made",
		`v := gate.Printable(s, 9); return invalid("x %q", v)`:              "%q of text that Printable made",
		`return fmt.Sprintf("%q", strconv.Quote(s))`:                        "%q of text that is quoted",
		`return fmt.Sprintf("%q", gate.Quoted(s, 9))`:                       "%q of text that is quoted",
		`return strconv.Quote(gate.Printable(s, 9))`:                        "Quote of text that Printable made",
		`return gate.Quoted(short(s), 9)`:                                   "Quoted of text that Printable made",
		`return gate.Printable(strconv.Quote(s), 9)`:                        "Printable of text that is quoted",
		`return gate.Printable(fmt.Sprintf("%q", s), 9)`:                    "Printable of text that is quoted",
		`return gate.Printable(fmt.Sprintf("in %q: %v", s, err), 9)`:        "Printable of a text with %q in it",
		`return fmt.Errorf("%s %q %s", gate.Quoted(s, 9), s, short(s))`:     "",
		`return gate.Printable(fmt.Sprintf("in %s", gate.Quoted(s, 9)), 9)`: "",
	} {
		found, err := escapedTwice(map[string]string{"f.go": head + body + "\n}\n"})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		got := strings.Join(found, "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}
