package api_test

import (
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write docs/openapi.yaml")

// TestOpenAPIIsCommitted: the description of the API can be read, and compared,
// without running anything.
func TestOpenAPIIsCommitted(t *testing.T) {
	const file = "../../docs/openapi.yaml"
	s := newSite(t, nil)
	a := s.send("GET", "/openapi.yaml", "", map[string]string{"Authorization": ""})
	if a.status != http.StatusOK {
		t.Fatalf("/openapi.yaml: got %d %s", a.status, a.body)
	}
	if *update {
		s.no(os.WriteFile(file, []byte(a.body), 0o644))
	}
	committed, err := os.ReadFile(file)
	s.no(err)
	if diff := cmp.Diff(string(committed), a.body); diff != "" {
		t.Errorf("docs/openapi.yaml is not up to date; run: go test ./gate/api -run OpenAPI -update\n%s", diff)
	}
}

// TestOpenAPINamesEveryRoute: each route is described, with its protection.
func TestOpenAPINamesEveryRoute(t *testing.T) {
	s := newSite(t, nil)
	a := s.send("GET", "/openapi.yaml", "", map[string]string{"Authorization": ""})
	if !strings.HasPrefix(a.body, "components:") || !strings.Contains(a.body, "openapi: 3.1.") || !strings.Contains(a.body, "- token: []") {
		t.Errorf("/openapi.yaml is not the description: %.300s", a.body)
	}
	for _, r := range routes(s) {
		path := strings.NewReplacer(":digest", "{digest}", ":id", "{id}", ":name", "{name}").Replace(r.path)
		if !strings.Contains(a.body, "\n  "+path+":\n") {
			t.Errorf("%s %s is not described", r.method, path)
		}
	}
	for _, r := range s.echo.Routes() {
		if strings.HasPrefix(r.Path, "/openapi") && r.Method != http.MethodGet {
			t.Errorf("%s %s is public", r.Method, r.Path)
		}
	}
}

// TestOperationsNameTheirCallers: each operation says for whom it is.
func TestOperationsNameTheirCallers(t *testing.T) {
	s := newSite(t, nil)
	var document struct {
		Paths map[string]map[string]struct {
			ID          string `yaml:"operationId"`
			Description string
		}
	}
	s.no(yaml.Unmarshal([]byte(s.send("GET", "/openapi.yaml", "", map[string]string{"Authorization": ""}).body), &document))
	operations := 0
	for path, methods := range document.Paths {
		for method, o := range methods {
			operations++
			if !strings.HasPrefix(o.Description, "Called by: ") || len(o.Description) < len("Called by: xx.") {
				t.Errorf("%s %s (%s): the description does not say who calls it: %q", method, path, o.ID, o.Description)
			}
		}
	}
	if operations < 13 {
		t.Errorf("the document has %d operations", operations)
	}
}
