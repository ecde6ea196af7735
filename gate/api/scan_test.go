package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

type started struct {
	Jobs []view.Job
	Scan *view.ScanTask
}

// wrong are the values that an answer refuses: where each is, and why.
func (s *site) wrong(a answer) map[string]string {
	s.Helper()
	s.refused(a, http.StatusUnprocessableEntity, "")
	var problem struct {
		Errors []struct{ Message, Location string }
	}
	s.no(json.Unmarshal([]byte(a.body), &problem))
	list := map[string]string{}
	for _, e := range problem.Errors {
		list[e.Location] = e.Message
	}
	return list
}

// TestScanScopes: each scope of the issue is a task, whose kind follows from what is asked.
func TestScanScopes(t *testing.T) {
	for name, c := range map[string]struct {
		body  string
		kind  gate.ScanKind
		force bool
		check func(view.ScanTask) bool
	}{
		"all":   {`{"scope":{"all":true}}`, gate.ScanContent, false, func(v view.ScanTask) bool { return v.Scope.All }},
		"force": {`{"scope":{"all":true},"force":true}`, gate.ScanContent, true, nil},
		"match": {`{"scope":{"all":true},"kind":"match"}`, gate.ScanMatch, false, nil},
		"type": {`{"scope":{"registryTypes":["harbor"]}}`, gate.ScanContent, false, func(v view.ScanTask) bool {
			return !v.Scope.All && slices.Equal(v.Scope.RegistryTypes, []string{"harbor"})
		}},
		"risk":        {`{"scope":{"all":true},"risks":["vulnerabilities"]}`, gate.ScanMatch, false, func(v view.ScanTask) bool { return len(v.Risks) == 1 }},
		"risks":       {`{"scope":{"all":true},"risks":["vulnerabilities","secrets"]}`, gate.ScanContent, false, nil},
		"recommended": {`{"scope":{"recommended":true}}`, gate.ScanContent, false, func(v view.ScanTask) bool { return v.Scope.Recommended }},
		"everything": {`{"scope":{"registries":["hub"],"repositories":["team/**"],"tags":["v*"],"pushedWithin":"360h","running":true,"verdict":"deny"},"rate":100,"concurrency":4,"window":"22:00-06:00","timeZone":"Asia/Shanghai"}`,
			gate.ScanContent, false, func(v view.ScanTask) bool {
				return v.Scope.PushedWithin == "360h0m0s" && v.Rate == 100 && v.Concurrency == 4 && v.Window == "22:00-06:00" && v.TimeZone == "Asia/Shanghai" && v.Scope.Verdict == "deny"
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			var out started
			s.call("POST", "/scans", c.body, http.StatusAccepted, &out)
			if out.Scan == nil || len(out.Jobs) != 0 || out.Scan.State != gate.ScanQueued || out.Scan.Kind != c.kind || out.Scan.Force != c.force || out.Scan.Total != nil || c.check != nil && !c.check(*out.Scan) {
				t.Errorf("got %+v", out.Scan)
			}
		})
	}
}

// TestScanScopesRefused: nothing is started, and each wrong value is named with what to
// write instead.
func TestScanScopesRefused(t *testing.T) {
	for name, c := range map[string]struct{ body, at, text string }{
		"empty":           {`{"scope":{}}`, "body.scope", `write {"all":true}`},
		"all_and_more":    {`{"scope":{"all":true,"running":true}}`, "body.scope.all", "leave out one or the other"},
		"registry":        {`{"scope":{"registries":["x"]}}`, "body.scope.registries[0]", `"x" is not the name of a configured registry; configured are hub, second`},
		"type":            {`{"scope":{"registryTypes":["swr"]}}`, "body.scope.registryTypes[0]", "no configured registry is of type"},
		"pattern":         {`{"scope":{"tags":["["]}}`, "body.scope.tags[0]", "is not a pattern"},
		"pushed":          {`{"scope":{"pushedWithin":"15d"}}`, "body.scope.pushedWithin", "write hours, such as 360h for 15 days"},
		"pushed_negative": {`{"scope":{"pushedWithin":"-1h"}}`, "body.scope.pushedWithin", "write hours"},
		"verdict":         {`{"scope":{"verdict":"bad"}}`, "body.scope.verdict", "is not one of allow, warn, deny, none"},
		"kind":            {`{"scope":{"all":true},"kind":"full"}`, "body.kind", "is not one of match, content"},
		"rate":            {`{"scope":{"all":true},"rate":-1}`, "body.rate", "images per hour"},
		"concurrency":     {`{"scope":{"all":true},"concurrency":1000}`, "body.concurrency", "images at a time"},
		"zone":            {`{"scope":{"all":true},"timeZone":"Local"}`, "body.timeZone", "IANA"},
		"window":          {`{"scope":{"all":true},"window":"0-7"}`, "body.window", "HH:MM-HH:MM"},
		"risk_not_built":  {`{"scope":{"all":true},"risks":["malware"]}`, "body.risks[0]", "is not looked at here"},
		"risk_alone":      {`{"scope":{"all":true},"risks":["secrets"]}`, "body.risks", "looks at all of"},
		"risk_of_match":   {`{"scope":{"all":true},"kind":"match","risks":["secrets"]}`, "body.risks[0]", "use the kind content"},
		"force_of_match":  {`{"scope":{"all":true},"kind":"match","force":true}`, "body.force", "for the kind content"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			if wrong := s.wrong(s.send("POST", "/api/v1/scans", c.body, nil)); len(wrong) != 1 || !strings.Contains(wrong[c.at], c.text) {
				t.Errorf("got %q, want %s with %q", wrong, c.at, c.text)
			}
			var list struct{ Scans []view.ScanTask }
			if s.get("/scans", &list); list.Scans == nil || len(list.Scans) != 0 {
				t.Errorf("started: %+v", list)
			}
		})
	}
	s := newSite(t, nil)
	s.refused(s.send("POST", "/api/v1/scans", `{"scope":{"all":true},"images":["hub.example.com/app:v1"]}`, nil), http.StatusUnprocessableEntity, "leave out one of them")
	s.refused(s.send("POST", "/api/v1/scans", `{"images":["hub.example.com/app:v1"],"rate":5,"kind":"match"}`, nil), http.StatusUnprocessableEntity, "kind, rate: for a scope")
	s.refused(s.send("POST", "/api/v1/scans", `{}`, nil), http.StatusUnprocessableEntity, "neither images nor a scope is given")
	s.refused(s.send("POST", "/api/v1/scans", `{"scope":{"everything":true}}`, nil), http.StatusUnprocessableEntity, "")
}

func TestScanTasks(t *testing.T) {
	s := newSite(t, nil)
	var out started
	s.call("POST", "/scans", `{"scope":{"all":true}}`, http.StatusAccepted, &out)
	id := out.Scan.ID
	for _, step := range []struct {
		verb   string
		status int
		want   gate.ScanState
	}{
		{"resume", http.StatusConflict, gate.ScanQueued}, {"pause", http.StatusOK, gate.ScanPaused}, {"pause", http.StatusConflict, gate.ScanPaused},
		{"resume", http.StatusOK, gate.ScanQueued}, {"cancel", http.StatusOK, gate.ScanCancelled}, {"cancel", http.StatusConflict, gate.ScanCancelled},
	} {
		var one view.ScanTask
		a := s.send("POST", "/api/v1/scans/"+id+"/"+step.verb, "", nil)
		if a.status != step.status || a.status == http.StatusConflict && strings.Contains(a.body, "state has changed") {
			t.Errorf("%s: got %d %s, want %d", step.verb, a.status, a.body, step.status)
		}
		if s.get("/scans/"+id, &one); one.State != step.want || one.ID != id {
			t.Errorf("after %s: got %+v, want %s", step.verb, one, step.want)
		}
	}
	s.refused(s.send("GET", "/api/v1/scans/other", "", nil), http.StatusNotFound, "lists them")
	s.refused(s.send("POST", "/api/v1/scans/other/cancel", "", nil), http.StatusNotFound, "lists them")
	for range 20 {
		s.call("POST", "/scans", `{"scope":{"all":true}}`, http.StatusAccepted, &out)
	}
	s.refused(s.send("POST", "/api/v1/scans", `{"scope":{"all":true}}`, nil), http.StatusConflict, "20 scan tasks have not ended")
	var list struct{ Scans []view.ScanTask }
	if s.get("/scans?state=queued", &list); len(list.Scans) != 20 || list.Scans[0].ID != out.Scan.ID {
		t.Errorf("got %d queued tasks", len(list.Scans))
	}
	if s.get("/scans?schedule=nightly", &list); len(list.Scans) != 0 {
		t.Errorf("got %+v of a schedule", list.Scans)
	}
}

func TestSchedules(t *testing.T) {
	s := newSite(t, nil)
	const body = `{"name":"nightly","every":"3d","at":"01:00","timeZone":"Asia/Shanghai","window":"00:00-07:00","scope":{"registries":["hub"],"pushedWithin":"360h"},"kind":"content","rate":100,"concurrency":2}`
	var one view.Schedule
	s.call("POST", "/schedules", body, http.StatusCreated, &one)
	if one.Source != "api" || !one.Enabled || one.Every != "3d" || one.From == "" || len(one.Next) != 5 || one.CreatedAt == nil || one.Run != nil || one.Scope.PushedWithin != "360h0m0s" || one.LastTick != nil {
		t.Errorf("got %+v", one)
	}
	for i := 1; i < len(one.Next); i++ {
		if d := one.Next[i].Sub(one.Next[i-1]).Hours(); d != 72 {
			t.Errorf("%v hours between runs", d)
		}
	}
	s.refused(s.send("POST", "/api/v1/schedules", body, nil), http.StatusConflict, "exists; choose another name")
	s.refused(s.send("POST", "/api/v1/schedules", `{"name":"from-file","cron":"@daily","kind":"match"}`, nil), http.StatusConflict, "is in the configuration file")
	if wrong := s.wrong(s.send("POST", "/api/v1/schedules", `{"name":"A","cron":"x","kind":"y","window":"z","scope":{"pushedWithin":"w","tags":["["]}}`, nil)); len(wrong) != 6 {
		t.Errorf("six wrong values: got %q", wrong)
	}
	var list struct{ Schedules []view.Schedule }
	if s.get("/schedules", &list); len(list.Schedules) != 2 || list.Schedules[0].Source != "file" || !list.Schedules[0].Scope.All {
		t.Errorf("got %+v", list)
	}
	for i, c := range []struct {
		method, path string
		status       int
		text         string
	}{
		{"POST", "/schedules/nightly/pause", http.StatusConflict, "has no run under way"},
		{"POST", "/schedules/nightly/run", http.StatusAccepted, `"schedule":"nightly"`},
		{"POST", "/schedules/nightly/run", http.StatusConflict, "is already running, as scan task nightly-now-"},
		{"POST", "/schedules/nightly/pause", http.StatusOK, `"state":"paused"`},
		{"POST", "/schedules/nightly/resume", http.StatusOK, `"state":"queued"`},
		{"GET", "/schedules/nightly", http.StatusOK, `"run":{"id":"nightly-now-`},
		{"POST", "/schedules/nightly/cancel", http.StatusOK, `"state":"cancelled"`},
		{"GET", "/schedules/nightly", http.StatusOK, `"lastRun":{"id":"nightly-now-`},
		{"POST", "/schedules/nightly/disable", http.StatusOK, `"enabled":false`},
		{"POST", "/schedules/nightly/enable", http.StatusOK, `"enabled":true`},
		{"POST", "/schedules/from-file/disable", http.StatusConflict, "is in the configuration file"},
		{"DELETE", "/schedules/from-file", http.StatusConflict, "is in the configuration file"},
		{"POST", "/schedules/from-file/run", http.StatusAccepted, `"schedule":"from-file"`},
		{"DELETE", "/schedules/nightly", http.StatusNoContent, ""},
		{"DELETE", "/schedules/nightly", http.StatusNotFound, "there is no schedule"},
		{"GET", "/schedules/nightly", http.StatusNotFound, "there is no schedule"},
		{"POST", "/schedules/nightly/enable", http.StatusNotFound, "there is no schedule"},
	} {
		if a := s.send(c.method, "/api/v1"+c.path, "", nil); a.status != c.status || !strings.Contains(a.body, c.text) {
			t.Errorf("%d %s %s: got %d %s, want %d with %q", i, c.method, c.path, a.status, a.body, c.status, c.text)
		}
	}
	for i := range 100 {
		s.call("POST", "/schedules", fmt.Sprintf(`{"name":"s%d","cron":"@daily","kind":"match","enabled":false}`, i), http.StatusCreated, &one)
	}
	s.refused(s.send("POST", "/api/v1/schedules", `{"name":"more","cron":"@daily","kind":"match"}`, nil), http.StatusConflict, "there are already 100 schedules")
}
