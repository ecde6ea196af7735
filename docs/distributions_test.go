package docs

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/scanner/distribution"
)

// TestDistributionsPage: the tables of scanning.md name every distribution that has a
// detector of digestgate, and tests that exist.
func TestDistributionsPage(t *testing.T) {
	t.Parallel()
	page := files(t, func(name string) bool { return name == "docs/scanning.md" })
	if len(page) != 1 {
		t.Fatal("there is no docs/scanning.md")
	}
	_, rest, ok := strings.Cut(page[0].text, "## Every distribution, its data and its test\n")
	if !ok {
		t.Fatal("docs/scanning.md has no section about every distribution")
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	distributions, applications, _ := strings.Cut(section, "Applications that")
	named := map[string]int{}
	tests := ""
	for _, source := range files(t, func(name string) bool {
		return strings.HasSuffix(name, "_test.go") && strings.HasPrefix(path.Dir(name), "scanner/")
	}) {
		tests += source.text
	}
	for _, row := range rows(distributions) {
		named[row[0]]++
		if len(row) != 5 || !exists(tests, strings.Trim(row[4], "`")) {
			t.Errorf("%v: no test of that name exists below scanner", row)
		}
	}
	for _, family := range distribution.OwnFamilies() {
		if title := distribution.Feed(family); named[title] == 0 {
			t.Errorf("the table does not name %s", title)
		}
	}
	for _, other := range []string{"Debian", "Ubuntu", "CentOS", "SUSE Linux Enterprise"} {
		if named[other] == 0 {
			t.Errorf("the table does not name %s", other)
		}
	}
	list := rows(applications)
	if len(list) != 27 {
		t.Errorf("the table has %d applications, want 27", len(list))
	}
	for _, row := range list {
		if test := row[2]; strings.HasPrefix(test, "`") && !exists(tests, strings.Trim(test, "`")) {
			t.Errorf("%v: no test of that name exists below scanner", row)
		}
	}
}

// rows are the cells of the tables in a text, without their heads.
func rows(text string) (out [][]string) {
	head := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			head = true
		case strings.HasPrefix(line, "|---"):
			head = false
		case !head:
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			out = append(out, cells)
		}
	}
	return out
}

// exists reports whether there is a test of the name, with the case after its slash.
func exists(tests, name string) bool {
	function, sub, has := strings.Cut(name, "/")
	_, body, ok := strings.Cut(tests, fmt.Sprintf("\nfunc %s(", function))
	if end := strings.Index(body, "\nfunc Test"); end >= 0 {
		body = body[:end]
	}
	return ok && (!has || strings.Contains(body, fmt.Sprintf("%q:", sub)))
}
