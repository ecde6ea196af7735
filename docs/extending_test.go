package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a path of the project in a page, and what follows it in parentheses.
var named = regexp.MustCompile("`((?:cmd|docs|examples|gate|policy|scanner|store|webhooks)/[A-Za-z0-9_./-]+)`(?: \\((new|copy)\\))?")

// TestExtendingPage: the files that the page names are there, or are marked as new; a
// stranger is two links away from it.
func TestExtendingPage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("extending.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, section := range []string{"registry", "finding kind", "rule", "notifier", "store"} {
		_, text, found := strings.Cut(page, "\n## A "+section+"\n")
		text, _, _ = strings.Cut(text, "\n## ")
		if !found {
			t.Errorf("there is no section %q", "A "+section)
			continue
		}
		for _, part := range []string{"| what | where |", "**Contract", "**Suite", "**Example"} {
			if !strings.Contains(text, part) {
				t.Errorf("section %q has no %q", section, part)
			}
		}
		if got := len(named.FindAllString(text, -1)); got < 6 {
			t.Errorf("section %q names only %d files", section, got)
		}
	}
	for _, problem := range missing(page, func(path string) bool { _, err := os.Stat(filepath.Join(root, path)); return err == nil }) {
		t.Error(problem)
	}
	for link, from := range map[string]string{"docs/README.md": "../README.md", "extending.md": "README.md"} {
		if raw, err := os.ReadFile(from); err != nil || !strings.Contains(string(raw), "("+link+")") {
			t.Errorf("docs/%s does not link to %s: %v", from, link, err)
		}
	}
}

// missing says which paths of a page are neither there nor marked as new, and which are
// marked and there.
func missing(page string, exists func(string) bool) (problems []string) {
	for _, m := range named.FindAllStringSubmatch(page, -1) {
		switch there := exists(m[1]); {
		case m[2] == "new" && there:
			problems = append(problems, m[1]+" is marked as new, and is there")
		case m[2] != "new" && !there:
			problems = append(problems, m[1]+" is not there: was it moved? A file to be made is marked (new)")
		}
	}
	return problems
}

func TestMissing(t *testing.T) {
	t.Parallel()
	exists := func(path string) bool { return path == "gate/errors.go" }
	for page, want := range map[string]int{
		"see `gate/errors.go`":            0,
		"copy `gate/errors.go` (copy)":    0,
		"make `gate/other.go` (new)":      0,
		"see `gate/other.go`":             1,
		"make `gate/errors.go` (new)":     1,
		"`gate/a.go`, `webhooks/b/c.go`":  2,
		"the function `gate.ReadEntry`":   0,
		"copy `gate/other.go` (copy), or": 1,
	} {
		if got := missing(page, exists); len(got) != want {
			t.Errorf("missing(%q) = %q, want %d", page, got, want)
		}
	}
}
