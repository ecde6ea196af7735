package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logged is what the sources log.
type logged struct {
	messages map[string]map[string]bool // levels by message
	keys     map[string]string          // where a key stands, once
	unknown  []string                   // lines whose message is not a constant
}

// levels are the methods of a slog.Logger that write a line.
var levels = map[string]string{
	"Info": "info", "Warn": "warn", "Error": "error", "Debug": "debug",
	"InfoContext": "info", "WarnContext": "warn", "ErrorContext": "error", "DebugContext": "debug", "LogAttrs": "",
}

// attributes are the functions that make a slog.Attr of a key.
var attributes = map[string]bool{
	"String": true, "Int": true, "Int64": true, "Bool": true, "Duration": true, "Time": true, "Any": true, "Group": true, "Float64": true, "Uint64": true,
}

// isLogger recognises a logger by its name, as "log", "s.options.Logger" and "l.parts.Log".
func isLogger(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	return strings.EqualFold(name, "log") || strings.EqualFold(name, "logger")
}

// look reads one file.
func (l *logged) look(set *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			l.call(set, n)
		case *ast.AssignStmt: // attrs := []any{…}
			if to, ok := n.Lhs[0].(*ast.Ident); ok && to.Name == "attrs" {
				if lit, ok := n.Rhs[0].(*ast.CompositeLit); ok {
					l.pairs(set, lit.Elts)
				}
			}
		case *ast.CompositeLit:
			l.words(set, n)
		}
		return true
	})
}

// words reads what the users of gate/agree give it to log.
func (l *logged) words(set *token.FileSet, lit *ast.CompositeLit) {
	name := ""
	switch t := lit.Type.(type) {
	case *ast.Ident:
		name = t.Name
	case *ast.SelectorExpr:
		name = t.Sel.Name
	}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return
		}
		field, _ := kv.Key.(*ast.Ident)
		switch {
		case name == "Messages" && field != nil && agreed[field.Name] != "":
			l.message(set, agreed[field.Name], kv.Value)
		case name == "Words" && field != nil && field.Name == "Number":
			l.key(set, kv.Value)
		}
	}
}

// agreed are the levels of what gate/agree logs; its users give the messages.
var agreed = map[string]string{"Activated": "info", "PutBack": "error", "Forgotten": "warn", "Differs": "warn", "Unknown": "error", "NotLoaded": "error"}

func (l *logged) call(set *token.FileSet, call *ast.CallExpr) {
	if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "append" && len(call.Args) > 1 {
		if to, ok := call.Args[0].(*ast.Ident); ok && to.Name == "attrs" {
			l.pairs(set, call.Args[1:])
		}
		return
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "slog" && attributes[sel.Sel.Name] {
		l.key(set, call.Args[0])
		return
	}
	level, ok := levels[sel.Sel.Name]
	if sel.Sel.Name == "With" && isLogger(sel.X) {
		l.pairs(set, call.Args)
	}
	if !ok || !isLogger(sel.X) {
		return
	}
	args := call.Args
	if strings.HasSuffix(sel.Sel.Name, "Context") {
		args = args[1:]
	} else if sel.Sel.Name == "LogAttrs" {
		args = args[1:]
		level = "varying"
		if lv, ok := args[0].(*ast.SelectorExpr); ok {
			level = strings.ToLower(strings.TrimPrefix(lv.Sel.Name, "Level"))
		}
		l.message(set, level, args[1])
		return
	}
	l.message(set, level, args[0])
	l.pairs(set, args[1:])
}

func (l *logged) message(set *token.FileSet, level string, e ast.Expr) {
	text, ok := literal(e)
	if !ok {
		l.unknown = append(l.unknown, place(set, e))
		return
	}
	if l.messages[text] == nil {
		l.messages[text] = map[string]bool{}
	}
	l.messages[text][level] = true
}

// pairs are keys and their values in turn; an attribute stands alone.
func (l *logged) pairs(set *token.FileSet, args []ast.Expr) {
	for i := 0; i < len(args); i++ {
		if call, ok := args[i].(*ast.CallExpr); ok {
			_ = call // an attribute or an append, which is read by itself
			continue
		}
		if id, ok := args[i].(*ast.Ident); ok && id.Name == "attrs" {
			continue
		}
		l.key(set, args[i])
		i++
	}
}

func (l *logged) key(set *token.FileSet, e ast.Expr) {
	text, ok := literal(e)
	if !ok {
		l.unknown = append(l.unknown, place(set, e)+" (a key)")
		return
	}
	l.keys[text] += " " + place(set, e)
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func place(set *token.FileSet, n ast.Node) string {
	p := set.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// dynamic are the files that log messages or keys which are given to them, with what
// gives them.
var dynamic = map[string]string{
	"gate/agree/live.go":                "the Messages and Words of a kind, which are read where they are written",
	"gate/agree/member.go":              "the Messages and Words of a kind, which are read where they are written",
	"cmd/digestgate/app/log.go":         "the handler hands on what it gets",
	"cmd/digestgate/thinlog/thinlog.go": "its one key is a constant",
}

// TestLogPage: docs/log.md is the one table of messages and keys. What the program logs
// is a literal that stands there, with its level; what stands there is logged.
func TestLogPage(t *testing.T) {
	t.Parallel()
	l := logged{messages: map[string]map[string]bool{}, keys: map[string]string{"repeated": " thinlog.Repeated"}}
	set := token.NewFileSet()
	for _, source := range files(t, func(name string) bool {
		return filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "tools/") && !strings.HasPrefix(name, "examples/") &&
			!strings.Contains(filepath.Dir(name), "test")
	}) {
		parsed, err := parser.ParseFile(set, source.name, source.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		l.look(set, parsed)
	}
	for _, at := range l.unknown {
		if file, _, _ := strings.Cut(at, ":"); dynamic[file] == "" {
			t.Errorf("%s: what is logged is not a literal, so that docs/log.md cannot list it", at)
		}
	}
	page, err := os.ReadFile("log.md")
	if err != nil {
		t.Fatal(err)
	}
	messages, keys, ok := strings.Cut(string(page), "\n## Keys\n")
	if !ok {
		t.Fatal("docs/log.md has no section of keys")
	}
	listed := map[string]bool{}
	for _, row := range messageRow.FindAllStringSubmatch(messages, -1) {
		message := row[1]
		if listed[message] {
			t.Errorf("%q is listed twice", message)
		}
		listed[message] = true
		want := slices.Sorted(maps.Keys(l.messages[message]))
		got := strings.Split(row[2], ", ")
		slices.Sort(got)
		switch {
		case want == nil:
			t.Errorf("nothing logs %q", message)
		case !slices.Equal(got, want) && !slices.Contains(want, "varying"):
			t.Errorf("%q is logged at %q, the page says %q", message, want, got)
		}
	}
	for message := range l.messages {
		if !listed[message] {
			t.Errorf("docs/log.md does not list %q", message)
		}
	}
	meanings := map[string]string{}
	for _, row := range keyRow.FindAllStringSubmatch(keys, -1) {
		key, meaning := row[1], row[2]
		if meanings[key] != "" {
			t.Errorf("the key %q is listed twice", key)
		}
		for other, m := range meanings {
			if m == meaning {
				t.Errorf("the keys %q and %q mean the same", key, other)
			}
		}
		if meanings[key] = meaning; l.keys[key] == "" {
			t.Errorf("nothing logs the key %q", key)
		}
		if !camel.MatchString(key) {
			t.Errorf("the key %q is not one word in lower case, or several in camel case", key)
		}
	}
	for key, at := range l.keys {
		if meanings[key] == "" {
			t.Errorf("docs/log.md does not list the key %q, which is logged at%s", key, at)
		}
	}
	if len(listed) < 100 || len(meanings) < 80 {
		t.Errorf("only %d messages and %d keys were found", len(listed), len(meanings))
	}
}

var (
	messageRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([a-z, ]+) \\| .+ \\|$")
	keyRow     = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.+) \\|$")
	camel      = regexp.MustCompile(`^[a-z][a-zA-Z]*$`)
)
