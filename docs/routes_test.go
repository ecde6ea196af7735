package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// registration is a route that is given to a router, and its path.
var registration = regexp.MustCompile(`(?:\bmux\.Handle(?:Func)?|\be\.Any)\("(?:[A-Z]+ )?(/[^"]*)"|^const BasePath = "(/[^"]*)"`)

// TestRoutesNameTheirCallers: above each route in the sources stands who calls it, and
// docs/operations.md has the route in its table. Operations of the API say it in their
// descriptions (gate/api).
func TestRoutesNameTheirCallers(t *testing.T) {
	t.Parallel()
	table, routes := "", 0
	for _, page := range pages(t, false) {
		if page.name == "docs/operations.md" {
			_, table, _ = strings.Cut(page.text, "\n## Who calls what\n")
			table, _, _ = strings.Cut(table, "\n## ")
		}
	}
	for _, source := range files(t, func(name string) bool {
		return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") && (strings.HasPrefix(name, "cmd/digestgate/") || strings.HasPrefix(name, "gate/"))
	}) {
		lines := strings.Split(source.text, "\n")
		for i, line := range lines {
			m := registration.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			routes++
			if !called(lines[:i]) {
				t.Errorf("%s:%d: no comment above the route says who calls it; write: // called by: registries (or API servers, kubelet probes, operators, Prometheus, a command)", source.name, i+1)
			}
			first := strings.Split(strings.TrimSuffix(m[1]+m[2], "*"), "/")[1]
			if !strings.Contains(table, "/"+first) {
				t.Errorf("%s:%d: the table of docs/operations.md, \"Who calls what\", lacks /%s", source.name, i+1, first)
			}
		}
	}
	if routes < 8 {
		t.Errorf("only %d routes were found", routes)
	}
}

// called says whether the comment above a route, or above the routes before it, names
// the callers.
func called(above []string) bool {
	for i := len(above) - 1; i >= 0; i-- {
		line := strings.TrimSpace(above[i])
		switch {
		case strings.HasPrefix(line, "// called by: "):
			return true
		case !strings.HasPrefix(line, "//") && !registration.MatchString(above[i]):
			return false
		}
	}
	return false
}

func TestCalled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"\t// called by: registries":                                    true,
		"\t// called by: operators\n\tmux.HandleFunc(\"/a\", a)":        true,
		"\t// called by: operators\n\tmux.HandleFunc(\"/a\", a)\n\tx()": false,
		"\t// It is fast.": false,
		"":                 false,
	} {
		if got := called(strings.Split(text, "\n")); got != want {
			t.Errorf("called(%q) = %t, want %t", text, got, want)
		}
	}
}
