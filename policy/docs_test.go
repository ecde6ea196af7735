package policy

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// builtinTables are the two tables of docs/policies.md.
func builtinTables() []string {
	var allowed, refused []string
	for _, g := range builtinGroups() {
		names := make([]string, 0, len(g.names))
		for _, n := range g.names {
			if !strings.HasPrefix(n, "internal.") {
				names = append(names, "`"+n+"`")
			}
		}
		allowed = append(allowed, fmt.Sprintf("| %s | %s |\n", g.why, strings.Join(names, " ")))
	}
	why := refusedBuiltins()
	for _, n := range slices.Sorted(maps.Keys(why)) {
		refused = append(refused, fmt.Sprintf("| `%s` | %s |\n", n, why[n]))
	}
	return append(allowed, refused...)
}

// TestDocumentedBuiltins: the tables of the documentation are those of the
// code.
func TestDocumentedBuiltins(t *testing.T) {
	text, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range builtinTables() {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/policies.md lacks the row\n%s", row)
		}
	}
	rows := 0
	_, builtins, _ := strings.Cut(string(text), "\n## Builtins\n")
	builtins, _, _ = strings.Cut(builtins, "\n## ")
	for line := range strings.Lines(builtins) {
		if strings.HasPrefix(line, "| ") {
			rows++
		}
	}
	if want := len(builtinTables()) + 2; rows != want { // and two headings
		t.Errorf("docs/policies.md has %d rows of builtins, want %d", rows, want)
	}
}

// TestDocumentedExamples compiles and runs the Rego blocks of the
// documentation.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for i, part := range strings.Split(string(text), "```rego\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		name := fmt.Sprintf("block%d.rego", i)
		if strings.Contains(block, "test_") {
			name = fmt.Sprintf("block%d_test.rego", i)
		}
		files = append(files, File{Name: name, Text: block})
	}
	results, err := Test(t.Context(), files, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || !results[0].Passed {
		t.Errorf("got %+v", results)
	}
}
