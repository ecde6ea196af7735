package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
)

// route is one entry of the router.
type route struct{ method, path string }

// target is a request that the route answers.
func (r route) target() string {
	return strings.NewReplacer(":digest", string(digest("a")), ":id", "some-job", ":name", "hub").Replace(r.path)
}

// routes lists what the router serves but the description of the API.
func routes(s *site) (list []route) {
	s.Helper()
	for _, r := range s.echo.Routes() {
		if !strings.HasPrefix(r.Path, "/openapi") {
			list = append(list, route{r.Method, r.Path})
		}
	}
	if len(list) < 8 {
		s.Fatalf("the router has only %v", list)
	}
	return list
}

// TestNothingWithoutTheToken walks the router, so that a route that is added
// is covered.
func TestNothingWithoutTheToken(t *testing.T) {
	s := newSite(t, nil)
	d := s.image("a", loc("app"))
	s.scanned(d)
	s.catchUp()
	for _, r := range routes(s) {
		for name, header := range map[string]string{
			"none": "", "wrong": "Bearer wrong", "empty": "Bearer ", "no_token": "Bearer", "only_token": token, "basic": "Basic " + token,
			"longer": "Bearer " + token + "x", "shorter": "Bearer " + token[:4], "twice": "Bearer Bearer " + token,
		} {
			a := s.send(r.method, r.target(), `{"images":["hub.example.com/app:v1"]}`, map[string]string{"Authorization": header})
			s.refused(a, http.StatusUnauthorized, "Authorization: Bearer")
			if a.header.Get("WWW-Authenticate") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s with %s: headers %v", r.method, r.path, name, a.header)
			}
		}
		if a := s.send(r.method, r.target(), "", map[string]string{"Authorization": "bearer " + token}); a.status == http.StatusUnauthorized {
			t.Errorf("%s %s with the token: got 401", r.method, r.path)
		}
	}
	// Refused before it is read: the token comes first, the input second.
	for _, target := range []string{"/api/v1/images?nonsense=1", "/api/v1/images/nonsense"} {
		s.refused(s.send("GET", target, "", map[string]string{"Authorization": ""}), http.StatusUnauthorized, "")
	}
	s.refused(s.send("POST", "/api/v1/scans", strings.Repeat("x", 2<<20), map[string]string{"Authorization": ""}), http.StatusUnauthorized, "")
	if jobs, _, err := s.catalog.Jobs(s.ctx, gate.JobFilter{}); err != nil || len(jobs) != 0 {
		t.Errorf("requests without the token have queued %v, %v", jobs, err)
	}
}

// TestEmptyTokenNeverFits: even with a check that would take it.
func TestEmptyTokenNeverFits(t *testing.T) {
	s := newSite(t, func(o *api.Options) { o.Authorized = func(given string) bool { return given == "" } })
	for _, header := range []string{"Bearer ", "Bearer", ""} {
		s.refused(s.send("GET", "/api/v1/quota", "", map[string]string{"Authorization": header}), http.StatusUnauthorized, "")
	}
}

// TestTwoAuthorizations: with two headers it would be unclear which one a proxy
// in front has looked at.
func TestTwoAuthorizations(t *testing.T) {
	s := newSite(t, nil)
	for _, other := range []string{"Bearer " + token, "Bearer x", ""} {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.server.URL+"/api/v1/quota", nil)
		s.no(err)
		req.Header["Authorization"] = []string{"Bearer " + token, other}
		res, err := http.DefaultClient.Do(req)
		s.no(err)
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the token and %q: got %d, want 401", other, res.StatusCode)
		}
	}
}

// TestNoWayAround: other spellings of a path reach nothing without the token.
func TestNoWayAround(t *testing.T) {
	s := newSite(t, nil)
	s.image("a", loc("app"))
	s.catchUp()
	for _, target := range []string{
		"/api//v1/images", "//api/v1/images", "/API/V1/images", "/api/v1/IMAGES", "/api/v1/images/", "/api/v1//images", "/api/v1/./images",
		"/openapi.yaml/../api/v1/images", "/openapi.yaml/%2e%2e/api/v1/images", "/%2e%2e/api/v1/images", "/api/v1/%2e%2e/v1/images",
		"/api/v1/%69mages", "/api%2fv1%2fimages", "/api/v1/images%2f", "/api/v1/images%00", "/api/v1/images;a=b", "/api/v1/images/..",
		"/api/v1/images?token=" + token, "/api/v1/images?access_token=" + token, "/api/v1/jobs/..%2fimages", "/api/v1/quota%20",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"} {
			a := s.send(method, target, "", map[string]string{"Authorization": "", "X-HTTP-Method-Override": "GET", "X-Original-URL": "/openapi.yaml"})
			if (a.status < 400 && a.status != http.StatusNoContent) || strings.Contains(a.body, "sha256:") {
				t.Errorf("%s %s without the token: got %d %s", method, target, a.status, a.body)
			}
		}
	}
}

// TestWrongQueries: what the API does not know or understand is said, never
// ignored.
func TestWrongQueries(t *testing.T) {
	s := newSite(t, nil)
	for target, words := range map[string]string{
		"/images?stat=scanned":                      "stat",
		"/images?state=Scanned":                     "state",
		"/images?decision=block":                    "decision",
		"/images?kind=x":                            "kind",
		"/images?limit=0":                           "limit",
		"/images?limit=201":                         "limit",
		"/images?limit=ten":                         "limit",
		"/images?cursor=abc":                        "cursor",
		"/images?q=" + strings.Repeat("a", 256):     "q",
		"/images/" + string(digest("a")) + "?x=1":   "x",
		"/jobs?state=scanned":                       "state",
		"/jobs?kind=image":                          "kind",
		"/jobs?cursor=%00":                          "cursor",
		"/jobs/" + strings.Repeat("a", 201):         "id",
		"/quota?period=2026-10":                     "period",
		"/images/" + strings.Repeat("a", 81):        "digest",
		"/images/sha256:" + strings.Repeat("g", 64): "digest",
	} {
		a := s.send("GET", "/api/v1"+target, "", nil)
		s.refused(a, http.StatusUnprocessableEntity, words)
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", target)
		}
	}
}
