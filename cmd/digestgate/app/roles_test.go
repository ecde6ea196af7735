package app

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
)

// TestRolesHaveWhatTheyNeed starts each role alone: it has the parts that it
// needs, none of the others, and answers for its health.
func TestRolesHaveWhatTheyNeed(t *testing.T) {
	for _, role := range allRoles() {
		t.Run(role, func(t *testing.T) {
			t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
			a := bareApp(t, func(c *Config) {
				c.Roles = []string{role}
				c.Listen = ListenConfig{HTTP: "127.0.0.1:0", Admission: "127.0.0.1:0", Private: "127.0.0.1:0"}
			})
			has := map[part]bool{
				partSource: a.Source != nil, partPolicies: a.policies != nil, partAdvisories: a.Advisories != nil, partCatalog: a.Catalog != nil,
			}
			for p, got := range has {
				if want := a.needs(p); got != want {
					t.Errorf("%s: got %t, want %t", p, got, want)
				}
			}
			_, err := os.Stat(filepath.Join(a.Config.DataDir, "catalog.db"))
			if got := err == nil; got != a.needs(partCatalog) {
				t.Errorf("catalog.db is there: %t", got)
			}
			s, err := a.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/readyz", "/livez", "/metrics"} {
				answer := httptest.NewRecorder()
				a.private().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
				if answer.Code != http.StatusOK {
					t.Errorf("%s: got %d %s", path, answer.Code, answer.Body)
				}
				if path == "/readyz" && strings.Contains(answer.Body.String(), " policies:") != a.needs(partPolicies) {
					t.Errorf("/readyz of %s says:\n%s", role, answer.Body)
				}
			}
			if role == RoleWorker && !strings.Contains(readyText(t, a), "warn  roles: the role scheduler is left out, and an SQLite store belongs to one process: stored images are never matched again") {
				t.Errorf("/readyz does not say that nobody matches again:\n%s", readyText(t, a))
			}
			if role != RoleWorker && !strings.Contains(readyText(t, a), "warn  roles: the role worker is left out, and an SQLite store belongs to one process: no image is ever analysed") {
				t.Errorf("/readyz does not say that nobody analyses:\n%s", readyText(t, a))
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func readyText(t *testing.T, a *App) string {
	t.Helper()
	text, _ := a.ready(t.Context())
	return text
}
