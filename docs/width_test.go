package docs

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// width is how many columns a line of a page may have: two pages fit beside each
// other on a screen, and a review shows which sentence changed.
const width = 100

// TestPagesAreWrapped: a line of text has at most 100 columns. Tables, code between
// fences or indented by four, and a line that has no space to break at are left alone.
// The change log keeps its lines.
func TestPagesAreWrapped(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t, false) {
		for _, n := range wide(page.text) {
			t.Errorf("%s:%d: the line is longer than %d columns; wrap the paragraph", page.name, n, width)
		}
	}
}

// wide are the numbers of the lines that could be wrapped and are not.
func wide(text string) (lines []int) {
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		body := strings.TrimLeft(line, " ")
		switch {
		case fence != "":
			if strings.HasPrefix(body, fence) {
				fence = ""
			}
		case strings.HasPrefix(body, "```"), strings.HasPrefix(body, "~~~"):
			fence = body[:3]
		case strings.HasPrefix(body, "|"), strings.HasPrefix(line, "    ") && !wrapped(text, i):
		case utf8.RuneCountInString(line) > width && breakable(body):
			lines = append(lines, i+1)
		}
	}
	return lines
}

// wrapped says whether the indented line i continues an item of a list, and is no code.
func wrapped(text string, i int) bool {
	lines := strings.Split(text, "\n")
	for i > 0 && strings.TrimSpace(lines[i-1]) != "" {
		i--
	}
	return !strings.HasPrefix(lines[i], "    ")
}

// breakable says whether a line has a space at which it can be broken: one that is
// neither in a marker of a list nor between backticks.
func breakable(body string) bool {
	for _, marker := range []string{"- ", "* ", "+ "} {
		body = strings.TrimPrefix(body, marker)
	}
	inCode := false
	for _, r := range body {
		switch {
		case r == '`':
			inCode = !inCode
		case r == ' ' && !inCode:
			return true
		}
	}
	return false
}

func TestWide(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 21)
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"short", "word\n", 0},
		{"text", long, 1},
		{"text_counts_characters", strings.Repeat("wörd ", 20), 0},
		{"item", "- " + long, 1},
		{"second_line_of_an_item", "1. x\n    " + long, 1},
		{"table", "| " + long + "|", 0},
		{"fenced", "```\n" + long + "\n```\n", 0},
		{"after_the_fence", "```\nx\n```\n" + long, 1},
		{"indented", "x\n\n    " + long, 0},
		{"indented_second_line", "x\n\n    x\n    " + long, 0},
		{"heading", "## " + long, 1},
		{"link_alone", "- [x](" + strings.Repeat("x", 120) + ")", 0},
		{"code_alone", "`" + long + "`", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := wide(c.text); len(got) != c.want {
				t.Errorf("lines %v of %q are too long, want %d of them", got, c.text, c.want)
			}
		})
	}
}

// TestPagesSayForWhomTheyAre: the first paragraph of a page names its readers. Decisions
// and lists of pages have a form of their own.
func TestPagesSayForWhomTheyAre(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, page := range pages(t, false) {
		if !strings.HasPrefix(page.name, "docs/") || strings.HasPrefix(page.name, "docs/adr/") || strings.HasSuffix(page.name, "/README.md") {
			continue
		}
		seen++
		_, body, _ := strings.Cut(page.text, "\n\n")
		if !strings.HasPrefix(body, "For ") && !strings.HasPrefix(body, "This page is for ") {
			t.Errorf("%s: the page does not begin with its readers; write: For operators who …: at the end of this page …", page.name)
		}
	}
	if seen < 30 {
		t.Errorf("only %d pages were found", seen)
	}
}
