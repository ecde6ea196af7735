package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/view"
	"github.com/digestgate/digestgate/policy"
)

// TestPolicies: what is in force is shown with its files, without a look at
// what this process has.
func TestPolicies(t *testing.T) {
	if a := newSite(t, nil).send("GET", "/api/v1/policies", "", nil); a.status != http.StatusNotFound {
		t.Errorf("without policies: got %d %s", a.status, a.body)
	}
	var active *policy.Activations
	s := newSite(t, func(o *api.Options) {
		active = policy.NewActivations(o.Reader.(agree.Store), "gate-1/7", "v1")
		o.Policies = active
	})
	if a := s.send("GET", "/api/v1/policies", "", nil); a.status != http.StatusNotFound {
		t.Errorf("nothing in force: got %d %s", a.status, a.body)
	}
	set, err := active.Activate(t.Context(), []policy.File{{Name: "/etc/gate/p.rego", Text: "package digestgate"}})
	s.no(err)
	a := s.send("GET", "/api/v1/policies", "", nil)
	var shown view.PoliciesView
	s.get("/policies", &shown)
	want := `{"activation":1,"content":"` + string(set.Content) + `","activatedAt":"` + shown.ActivatedAt.Format(time.RFC3339Nano) + `","by":"gate-1/7","program":"v1","files":[{"name":"p.rego","text":"package digestgate"}]}`
	if !shown.ActivatedAt.Equal(set.ActivatedAt) {
		t.Errorf("got %s, want %s", shown.ActivatedAt, set.ActivatedAt)
	}
	if a.status != http.StatusOK || strings.TrimSpace(a.body) != want {
		t.Errorf("got %d %s, want %s", a.status, a.body, want)
	}
}
