package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// TestGetHistory: in pages, since a time, and of no image that is not known.
func TestGetHistory(t *testing.T) {
	s := newSite(t, nil)
	at := gate.Location{Registry: "hub", Repository: "team/app"}
	d := s.image("a", at)
	s.scanned(d)
	for i := range 5 {
		s.verdict(d, at, []gate.Outcome{gate.OutcomeDeny, gate.OutcomeAllow}[i%2], gate.Reason{Rule: fmt.Sprint("r", i)})
	}
	s.catchUp()
	var all view.History
	s.get("/images/"+string(d)+"/history", &all)
	if len(all.Entries) != 5 || all.Next != 0 || all.Entries[0].Verdicts[0].After.Decision != gate.OutcomeDeny || all.Entries[4].Verdicts[0].Before.Decision != "" {
		t.Fatalf("got %+v", all)
	}
	var numbers []int64
	for before := int64(0); ; {
		var page view.History
		s.get(fmt.Sprintf("/images/%s/history?limit=2&before=%d", d, before), &page)
		for _, e := range page.Entries {
			numbers = append(numbers, e.Number)
		}
		if before = page.Next; before == 0 {
			break
		}
	}
	if len(numbers) != 5 || numbers[4] != all.Entries[4].Number {
		t.Errorf("in pages: got %v", numbers)
	}
	var since view.History
	s.get("/images/"+string(d)+"/history?since="+url.QueryEscape(all.Entries[1].At.Format(time.RFC3339Nano)), &since)
	if len(since.Entries) != 2 {
		t.Errorf("since the second: got %d", len(since.Entries))
	}
	s.refused(s.send("GET", "/api/v1/images/sha256:"+strings.Repeat("0", 64)+"/history", "", nil), http.StatusNotFound, "never pushed")
	s.refused(s.send("GET", "/api/v1/images/nonsense/history", "", nil), http.StatusUnprocessableEntity, "digest")
	s.refused(s.send("GET", "/api/v1/images/"+string(d)+"/history?since=yesterday", "", nil), http.StatusUnprocessableEntity, "")
}

// TestGetVulnerability: each filter, in pages; an id that no image has says what to do, and
// one that cannot be one is refused.
func TestGetVulnerability(t *testing.T) {
	s := newSite(t, nil)
	app, web := gate.Location{Registry: "hub", Repository: "team/app"}, gate.Location{Registry: "second", Repository: "team/web"}
	seen := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	log4j := gate.Vulnerability{ID: "CVE-2021-44228", Package: "log4j-core", InstalledVersion: "2.14", FixedVersion: "2.15", Severity: gate.SeverityCritical, FirstSeen: seen}
	unfixed := log4j
	unfixed.FixedVersion, unfixed.Severity = "", gate.SeverityHigh
	ghsa := log4j
	ghsa.ID, ghsa.Aliases = "GHSA-jfh8-c2jp-5v3q", []string{"CVE-2021-44228"}
	all := map[string]gate.Digest{}
	for name, f := range map[string]gate.Vulnerability{"fixed": log4j, "unfixed": unfixed, "ghsa": ghsa} {
		all[name] = s.image(name, app)
		s.scanned(all[name], f, gate.Vulnerability{ID: "CVE-2020-1", Package: "other"})
	}
	other := s.image("elsewhere", web)
	s.scanned(other, log4j)
	all["elsewhere"] = other
	s.verdict(other, web, gate.OutcomeDeny)
	s.image("clean", app)
	s.catchUp()
	affected := func(query string) (names []string) {
		t.Helper()
		v := s.vulnerability(query)
		for name, d := range all {
			for _, i := range v.Images {
				if i.Digest == d {
					names = append(names, name)
				}
			}
		}
		if len(names) != len(v.Images) {
			t.Errorf("%s: got %+v", query, v.Images)
		}
		return names
	}
	for query, want := range map[string]int{
		"CVE-2021-44228": 4, "cve-2021-44228": 4, "CVE-2021-44228?registry=hub": 3, "CVE-2021-44228?repository=team/web": 1,
		"CVE-2021-44228?severity=HIGH": 1, "CVE-2021-44228?fixed=true": 3, "CVE-2021-44228?running=true": 1, "CVE-2021-44228?decision=deny": 1,
		"ghsa-JFH8-c2jp-5v3q": 1, "CVE-2021-44228?decision=allow": 0,
	} {
		if got := affected(query); len(got) != want {
			t.Errorf("%s: got %v, want %d", query, got, want)
		}
	}
	first := s.vulnerability("CVE-2021-44228?repository=team/web").Images[0]
	if p := first.Packages; len(p) != 1 || p[0].Name != "log4j-core" || !p[0].FirstSeen.Equal(seen) || p[0].FixedVersion != "2.15" || first.Running {
		t.Errorf("got %+v", first)
	}
	pages := 0
	for cursor := ""; ; pages++ {
		v := s.vulnerability("CVE-2021-44228?limit=1&cursor=" + cursor)
		if cursor = v.Next; cursor == "" {
			if pages += len(v.Images); pages != 4 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	s.refused(s.send("GET", "/api/v1/vulnerabilities/CVE-1999-0001", "", nil), http.StatusNotFound, "check the id")
	for _, id := range []string{"%27%20OR%201=1", "CVE%00", strings.Repeat("A", 150), "%e4%b8%ad", "..%2f..", "a%0ab"} {
		s.refused(s.send("GET", "/api/v1/vulnerabilities/"+id, "", nil), http.StatusUnprocessableEntity, "vulnerability id")
	}
	s.refused(s.send("GET", "/api/v1/vulnerabilities/CVE-2021-44228?cursor=x", "", nil), http.StatusUnprocessableEntity, "cursor")
}

func (s *site) vulnerability(query string) (v view.VulnerabilityDetail) {
	s.Helper()
	s.no(s.holdings.CatchUp(s.ctx))
	s.get("/vulnerabilities/"+query, &v)
	return v
}
