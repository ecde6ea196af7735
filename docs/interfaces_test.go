package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"
)

// TestInterfaceMethodsAreDocumented: every method that an interface declares says what
// it does and which errors it returns. An embedded interface has its words where it is
// declared.
func TestInterfaceMethodsAreDocumented(t *testing.T) {
	t.Parallel()
	methods := 0
	for _, source := range files(t, func(name string) bool {
		return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "tools/")
	}) {
		bare, seen, err := undocumented(source.name, source.text)
		if err != nil {
			t.Fatal(err)
		}
		methods += seen
		for _, m := range bare {
			t.Errorf("%s: it has no comment; say what it does and what each of its errors means", m)
		}
	}
	if methods < 100 {
		t.Errorf("only %d methods of interfaces were found", methods)
	}
}

// undocumented are the methods of the interfaces in a file that have no comment, and
// how many methods there are.
func undocumented(name, text string) (bare []string, methods int, err error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, 0, err
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if _, body := n.(*ast.BlockStmt); body {
			return false // what an assertion in a function asks for
		}
		i, ok := n.(*ast.InterfaceType)
		if !ok {
			return true
		}
		for _, m := range i.Methods.List {
			if _, isMethod := m.Type.(*ast.FuncType); !isMethod {
				continue // embedded
			}
			methods++
			if m.Doc.Text() == "" && m.Comment.Text() == "" {
				bare = append(bare, fmt.Sprintf("%s %s", set.Position(m.Pos()), m.Names[0]))
			}
		}
		return true
	})
	return bare, methods, nil
}

func TestUndocumented(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		bare       int
	}{
		{"above", "// Read reads.\n\tRead() error", 0},
		{"beside", "Read() error // reads", 0},
		{"none", "Read() error", 1},
		{"one_of_two", "// Read reads.\n\tRead() error\n\tWrite() error", 1},
		{"embedded", "fmt.Stringer", 0},
		{"union", "~int | ~string", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bare, _, err := undocumented("x.go", "package x\n\ntype X interface {\n\t"+c.body+"\n}\n")
			if err != nil || len(bare) != c.bare {
				t.Errorf("%q: got %q, %v, want %d", c.body, bare, err, c.bare)
			}
		})
	}
}
