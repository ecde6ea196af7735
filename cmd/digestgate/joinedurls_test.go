package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// TestJoinedTablesByURL: EPSS, KEV, ends of life and a VEX document come from URLs. While
// their server fails, rules that read them refuse, and what is missing is named; when it
// answers, the image is decided again with all four, without a pull.
func TestJoinedTablesByURL(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	d := s.pushDebian("team/app", "v1", demo.Released, nil)
	document := fmt.Sprintf(`{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "acme-1", "author": "Acme Security", "timestamp": %q, "version": 1, "statements": [
 {"vulnerability": {"name": "CVE-2024-45492"}, "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path",
  "products": [{"@id": "pkg:oci/app@%s", "subcomponents": [{"@id": "pkg:deb/debian/libexpat1@2.5.0-1"}]}]}]}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), d)
	files := map[string]string{
		"/epss.csv":  "#model_version:v2025.03.14,score_date:2025-01-01T00:00:00+0000\ncve,epss,percentile\nCVE-2024-45491,0.95,0.9\nCVE-2024-45492,0.95,0.9\n",
		"/kev.json":  catalogue(1, "CVE-2024-45490"),
		"/eol.json":  `{"schema_version": "1.2.0", "generated_at": "2025-01-01T00:00:00+00:00", "total": 1, "result": [{"name": "debian", "aliases": [], "releases": [{"name": "12", "isEol": true, "eolFrom": "2024-06-10"}]}]}`,
		"/acme.json": document,
	}
	var up atomic.Bool
	feeds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		switch {
		case !up.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprint(w, text)
		}
	}))
	t.Cleanup(feeds.Close)
	policy := write(t, s.dir+"/policy.rego", tablesPolicy, 0o600)
	config := strings.Replace(read(t, s.config), "stale: allow}", fmt.Sprintf(`stale: allow, refresh: 1m, epss: "%[1]s/epss.csv", kev: "%[1]s/kev.json", eol: "%[1]s/eol.json",
  vex: [{name: acme, path: "%[1]s/acme.json", checksum: "sha256:%[2]x", repositories: ["hub/team/**"], maxAge: 240h}]}
policy: {paths: [%[3]q]}`, feeds.URL, sha256.Sum256([]byte(document)), policy), 1)
	write(t, s.config, config, 0o600)
	s.start()
	s.deliver(hookSecret, "team/app", "v1", d)
	if v := s.until(d, time.Minute, func(v view.ImageDetail) bool { return v.Verdict != nil }); v.Verdict.Decision != gate.OutcomeDeny || v.Verdict.Code != gate.CodeStale {
		t.Fatalf("without the tables: %+v", v.Verdict)
	}
	eventually(t, "what is missing is named", time.Minute, func() bool {
		_, text, _ := s.ready()
		return !slices.ContainsFunc([]string{"epss: ", "kev: ", "eol: ", `vex: source "acme" is not renewed: `}, func(of string) bool {
			return !strings.Contains(text, "warn  tables: "+of)
		})
	})
	pulls := s.registry.Count(http.MethodGet, "/blobs/")
	up.Store(true)
	v := s.until(d, 3*time.Minute, func(v view.ImageDetail) bool {
		return v.Verdict != nil && len(v.Verdict.Reasons) == 3
	})
	var got []string
	for _, r := range v.Verdict.Reasons {
		got = append(got, r.Rule+" "+r.Msg)
	}
	slices.Sort(got)
	if want := []string{"ended 2024-06-10T00:00:00Z", "exploited CVE-2024-45490", "likely CVE-2024-45491"}; !slices.Equal(got, want) || v.Verdict.Decision != gate.OutcomeDeny {
		t.Errorf("with the tables: %s %q, want %q", v.Verdict.Decision, got, want)
	}
	if n := s.registry.Count(http.MethodGet, "/blobs/"); n != pulls {
		t.Errorf("%d blobs were read, %d before", n, pulls)
	}
	eventually(t, "nothing is missing", 2*time.Minute, func() bool {
		_, text, _ := s.ready()
		return !strings.Contains(text, "tables")
	})
}
