package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is a comment of a declaration, with the name that it is about, "" for a
// package.
type documented struct {
	at, name, text string
}

// sources are the parsed files of the program, with their tests if wanted.
func sources(t *testing.T, set *token.FileSet, tests bool) map[string]*ast.File {
	t.Helper()
	parsed := map[string]*ast.File{}
	for _, source := range files(t, func(name string) bool {
		return path.Ext(name) == ".go" && (tests || !strings.HasSuffix(name, "_test.go")) && !strings.HasPrefix(name, "tools/")
	}) {
		f, err := parser.ParseFile(set, source.name, source.text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed[source.name] = f
	}
	return parsed
}

// docs are the comments of a file's package, functions, types, constants and variables,
// and of the fields and methods in its types.
func docs(set *token.FileSet, f *ast.File) (list []documented) {
	add := func(pos token.Pos, name string, c *ast.CommentGroup) {
		if text := c.Text(); text != "" {
			list = append(list, documented{set.Position(pos).String(), name, strings.Join(strings.Fields(text), " ")})
		}
	}
	add(f.Package, "", f.Doc)
	for _, decl := range f.Decls {
		if d, ok := decl.(*ast.FuncDecl); ok {
			add(d.Pos(), d.Name.Name, d.Doc)
			continue
		}
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		if len(d.Specs) > 1 {
			add(d.Pos(), "", d.Doc)
		}
		for _, spec := range d.Specs {
			doc := (*ast.CommentGroup)(nil)
			if len(d.Specs) == 1 {
				doc = d.Doc
			}
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Doc != nil {
					doc = s.Doc
				}
				add(s.Pos(), s.Name.Name, doc)
			case *ast.ValueSpec:
				if s.Doc != nil {
					doc = s.Doc
				}
				if len(s.Names) == 1 && len(d.Specs) == 1 {
					add(s.Pos(), s.Names[0].Name, doc)
				} else {
					add(s.Pos(), "", doc) // it may be the heading of several
				}
			}
		}
	}
	return list
}

// stale says what is wrong with the beginning of a comment: it names something else
// than what stands below it, as it does after a rename.
func stale(d documented) string {
	first, rest, _ := strings.Cut(d.text, " ")
	if ast.IsExported(d.name) && (first == "A" || first == "An" || first == "The") {
		first, _, _ = strings.Cut(rest, " ")
	}
	first = strings.TrimSuffix(strings.Trim(first, ",:."), "'s")
	switch {
	case d.name == "", first == d.name, first == "Deprecated":
		return ""
	case ast.IsExported(d.name):
		return fmt.Sprintf("the comment of %s begins with %q; begin with the name", d.name, first)
	case first != "" && first[0] >= 'a' && first[0] <= 'z':
		return fmt.Sprintf("the comment of %s begins with %q: was it renamed?", d.name, first)
	}
	return ""
}

// link is a reference to a name, as go doc shows it.
var link = regexp.MustCompile(`\[(\*?(?:[a-z]\w*\.)?[A-Z]\w*(?:\.\w+)*)\]`)

// TestCommentsNameWhatExists: a comment begins with the name that it is about, and the
// names in brackets are declared.
func TestCommentsNameWhatExists(t *testing.T) {
	t.Parallel()
	set := token.NewFileSet()
	names := map[string]map[string]bool{} // by folder
	for name, f := range sources(t, set, true) {
		if names[path.Dir(name)] == nil {
			names[path.Dir(name)] = map[string]bool{}
		}
		declared(f, names[path.Dir(name)])
	}
	for name, f := range sources(t, set, false) {
		for _, d := range docs(set, f) {
			if problem := stale(d); problem != "" {
				t.Errorf("%s: %s", d.at, problem)
			}
			for _, m := range link.FindAllStringSubmatch(d.text, -1) {
				if unknown(m[1], names[path.Dir(name)]) {
					t.Errorf("%s: the comment names [%s], which is not declared here", d.at, m[1])
				}
			}
		}
	}
}

// declared adds the names that a file declares, also of methods and fields.
func declared(f *ast.File, names map[string]bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names[n.Name.Name] = true
		case *ast.TypeSpec:
			names[n.Name.Name] = true
		case *ast.ValueSpec:
			for _, x := range n.Names {
				names[x.Name] = true
			}
		case *ast.Field:
			for _, x := range n.Names {
				names[x.Name] = true
			}
		}
		return true
	})
}

// unknown says whether a linked name is one of this package and not declared in it.
// Names of other packages (pkg.Name) are theirs to know.
func unknown(linked string, names map[string]bool) bool {
	parts := strings.Split(strings.TrimPrefix(linked, "*"), ".")
	if !ast.IsExported(parts[0]) {
		return false
	}
	return !names[parts[0]] || !names[parts[len(parts)-1]]
}

// TestCommentsHaveNoRefusedPhrases: the comments of packages and of exported names are
// pages too, in go doc.
func TestCommentsHaveNoRefusedPhrases(t *testing.T) {
	t.Parallel()
	set, seen := token.NewFileSet(), 0
	for _, f := range sources(t, set, false) {
		for _, d := range docs(set, f) {
			if d.name != "" && !ast.IsExported(d.name) {
				continue
			}
			seen++
			for _, problem := range refused(d.text) {
				t.Errorf("%s: %s (docs/writing.md)\n\tin: %.200s", d.at, problem, d.text)
			}
		}
	}
	if seen < 500 {
		t.Errorf("only %d comments were found", seen)
	}
	// Inside the code too, but for what only a reader of the package meets.
	for _, f := range sources(t, set, false) {
		for _, c := range f.Comments {
			text := strings.Join(strings.Fields(c.Text()), " ")
			for _, p := range phrases {
				if hit := p.pattern.FindString(text); hit != "" && slices.Contains([]string{"goes on", "anew", "belongs into", "gives way", "not readable"}, p.name) {
					t.Errorf("%s: the comment has %q: write %s (docs/writing.md)", set.Position(c.Pos()), hit, p.instead)
				}
			}
		}
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"Read", "Read reads.", false},
		{"Read", "Load reads.", true},
		{"Bench", "A Bench is a thread.", false},
		{"rank", "order orders.", true},
		{"rank", "Only for tests.", false},
		{"", "Package x is.", false},
	} {
		if got := stale(documented{name: c.name, text: c.text}); (got != "") != c.want {
			t.Errorf("%s, %q: got %q, want a problem: %t", c.name, c.text, got, c.want)
		}
	}
	names := map[string]bool{"Read": true, "Store": true}
	for linked, want := range map[string]bool{"Read": false, "Gone": true, "Store.Read": false, "Store.Gone": true, "*Store": false, "gate.Gone": false} {
		if got := unknown(linked, names); got != want {
			t.Errorf("unknown(%q) = %t, want %t", linked, got, want)
		}
	}
}
