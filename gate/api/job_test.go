package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/gate/view"
)

type jobList struct {
	Jobs []view.Job
	Next string
}

func TestScans(t *testing.T) {
	s := newSite(t, nil)
	var out jobList
	s.call("POST", "/scans", `{"images":["hub.example.com/app:v1","second.example.com/app@`+string(digest("a"))+`","hub.example.com/app:v1"]}`, http.StatusAccepted, &out)
	if len(out.Jobs) != 3 || out.Jobs[0].ID != out.Jobs[2].ID {
		t.Fatalf("got %+v, want three answers, the same job twice", out)
	}
	if j := out.Jobs[0]; j.Kind != gate.JobResolve || j.State != gate.JobQueued || j.Priority != "interactive" || j.Trigger != gate.TriggerAPI ||
		j.Registry != "hub" || j.Repository != "app" || len(j.Tags) != 1 || j.Tags[0] != "v1" || j.StartedAt != nil {
		t.Errorf("job: got %+v", j)
	}
	if out.Jobs[1].Digest != digest("a") || out.Jobs[1].Registry != "second" {
		t.Errorf("by digest: got %+v", out.Jobs[1])
	}
	job, err := s.store.Claim(s.ctx, gate.ClaimRequest{Worker: "w", Period: gate.Period{Key: "none"}, Lease: time.Minute})
	s.no(err)
	if job.Force {
		t.Error("a scan without force is forced")
	}
	s.call("POST", "/scans", `{"images":["hub.example.com/other:v1"],"force":true}`, http.StatusAccepted, &out)
	stored, err := s.store.Job(s.ctx, out.Jobs[0].ID)
	if err != nil || !stored.Force {
		t.Errorf("with force: got %+v, %v", stored, err)
	}
}

// TestScansAllOrNone: one wrong reference and nothing is queued.
func TestScansAllOrNone(t *testing.T) {
	s := newSite(t, nil)
	a := s.send("POST", "/api/v1/scans", `{"images":["hub.example.com/app:v1","elsewhere.example.com/app:v1","NOT A REF"]}`, nil)
	s.refused(a, http.StatusUnprocessableEntity, "no scan was queued")
	var problem struct {
		Errors []struct{ Message, Location, Value string }
	}
	s.no(json.Unmarshal([]byte(a.body), &problem))
	if len(problem.Errors) != 2 || problem.Errors[0].Location != "body.images[1]" || problem.Errors[1].Value != "NOT A REF" ||
		!strings.Contains(problem.Errors[0].Message, "not configured") {
		t.Errorf("errors: got %+v, want both wrong ones with their places", problem.Errors)
	}
	s.catchUp()
	var list jobList
	s.get("/jobs", &list)
	if len(list.Jobs) != 0 {
		t.Errorf("got %d jobs, want none", len(list.Jobs))
	}
	for name, body := range map[string]string{
		"no_images":      `{"images":[]}`,
		"none_given":     `{}`,
		"too_many":       `{"images":[` + strings.Repeat(`"hub.example.com/app:v1",`, 1000) + `"hub.example.com/app:v1"]}`,
		"not_a_list":     `{"images":"hub.example.com/app:v1"}`,
		"unknown_member": `{"images":["hub.example.com/app:v1"],"priority":0}`,
		"empty_ref":      `{"images":[""]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.T = t
			s.refused(s.send("POST", "/api/v1/scans", body, nil), http.StatusUnprocessableEntity, "")
		})
	}
	s.refused(s.send("POST", "/api/v1/scans", `{"images":`, nil), http.StatusBadRequest, "")
	s.refused(s.send("POST", "/api/v1/scans", "{}", map[string]string{"Content-Type": "text/plain"}), http.StatusUnsupportedMediaType, "")
	s.refused(s.send("POST", "/api/v1/scans", `{"images":["`+strings.Repeat("a", 1<<20)+`"]}`, nil), http.StatusRequestEntityTooLarge, "")
}

func TestJobs(t *testing.T) {
	s := newSite(t, nil)
	var out jobList
	s.get("/jobs", &out)
	if out.Jobs == nil || len(out.Jobs) != 0 {
		t.Errorf("an empty list: got %+v, want []", out)
	}
	d := s.image("a", loc("app"))
	job, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
	s.no(err)
	for i := range 4 {
		_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Tag: fmt.Sprint("v", i), Trigger: gate.TriggerPush})
		s.no(err)
	}
	s.catchUp()
	pages, seen := 0, map[string]bool{}
	for target := "/jobs?limit=2"; ; target = "/jobs?limit=2&cursor=" + out.Next {
		s.get(target, &out)
		pages++
		for _, j := range out.Jobs {
			seen[j.ID] = true
		}
		if out.Next == "" {
			break
		}
	}
	if pages != 3 || len(seen) != 5 {
		t.Errorf("got %d jobs on %d pages, want 5 on 3", len(seen), pages)
	}
	s.get("/jobs?kind=analyze&state=queued&digest="+string(d), &out)
	if len(out.Jobs) != 1 || out.Jobs[0].ID != job.ID || out.Jobs[0].Tags == nil {
		t.Errorf("filtered: got %+v", out.Jobs)
	}
	s.refused(s.send("GET", "/api/v1/jobs?digest=abc", "", nil), http.StatusUnprocessableEntity, "hexadecimal")

	var one view.Job
	s.get("/jobs/"+job.ID, &one)
	if one.ID != job.ID || one.Digest != d || one.State != gate.JobQueued {
		t.Errorf("one: got %+v", one)
	}
	s.refused(s.send("GET", "/api/v1/jobs/none", "", nil), http.StatusNotFound, "not found")

	s.call("POST", "/jobs/"+job.ID+"/cancel", "", http.StatusOK, &one)
	if one.State != gate.JobCancelled || one.FinishedAt == nil {
		t.Errorf("cancelled: got %+v", one)
	}
	s.refused(s.send("POST", "/api/v1/jobs/"+job.ID+"/cancel", "", nil), http.StatusConflict, "")
	s.refused(s.send("POST", "/api/v1/jobs/none/cancel", "", nil), http.StatusNotFound, "")
}

// down is a store that does not answer, with an error for the log only.
type down struct{ err error }

func (d down) Read(context.Context, gate.ReadRequest) (gate.ReadResult, error) {
	return gate.ReadResult{}, d.err
}
func (d down) Inventory(context.Context, gate.Digest) (*gate.Inventory, error) { return nil, d.err }
func (d down) Findings(context.Context, gate.Digest) (*gate.Findings, error)   { return nil, d.err }
func (d down) Images(context.Context, gate.ImageFilter) ([]gate.ListedImage, string, error) {
	return nil, "", d.err
}
func (d down) Places(context.Context, gate.Digest) ([]gate.Place, error) { return nil, d.err }
func (d down) Jobs(context.Context, gate.JobFilter) ([]gate.Job, string, error) {
	return nil, "", d.err
}
func (d down) Job(context.Context, string) (gate.Job, error)        { return gate.Job{}, d.err }
func (d down) Cancel(context.Context, string) (gate.Job, error)     { return gate.Job{}, d.err }
func (d down) Quota(context.Context, string) (gate.QuotaUse, error) { return gate.QuotaUse{}, d.err }
func (d down) Waiting(context.Context) (int64, error)               { return 0, d.err }
func (d down) Accessories(context.Context, gate.Digest) ([]gate.Accessory, error) {
	return nil, d.err
}
func (d down) Charged(context.Context, gate.Digest) (gate.Charge, error) {
	return gate.Charge{}, d.err
}
func (d down) Request(string) (gate.JobRequest, error)              { return gate.JobRequest{}, nil }
func (d down) Scan(context.Context, string, bool) (gate.Job, error) { return gate.Job{}, d.err }
func (d down) InForce(context.Context) (gate.PolicySet, error)      { return gate.PolicySet{}, d.err }

func (d down) History(context.Context, gate.Digest, gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	return nil, d.err
}
func (d down) Affected(context.Context, gate.AffectedFilter) ([]gate.ListedImage, bool, error) {
	return nil, false, d.err
}

// Advisories.
func (d down) Status(context.Context) (gate.AdvisoryData, error) { return gate.AdvisoryData{}, d.err }
func (d down) Update(context.Context, string) error              { return d.err }
func (d down) Accept(context.Context, string, time.Time, string, string) error {
	return d.err
}
func (d down) Explain(context.Context, string, []byte) (gate.VEXEffect, error) {
	return gate.VEXEffect{}, d.err
}
func (d down) Rollback(context.Context, string, string) (gate.AdvisoryGeneration, error) {
	return gate.AdvisoryGeneration{}, d.err
}

// downSettings are those of a store that answers no call.
type downSettings struct{ err error }

func (d downSettings) Setting(context.Context, string) ([]byte, int64, error) { return nil, 0, d.err }
func (d downSettings) PutSetting(context.Context, string, []byte, int64) (int64, error) {
	return 0, d.err
}
func (d downSettings) Now(context.Context) (time.Time, error) { return time.Now(), nil }

// TestFailuresTellTheLogOnly: every operation answers a store that is down with
// 503 and a bug with 500, and shows nothing of the cause.
func TestFailuresTellTheLogOnly(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		words  string
	}{
		"store":   {fmt.Errorf("secret detail: %w", gate.ErrStoreUnavailable), http.StatusServiceUnavailable, "try again"},
		"timeout": {fmt.Errorf("secret detail: %w", context.DeadlineExceeded), http.StatusServiceUnavailable, "in time"},
		"busy":    {fmt.Errorf("secret detail: %w", gate.ErrBusy), http.StatusServiceUnavailable, "too much"},
		"bug":     {errors.New("secret detail"), http.StatusInternalServerError, "the log has the details"},
	} {
		t.Run(name, func(t *testing.T) {
			d := down{c.err}
			s := newSite(t, func(o *api.Options) {
				o.Reader, o.Lists, o.Jobs, o.Usage, o.Scans, o.Policies, o.Advisories = d, d, d, d, d, d, d
				o.Histories, o.Holdings = d, d
				o.Registries = downRegistries(t, c.err)
				settings, log := downSettings{c.err}, slog.New(slog.DiscardHandler)
				o.ScanTasks = scantask.New(settings, log)
				o.Schedules = &schedule.Desk{Store: settings, Tasks: scantask.New(settings, log), Known: o.ScanKnown, Log: log}
				o.Notifications = downNotifications{c.err}
			})
			for _, r := range routes(s) {
				body := ""
				if r.path == "/api/v1/scans" {
					body = `{"images":["hub.example.com/app:v1"]}`
				}
				if r.path == "/api/v1/schedules" && r.method == http.MethodPost {
					body = `{"name":"nightly","cron":"@daily","kind":"match"}`
				}
				if strings.HasPrefix(r.path, "/api/v1/schedules/") && r.method == http.MethodPut {
					body = `{"cron":"@daily","kind":"match"}`
				}
				if strings.HasSuffix(r.path, "/accept") {
					body = `{"what":"debian 12","until":"2026-12-24T00:00:00Z","reason":"why","by":"me"}`
				}
				if strings.HasSuffix(r.path, "/explain") {
					body = `{"document":"{}"}`
				}
				if target := r.target(); strings.Contains(r.path, "/notifications") && (r.method == "PUT" || r.path == "/api/v1/notifications" && r.method == "POST") {
					body = `{"name":"` + target[strings.LastIndex(target, "/")+1:] + `","type":"slack"}`
				}
				a := s.send(r.method, r.target(), body, nil)
				s.refused(a, c.status, c.words)
				if strings.Contains(a.body, "secret") {
					t.Errorf("%s %s tells the cause: %s", r.method, r.path, a.body)
				}
				if wait := a.header.Get("Retry-After"); (wait != "") != (c.status == http.StatusServiceUnavailable) {
					t.Errorf("%s %s: Retry-After %q with %d", r.method, r.path, wait, a.status)
				}
			}
		})
	}
}

// together are scans of which the first waits for another one.
type together struct {
	api.Scans
	arrived chan struct{}
}

func (g *together) Scan(ctx context.Context, image string, force bool) (gate.Job, error) {
	if strings.HasSuffix(image, ":v0") {
		select {
		case <-g.arrived:
		case <-time.After(time.Minute):
			return gate.Job{}, errors.New("no other scan was queued within a minute")
		}
	} else {
		select {
		case g.arrived <- struct{}{}:
		default:
		}
	}
	return g.Scans.Scan(ctx, image, force)
}

// TestScansAreQueuedTogether: what one call asks for is not queued one after the other, so
// that a store can write it together. The answer has the order of the question.
func TestScansAreQueuedTogether(t *testing.T) {
	s := newSite(t, func(o *api.Options) { o.Scans = &together{o.Scans, make(chan struct{}, 1)} })
	var images []string
	for i := range 40 {
		images = append(images, fmt.Sprintf("hub.example.com/app:v%d", i))
	}
	text, err := json.Marshal(map[string]any{"images": images})
	s.no(err)
	var out jobList
	s.call("POST", "/scans", string(text), http.StatusAccepted, &out)
	for i, j := range out.Jobs {
		if want := fmt.Sprint("v", i); len(j.Tags) != 1 || j.Tags[0] != want {
			t.Errorf("job %d is of tags %v, want %s", i, j.Tags, want)
		}
	}
}
