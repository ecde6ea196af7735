package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// ScanTasks are scans of many images; scantask.Tasks implements it.
type ScanTasks interface {
	// Start makes a task. gate.ErrConflict: too many have not ended, 409;
	// gate.ErrStoreUnavailable: 503.
	Start(ctx context.Context, id string, r gate.ScanRequest) (gate.ScanTask, error)
	// List is all that are kept, the newest first. gate.ErrStoreUnavailable: 503.
	List(ctx context.Context) ([]gate.ScanTask, error)
	// Get is one task. gate.ErrNotFound: there is none with this id any more, 404;
	// gate.ErrStoreUnavailable: 503.
	Get(ctx context.Context, id string) (gate.ScanTask, error)
	// Pause stops a task until Resume. gate.ErrConflict: its state does not allow it, 409;
	// and the errors of Get.
	Pause(ctx context.Context, id string) (gate.ScanTask, error)
	// Resume continues a paused task. Errors: those of Pause.
	Resume(ctx context.Context, id string) (gate.ScanTask, error)
	// Cancel ends a task. Errors: those of Pause.
	Cancel(ctx context.Context, id string) (gate.ScanTask, error)
}

// scopeInput is a scope as a caller writes it.
type scopeInput struct {
	All           bool     `json:"all,omitempty" doc:"every image; then no other key is given"`
	Registries    []string `json:"registries,omitempty" doc:"names of configured registries"`
	RegistryTypes []string `json:"registryTypes,omitempty" doc:"types of configured registries, such as harbor"`
	Repositories  []string `json:"repositories,omitempty" doc:"patterns such as library/**"`
	Tags          []string `json:"tags,omitempty" doc:"patterns such as v1.*"`
	PushedWithin  string   `json:"pushedWithin,omitempty" maxLength:"40" doc:"first seen at a location within this time, such as 360h for 15 days"`
	Running       bool     `json:"running,omitempty" doc:"only images that admission was asked for lately"`
	Verdict       string   `json:"verdict,omitempty" maxLength:"40" doc:"only images with this standing verdict: allow, warn, deny or none"`
	Recommended   bool     `json:"recommended,omitempty" doc:"only images that are running, were pushed in the last 7 days, or were never scanned"`
}

// read makes a scope of what a caller wrote. Unless empty is allowed, one that chooses
// every image has to say so.
func (in scopeInput) read(empty bool) (s gate.ScanScope, problems []gate.ScanProblem) {
	s = gate.ScanScope{
		Registries: in.Registries, RegistryTypes: in.RegistryTypes, Repositories: in.Repositories, Tags: in.Tags,
		Running: in.Running, Verdict: gate.Outcome(in.Verdict), Recommended: in.Recommended,
	}
	if in.PushedWithin != "" {
		d, err := time.ParseDuration(in.PushedWithin)
		if err != nil || d <= 0 {
			problems = append(problems, gate.ScanProblem{Key: "scope.pushedWithin", Text: fmt.Sprintf("%s is not a time; write hours, such as 360h for 15 days", gate.Quoted(in.PushedWithin, 40))})
		}
		s.PushedWithin = d
	}
	switch {
	case in.All && !s.Zero():
		problems = append(problems, gate.ScanProblem{Key: "scope.all", Text: "true chooses every image, and other keys choose some of them; leave out one or the other"})
	case !in.All && s.Zero() && len(problems) == 0 && !empty:
		problems = append(problems, gate.ScanProblem{Key: "scope", Text: `it is empty; write {"all":true} to scan every image`})
	}
	return s, problems
}

// refusedValues is the answer to values that cannot be.
func refusedValues(doing string, problems []gate.ScanProblem) error {
	wrong := make([]error, len(problems))
	for i, p := range problems {
		wrong[i] = &huma.ErrorDetail{Message: gate.Printable(p.Text, 500), Location: "body." + p.Key}
	}
	return huma.NewError(http.StatusUnprocessableEntity, doing+"; correct these values", wrong...)
}

// ScanInput says how a scope is scanned.
type ScanInput struct {
	Kind        gate.ScanKind `json:"kind,omitempty" maxLength:"40" doc:"match: nothing is pulled. content (the default): images that were never analysed, or not by the present analysers, are analysed; the others are matched, or with force analysed again"`
	Force       bool          `json:"force,omitempty" doc:"analyse again although an inventory exists; free"`
	Risks       []gate.Risk   `json:"risks,omitempty" maxItems:"20" doc:"risks to look at; empty: all. The kind match takes vulnerabilities alone, content all of scan.risks"`
	Rate        int           `json:"rate,omitempty" doc:"most images begun in an hour; 0: no limit"`
	Concurrency int           `json:"concurrency,omitempty" doc:"images at a time; 0: digestgate decides"`
	Window      string        `json:"window,omitempty" maxLength:"40" doc:"time of the day in which images are begun, such as 00:00-07:00"`
	TimeZone    string        `json:"timeZone,omitempty" maxLength:"100" doc:"IANA name of the time zone of the window; empty: UTC"`
}

func (in ScanInput) given() []string {
	var keys []string
	for key, is := range map[string]bool{
		"kind": in.Kind != "", "risks": len(in.Risks) > 0, "rate": in.Rate != 0, "concurrency": in.Concurrency != 0, "window": in.Window != "", "timeZone": in.TimeZone != "",
	} {
		if is {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// startScan makes a scan task of a scope.
func (s *server) startScan(ctx context.Context, scope scopeInput, in ScanInput) (view.ScanTask, error) {
	const doing = "no scan was started"
	r := gate.ScanRequest{
		Kind: in.Kind, Force: in.Force, Risks: in.Risks, Rate: in.Rate, Concurrency: in.Concurrency, Window: in.Window, TimeZone: in.TimeZone,
	}
	if r.Kind == "" {
		r.Kind = gate.ScanContent
		if slices.Equal(r.Risks, []gate.Risk{gate.RiskVulnerabilities}) && !r.Force {
			r.Kind = gate.ScanMatch
		}
	}
	var problems []gate.ScanProblem
	r.Scope, problems = scope.read(false)
	problems = append(problems, r.Problems(s.ScanKnown())...)
	if r.Force && r.Kind == gate.ScanMatch {
		problems = append(problems, gate.ScanProblem{Key: "force", Text: "it is for the kind content; match analyses nothing"})
	}
	if zone, err := gate.ParseTimeZone(r.TimeZone); err != nil {
		problems = append(problems, gate.ScanProblem{Key: "timeZone", Text: err.Error()})
	} else if _, err := gate.ParseDayWindow(r.Window, zone); err != nil {
		problems = append(problems, gate.ScanProblem{Key: "window", Text: err.Error()})
	}
	if len(problems) > 0 {
		return view.ScanTask{}, refusedValues(doing, problems)
	}
	t, err := s.ScanTasks.Start(ctx, "scan-"+strings.ToLower(rand.Text()[:12]), r)
	if err != nil {
		return view.ScanTask{}, s.problem(ctx, "starting a scan", err)
	}
	s.Log.InfoContext(ctx, "scan task requested", "task", t.ID, "rescan", t.Kind, "force", t.Force)
	return view.OfScanTask(t, s.Now()), nil
}

// registerScans adds the operations about scan tasks. The one that starts them is that
// for single images too.
func (s *server) registerScans(api huma.API) {
	scans := operation(http.MethodPost, "/scans", "create-scans", "Request scans of images, or of a scope", "digestgate scan, scans start and wait, pipelines")
	scans.DefaultStatus = http.StatusAccepted
	huma.Register(api, scans, s.createScans)
	huma.Register(api, operation(http.MethodGet, "/scans", "list-scans", "List scan tasks, the newest first", "digestgate scans list"), s.listScans)
	huma.Register(api, operation(http.MethodGet, "/scans/{id}", "get-scan", "One scan task", "digestgate scans show"), s.getScan)
	for _, o := range []struct {
		verb, summary string
		do            func(context.Context, string) (gate.ScanTask, error)
	}{{"pause", "Pause a scan task", s.ScanTasks.Pause}, {"resume", "Continue a paused scan task", s.ScanTasks.Resume}, {"cancel", "Cancel a scan task", s.ScanTasks.Cancel}} {
		huma.Register(api, operation(http.MethodPost, "/scans/{id}/"+o.verb, o.verb+"-scan", o.summary, "digestgate scans "+o.verb), func(ctx context.Context, in *scanIDInput) (*scanOutput, error) {
			t, err := o.do(ctx, in.ID)
			if err != nil {
				return nil, s.problem(ctx, "changing a scan task", err)
			}
			return &scanOutput{view.OfScanTask(t, s.Now())}, nil
		})
	}
}

type listScansInput struct {
	State    string `query:"state" enum:"queued,running,waiting,paused,done,cancelled,failed"`
	Schedule string `query:"schedule" maxLength:"63" doc:"only runs of this schedule"`
}

type listScansOutput struct {
	Body struct {
		Scans []view.ScanTask `json:"scans" doc:"those that have not ended, the last 50 that have, and the last run of each schedule"`
	}
}

func (s *server) listScans(ctx context.Context, in *listScansInput) (*listScansOutput, error) {
	tasks, err := s.ScanTasks.List(ctx)
	if err != nil {
		return nil, s.problem(ctx, "listing scan tasks", err)
	}
	out := &listScansOutput{}
	out.Body.Scans = []view.ScanTask{}
	for _, t := range tasks {
		if (in.State == "" || string(t.State) == in.State) && (in.Schedule == "" || t.Schedule == in.Schedule) {
			out.Body.Scans = append(out.Body.Scans, view.OfScanTask(t, s.Now()))
		}
	}
	return out, nil
}

type scanIDInput struct {
	ID string `path:"id" maxLength:"100"`
}

type scanOutput struct{ Body view.ScanTask }

func (s *server) getScan(ctx context.Context, in *scanIDInput) (*scanOutput, error) {
	t, err := s.ScanTasks.Get(ctx, in.ID)
	if err != nil {
		return nil, s.problem(ctx, "reading a scan task", err)
	}
	return &scanOutput{view.OfScanTask(t, s.Now())}, nil
}
