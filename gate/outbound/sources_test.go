package outbound

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dialers may make connections by themselves: the store's client to its server, and the
// commands that talk to a server of digestgate. What a sandbox is tried with leads nowhere.
var dialers = []string{
	"gate/outbound/", "store/redis/", "cmd/digestgate/client/", "cmd/digestgate/connect/", "cmd/digestgate/demo/",
	"scanner/analyzer/sandbox/probe_linux.go", "cmd/digestgate-figures/", "tools/", "examples/",
	"scanner/registry/session.go",     // its transport has the guard's DialContext
	"cmd/digestgate/app/refresher.go", // other processes on the same store
	"webhooks/oidc.go",                // wraps the transport of the client that it is given
	"test/",
}

// dials are names of the standard library that connect, or hold what does.
var dials = map[string][]string{
	"net":  {"Dial", "DialTimeout", "Dialer", "DialTCP", "DialUDP", "DialUnix", "DialIP"},
	"http": {"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "Client", "Transport"},
	"tls":  {"Dial", "DialWithDialer", "Dialer"},
	"smtp": {"Dial", "SendMail"},
	// What dials by itself unless it is told how.
	"remote": {"Image", "Get", "Head", "Index", "List", "Layer", "Write", "NewPuller"},
	"crane":  {"Pull", "Digest", "Manifest", "Copy"},
}

// TestOneDialer: nothing else in the program makes a connection. A type named in a
// signature (*http.Client) connects to nothing; a literal does.
func TestOneDialer(t *testing.T) {
	root := "../.."
	files, known := 0, 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, file)
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		allowed := slices.ContainsFunc(dialers, func(part string) bool {
			return strings.HasPrefix(name, part) || part == "test/" && strings.Contains(name, part)
		})
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		for _, use := range connects(parsed) {
			if allowed {
				known++
				continue
			}
			t.Errorf("%s uses %s; what the program connects to goes through gate/outbound", name, use)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 || known < 5 {
		t.Errorf("%d files were read, %d known uses found; the walk is broken", files, known)
	}
}

// connects lists the uses of dials in a file.
func connects(parsed *ast.File) (uses []string) {
	add := func(e ast.Expr) {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok {
			return
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && slices.Contains(dials[pkg.Name], sel.Sel.Name) {
			uses = append(uses, pkg.Name+"."+sel.Sel.Name)
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			add(n.Fun)
			for _, arg := range n.Args { // new(net.Dialer), and http.DefaultTransport handed on
				add(arg)
			}
		case *ast.CompositeLit:
			add(n.Type)
		case *ast.AssignStmt:
			for _, e := range n.Rhs {
				add(e)
			}
		case *ast.ValueSpec:
			add(n.Type)
			for _, e := range n.Values {
				add(e)
			}
		case *ast.ReturnStmt:
			for _, e := range n.Results {
				add(e)
			}
		case *ast.KeyValueExpr:
			add(n.Value)
		}
		return true
	})
	return uses
}
