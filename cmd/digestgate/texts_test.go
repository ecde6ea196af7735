package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// text is a text that people may read, and where it stands.
type text struct{ at, words string }

// literals are all texts in the sources: string literals, with those joined that
// are joined there.
func literals(t *testing.T) (list []text) {
	t.Helper()
	files := token.NewFileSet()
	for _, root := range []string{"../../cmd", "../../gate", "../../policy", "../../scanner", "../../store", "../../webhooks"} {
		walk(t, root, func(path string) {
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				words, ok := joined(e)
				if ok {
					list = append(list, text{files.Position(n.Pos()).String(), words})
				}
				return !ok
			})
		})
	}
	if len(list) < 1000 {
		t.Fatalf("found %d texts in the sources, there must be more", len(list))
	}
	return list
}

// joined is the text of a literal, or of literals with "+" between them.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		words, err := strconv.Unquote(e.Value)
		return words, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok := joined(e.X)
		right, also := joined(e.Y)
		return left + right, e.Op == token.ADD && ok && also
	}
	return "", false
}

// allTexts are those of the sources, the pages and the examples.
func allTexts(t *testing.T) []text {
	t.Helper()
	list := literals(t)
	for _, page := range pages(t) {
		list = append(list, text{page, read(t, page)})
	}
	return list
}

// code is what a page shows as code: between fences or backticks, or indented.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`|\n    [^\n]+")

var (
	// commandText is the program's name, a word or two, and the rest of the sentence.
	commandText = regexp.MustCompile(`(?:^|[^\w./<>@"=:-])digestgate ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?([^;\n` + "`" + `]*)`)
	flagText    = regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]*)`)
	pageText    = regexp.MustCompile(`\bdocs/[a-z0-9/._-]+\.(?:md|yaml)\b`)
	routeText   = regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE) (?:\$GATE)?(/[\w/{}.-]+)`)
)

// prose are words that follow the program's name where it is the subject or the
// object of a sentence. A word that is missing here is taken for a command.
var prose = strings.Fields(`about actually add admits admission allows already also alone always an and answers are as asks at because before begins
	accepts asked became becomes behaves beside between both called builds but by calls can cannot cares checks claims compares computes could counts coverage decide decides delivers denies did directly do
	does downloads evaluates expects fetches finds follows for forgets forgot from gives goes had has have hears how if in installed into is itself its java keeps kept knows
	learns links listens lists loads logs looks make makes matches may lost must named needs never not of on once only or process processes program pulls queues
	reads received receives records refused refuses rejects remembers replaces repeats requires resolves runs said says scans sees sends serves should shows since so speaks stands starts stops stores
	takes tells that the then there to together treats trusts understands until updates uses verifies waits was watches when where whose will with without works would writes`)

// TestTextsNameCommandsThatExist: each command, subcommand and flag that a text
// names is one of the program's.
func TestTextsNameCommandsThatExist(t *testing.T) {
	t.Parallel()
	root := newRootCommand(nil)
	for _, x := range allTexts(t) {
		if strings.HasSuffix(x.at, ".md") { // beside it, the name begins many sentences
			x.words = strings.Join(code.FindAllString(x.words, -1), "\n")
		}
		for _, problem := range wrongCommands(root, x.words) {
			t.Errorf("%s: %s", x.at, problem)
		}
	}
	// The comparison itself can fail.
	for _, wrong := range []string{"somebody must ask (digestgate jubilate)", "run digestgate policy jubilate", "`digestgate serve --jubilate`"} {
		if wrongCommands(root, wrong) == nil {
			t.Errorf("nothing is found in %q", wrong)
		}
	}
}

func wrongCommands(root *cobra.Command, words string) (problems []string) {
	for _, m := range commandText.FindAllStringSubmatch(words, -1) {
		command := child(root, m[1])
		if command == nil {
			if !slices.Contains(prose, m[1]) {
				problems = append(problems, "digestgate "+m[1]+": there is no such command (an ordinary word goes in the list of prose)")
			}
			continue
		}
		if m[2] != "" && command.HasSubCommands() {
			sub := child(command, m[2])
			if sub == nil && !slices.Contains(prose, m[2]) {
				problems = append(problems, "digestgate "+m[1]+" "+m[2]+": there is no such command")
			}
			if sub != nil {
				command = sub
			}
		}
		rest, _, _ := strings.Cut(m[3], "|")
		for _, f := range flagText.FindAllStringSubmatch(rest, -1) {
			if name := strings.TrimPrefix(f[1], "--"); command.Flags().Lookup(name) == nil && command.InheritedFlags().Lookup(name) == nil && name != "help" && name != "version" {
				problems = append(problems, "digestgate "+m[1]+" "+m[2]+": it has no flag "+f[1])
			}
		}
	}
	return problems
}

func child(of *cobra.Command, name string) *cobra.Command {
	if name == "help" || name == "completion" { // cobra adds them when it runs
		return &cobra.Command{Use: name}
	}
	for _, c := range of.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// TestTextsNamePagesAndRoutesThatExist: the same for pages of the documentation and
// for operations of the API. There is no console.
func TestTextsNamePagesAndRoutesThatExist(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "../../docs/openapi.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	served := func(method, path string) bool {
		for known, operations := range document.Paths {
			known = strings.TrimPrefix(known, "/api/v1")
			path := strings.TrimPrefix(path, "/api/v1")
			shape := regexp.MustCompile(`^` + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(known, `[^/]+`) + `$`)
			if _, ok := operations[strings.ToLower(method)]; ok && shape.MatchString(path) {
				return true
			}
		}
		return false
	}
	for _, x := range allTexts(t) {
		for _, page := range pageText.FindAllString(x.words, -1) {
			if _, err := os.Stat(filepath.Join("../..", page)); err != nil {
				t.Errorf("%s: there is no page %s", x.at, page)
			}
		}
		if strings.HasSuffix(x.at, ".md") {
			continue // pages name routes of registries too
		}
		for _, m := range routeText.FindAllStringSubmatch(x.words, -1) {
			other := regexp.MustCompile(`^/(v2|metrics|livez|readyz|webhooks|admission|openapi|hook)`).MatchString(m[2])
			if !other && !served(m[1], m[2]) {
				t.Errorf("%s: the API has no %s %s", x.at, m[1], m[2])
			}
		}
		if regexp.MustCompile(`(?i)\b(the|in|or) console\b`).MatchString(x.words) {
			t.Errorf("%s: there is no console, but the text names it: %q", x.at, x.words)
		}
	}
	if !served("POST", "/api/v1/scans") || served("POST", "/api/v1/jubilations") || !served("POST", "/jobs/JOB/cancel") {
		t.Error("the comparison of routes is wrong")
	}
}
