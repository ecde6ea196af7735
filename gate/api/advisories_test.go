package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestAdvisories: orders about advisory data are kept with who gave them, and each answer
// says how the data stands then.
func TestAdvisories(t *testing.T) {
	s := newSite(t, func(o *api.Options) {
		o.Advisories = explaining{advisory.NewDesk(o.Reader.(agree.Store), []string{"mirror.example.com/db:2"}, "p", "v1", nil)}
	})
	var v gate.AdvisoryData
	s.get("/advisories", &v)
	if v.InForce.Number != 0 || v.Waiting == "" || len(v.Repositories) != 1 || v.Accepted == nil || v.Processes == nil || v.Audit == nil {
		t.Errorf("at first: %+v", v)
	}
	s.call("POST", "/advisories/update", "", http.StatusAccepted, &v)
	if len(v.Audit) != 1 || v.Audit[0].By != "admin" {
		t.Errorf("update: %+v", v.Audit)
	}
	s.call("POST", "/advisories/accept", `{"what":"debian 12","until":"2026-12-24T00:00:00Z","reason":"moved","by":"me"}`, http.StatusOK, &v)
	if len(v.Accepted) != 1 || v.Accepted[0].What != "debian 12" || v.Accepted[0].By != "me" || v.Accepted[0].Reason != "moved" || len(v.Audit) != 2 {
		t.Errorf("accept: %+v", v)
	}
	s.refused(s.send("POST", "/api/v1/advisories/accept", `{"what":"debian 12","until":"2020-12-24T00:00:00Z","reason":"moved"}`, nil), http.StatusUnprocessableEntity, "not in the future")
	s.refused(s.send("POST", "/api/v1/advisories/accept", `{"what":"debian 12","until":"2026-12-24T00:00:00Z"}`, nil), http.StatusUnprocessableEntity, "")
	s.refused(s.send("POST", "/api/v1/advisories/rollback", `{"reason":"why","by":"me"}`, nil), http.StatusNotFound, "no generation before")
	s.refused(s.send("POST", "/api/v1/advisories/rollback", `{"reason":"`+strings.Repeat("x", 501)+`"}`, nil), http.StatusUnprocessableEntity, "")
}

// explaining is a desk that explains one document.
type explaining struct{ *advisory.Desk }

func (explaining) Explain(_ context.Context, source string, document []byte) (gate.VEXEffect, error) {
	if source == "nobody" {
		return gate.VEXEffect{}, fmt.Errorf("no entry of advisories.vex is named %q: %w", source, gate.ErrInvalid)
	}
	return gate.VEXEffect{Document: string(document), Statements: 3, Refused: map[string]int{"why": 2}, Hidden: []gate.HiddenFinding{{ID: "CVE-2026-0001"}}, Images: 1}, nil
}

func TestExplainVEX(t *testing.T) {
	s := newSite(t, func(o *api.Options) { o.Advisories = explaining{} })
	var v gate.VEXEffect
	s.call("POST", "/advisories/vex/explain", `{"document":"{}","source":"acme"}`, http.StatusOK, &v)
	if v.Document != "{}" || v.Statements != 3 || v.Refused["why"] != 2 || len(v.Hidden) != 1 || v.Images != 1 {
		t.Errorf("got %+v", v)
	}
	s.refused(s.send("POST", "/api/v1/advisories/vex/explain", `{"document":"{}","source":"nobody"}`, nil), http.StatusUnprocessableEntity, "no entry of advisories.vex")
	s.refused(s.send("POST", "/api/v1/advisories/vex/explain", `{"source":"acme"}`, nil), http.StatusUnprocessableEntity, "")
}
