package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// phrase is one that no page and no text of the program may have. The list is also in
// docs/writing.md; a phrase is on it because each of its uses can be replaced.
type phrase struct {
	name    string // as docs/writing.md lists it
	pattern *regexp.Regexp
	instead string
	bad     string // a sentence that has it
	good    string // one that looks like it and is right
}

var phrases = []phrase{
	{"goes on", regexp.MustCompile(`(?i)\b(go|goes|going|went) on\b`), "continues",
		"the scan goes on later", "a stone going onto the pile"},
	{"anew", regexp.MustCompile(`(?i)\banew\b`), "again, from the beginning",
		"it begins anew", "a new image"},
	{"is no X", regexp.MustCompile(`(?i)(?:^|(?:\b(?:[^t\W]\w*|t[^h\W]\w*|th[^e\W]\w*|the[^r\W]\w*|ther[^e\W]\w*|there\w+|t|th|the|ther)|[^\w\s])\s+)(?:is|are|was|were) no (?:[a-km-z]\w+|l[a-np-z]\w+)\b`), "is not a X",
		"the store is no Redis", "where there is no key, it is no longer used"},
	{"that is none", regexp.MustCompile(`(?i)\bthat (is|are) none\b`), "is not a valid X",
		"a digest that is none", "that is none of the clusters' names"},
	{"belongs into", regexp.MustCompile(`(?i)\bbelongs? into\b`), "goes in, belongs in",
		"the host belongs into aliases", "the host belongs in aliases"},
	{"gives way", regexp.MustCompile(`(?i)\bg[ia]ves? way\b`), "is replaced by",
		"the earlier authority gave way", "it gives the way to it"},
	{"lies", regexp.MustCompile(`(?i)\b(lies|(?:lie|lay|lain) (?:in|at|on|below|under|beside|behind|there))\b`), "is located, is in",
		"the file lies in dataDir", "layers in an image relies on it"},
	{"an ask", regexp.MustCompile(`(?i)\b(?:an|the|this|each|every|one|per|\d+|%d) asks?\b`), "request",
		"the ask is remembered", "the caller asks again"},
	{"tells of", regexp.MustCompile(`(?i)\b(?:tell|tells|telling|told) of\b`), "sends, reports; missed events",
		"Harbor tells of the pushes", "it reports the pushes"},
	{"no event told", regexp.MustCompile(`(?i)\bno event (?:told|tells)\b`), "missed events",
		"what no event told is found", "no event was sent"},
	{"whoever, somebody, nobody, everybody, anybody", regexp.MustCompile(`(?i)\b(?:whoever|somebody|nobody|everybody|anybody)\b`), "the role: the operator, the caller, no process",
		"whoever can write to Redis", "an operator who can write to Redis"},
	{"he, his, him", regexp.MustCompile(`(?i)\b(?:he|his|him)\b`), "the role, or they",
		"he cannot make it allow an image", "the other one cannot"},
	{"in words", regexp.MustCompile(`(?i)\bin words\b`), "with a message, as a sentence",
		"it is refused in words", "in other words"},
	{"is left alone", regexp.MustCompile(`(?i)\bleft alone\b`), "is paused, is not touched",
		"the host is left alone", "alone on the left"},
	{"not readable", regexp.MustCompile(`(?i)\bnot readable\b`), "cannot be read",
		"the state is not readable", "a readable state"},
	{"a further", regexp.MustCompile(`(?i)\b(?:a|no|%d) further\b`), "another, more",
		"a further name needs a certificate", "the field further down"},
	{"scanned by itself", regexp.MustCompile(`(?i)\b(?:scanned|goes on|begins|repeated|replaced) by (?:itself|themselves)\b`), "automatically",
		"the image is scanned by itself", "the scan continues by itself"},
}

// opening is a sentence that begins with a clause as its subject: "What is found is
// stored." A question ends with a question mark and is none of these.
var (
	opening = regexp.MustCompile(`(?:^|[.!?:;)] +)(?:\*\*)?((?:What|Who|Whoever|Whatever) (?:[^.?!]|[.?!][^\s*)"])*)([.?!]|$)`)
	title   = regexp.MustCompile(`^(?:[-*] )?\*\*[^*]+\.\*\*`) // a heading at the head of its paragraph
)

// refused are the phrases in words, each with what to say instead.
func refused(words string) (list []string) {
	for _, p := range phrases {
		if hit := p.pattern.FindString(words); hit != "" {
			list = append(list, strconv.Quote(strings.TrimSpace(hit))+": write "+p.instead)
		}
	}
	return list
}

// openings are the sentences in a paragraph that begin with "What" or "Who" and do not ask.
func openings(words string) (list []string) {
	for _, m := range opening.FindAllStringSubmatch(title.ReplaceAllString(words, ""), -1) {
		if m[2] != "?" {
			list = append(list, strconv.Quote(m[1])+": begin with the actor, a clause is no subject")
		}
	}
	return list
}

// TestPagesHaveNoRefusedPhrases: pages, the change log and the files of the examples.
func TestPagesHaveNoRefusedPhrases(t *testing.T) {
	t.Parallel()
	list := append(pages(t, true), files(t, func(name string) bool {
		return strings.HasPrefix(name, "examples/") && path.Ext(name) != ".go" && path.Ext(name) != ".md" && path.Ext(name) != ".sum" ||
			name == "docs/openapi.yaml"
	})...)
	for _, page := range list {
		if page.name == "docs/writing.md" { // it shows them
			continue
		}
		for _, p := range paragraphs(page.text) {
			problems := refused(p)
			if path.Ext(page.name) == ".md" && !strings.HasPrefix(p, "#") {
				problems = append(problems, openings(p)...)
			}
			for _, problem := range problems {
				t.Errorf("%s: %s (docs/writing.md)\n\tin: %.120s", page.name, problem, p)
			}
		}
	}
}

var between = regexp.MustCompile(`\n\s*\n|\n(?:\s*(?:[-*|]|\d+\.) )`)

// paragraphs are the paragraphs, rows and items of a page, each on one line.
func paragraphs(text string) (list []string) {
	for _, p := range between.Split(text, -1) {
		list = append(list, strings.Join(strings.Fields(p), " "))
	}
	return list
}

// TestTextsHaveNoRefusedPhrases: every string in the sources that are no tests.
func TestTextsHaveNoRefusedPhrases(t *testing.T) {
	t.Parallel()
	set, seen := token.NewFileSet(), 0
	for _, source := range files(t, func(name string) bool {
		return filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "tools/")
	}) {
		parsed, err := parser.ParseFile(set, source.name, source.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			words, ok := joined(e)
			if !ok {
				return true
			}
			seen++
			problems := refused(words)
			if strings.Contains(words, " ") {
				problems = append(problems, openings(words)...)
			}
			for _, problem := range problems {
				t.Errorf("%s: %s (docs/writing.md)\n\tin: %.200q", set.Position(n.Pos()), problem, words)
			}
			return false
		})
	}
	if seen < 1000 {
		t.Errorf("only %d texts were found in the sources", seen)
	}
}

// TestWritingPage: the page lists the phrases as the test has them.
func TestWritingPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("writing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range phrases {
		if row := "\n| " + p.name + " | " + p.instead + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/writing.md lacks the row %q", strings.TrimSpace(row))
		}
	}
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

// TestRefused: the list finds what it is for, and nothing else.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, p := range phrases {
		if !p.pattern.MatchString(p.bad) {
			t.Errorf("%s: is not found in %q", p.name, p.bad)
		}
		if got := refused(p.good); got != nil && p.name != "that is none" {
			t.Errorf("%s: %q is refused: %q", p.name, p.good, got)
		}
	}
	for words, want := range map[string]int{
		"What is found is stored.":                     1,
		"It scans. **What it does not do** is refused": 1,
		"Who writes rules reads this.":                 1,
		"**What it costs.** One process.":              0,
		"What is found?":                               0,
		"It says what is found.":                       0,
		"it is found, what else":                       0,
	} {
		if got := openings(words); len(got) != want {
			t.Errorf("openings(%q) = %q, want %d", words, got, want)
		}
	}
	for words, want := range map[string]int{
		"%q is no digest": 1, "it is no longer used": 0, "there is no file": 0, "There was no login": 0, "these are no images": 1,
		"`x`, is no key": 1, "is no key": 1, "the tag is now known": 0, "is noted": 0,
	} {
		if got := refused(words); len(got) != want {
			t.Errorf("refused(%q) = %q, want %d", words, got, want)
		}
	}
}
