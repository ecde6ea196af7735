package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/view"
)

func (s *site) enqueue(req gate.JobRequest) gate.Job {
	s.Helper()
	j, _, err := s.store.Enqueue(s.ctx, req)
	s.no(err)
	s.catchUp()
	return j
}

// claim starts the next job.
func (s *site) claim(change ...func(*gate.ClaimRequest)) gate.Job {
	s.Helper()
	req := gate.ClaimRequest{Worker: "w", Lease: time.Minute, MaxAttempts: 1, Period: gate.Period{Key: "2026-11"}}
	for _, c := range change {
		c(&req)
	}
	j, err := s.store.Claim(s.ctx, req)
	s.no(err)
	s.catchUp()
	return j
}

func (s *site) finish(j gate.Job, err error, final bool) gate.Job {
	s.Helper()
	after, err := s.store.Finish(s.ctx, j.Lease(), gate.Result{Err: err, Final: final, MaxAttempts: 1})
	s.no(err)
	s.catchUp()
	return after
}

// TestQueuedFromTheFirstMoment: from the 202 on, until its analysis is queued, an
// image is queued, and never one that nobody has asked for.
func TestQueuedFromTheFirstMoment(t *testing.T) {
	s := newSite(t, nil)
	d := digest("new")
	target := "/images/" + string(d)
	queued := func(step string, j gate.Job) {
		t.Helper()
		var v view.ImageDetail
		s.get(target, &v)
		if v.Digest != d || v.Locations == nil || v.State != gate.StateQueued || v.Job == nil || v.Job.ID != j.ID {
			t.Errorf("%s: got %s, job %+v; want queued with job %s", step, v.State, v.Job, j.ID)
		}
		s.refused(s.send("GET", "/api/v1"+target+"/findings", "", nil), http.StatusNotFound, "inventory")
	}
	resolve := gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Digest: d, Tag: "v1", Trigger: gate.TriggerPush}
	queued("after the 202", s.enqueue(resolve))
	running := s.claim()
	queued("while it is read", running)
	// What the resolve records before it asks for the analysis.
	s.image("new", loc("app"))
	s.catchUp()
	queued("recorded", running)
	analysis := s.enqueue(gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
	queued("with its analysis", analysis)
	s.finish(running, nil, false)
	queued("after the resolve", analysis)

	t.Run("failed_images_are_queued_by_a_push", func(t *testing.T) {
		s.finish(s.claim(), fmt.Errorf("the archive ends early: %w", gate.ErrScanFailed), true)
		var v view.ImageDetail
		s.get(target, &v)
		if v.State != gate.StateFailed || v.Job == nil || v.Job.Reason != "" && !strings.Contains(v.Job.Reason, "ends early") {
			t.Errorf("failed: got %s, %+v", v.State, v.Job)
		}
		queued("pushed again", s.enqueue(resolve))
	})
	t.Run("index", func(t *testing.T) {
		d, target = digest("set"), "/images/"+string(digest("set"))
		j := s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
		s.no(s.store.PutManifest(s.ctx, gate.Manifest{Digest: d, Kind: gate.KindIndex, Children: []gate.Child{
			{Digest: digest("child"), Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Judged: true},
		}}))
		s.catchUp()
		queued("an index whose children are unread", j)
	})
}

// TestResolveThatCameToNothing: an unknown digest whose resolve has failed or was
// cancelled is that, with its reason; one that was removed is unknown.
func TestResolveThatCameToNothing(t *testing.T) {
	explain := &explain.Explainer{}
	s := newSite(t, func(o *api.Options) {
		explain.Registries, explain.Quota, explain.Now = o.Scans.(*pipeline.Pipeline).Registries, o.Quota, o.Now
		o.Obstacles = explain.Obstacles
	})
	ask := func(name string) gate.Job {
		return s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Digest: digest(name), Trigger: gate.TriggerPush})
	}
	var v view.ImageDetail
	ask("failed")
	s.finish(s.claim(), fmt.Errorf("reading: %w", gate.ErrNotFound), true)
	s.get("/images/"+string(digest("failed")), &v)
	if v.State != gate.StateFailed || v.Job == nil || !strings.Contains(v.Job.Reason, `registry "hub" does not have it in repository "app"`) {
		t.Errorf("failed: got %s, %+v", v.State, v.Job)
	}
	_, err := s.store.Cancel(s.ctx, ask("cancelled").ID)
	s.no(err)
	s.catchUp()
	s.get("/images/"+string(digest("cancelled")), &v)
	if v.State != gate.StateCancelled {
		t.Errorf("cancelled: got %s", v.State)
	}
	ask("removed")
	s.finish(s.claim(), nil, false)
	s.refused(s.send("GET", "/api/v1/images/"+string(digest("removed")), "", nil), http.StatusNotFound, "never pushed")

	s.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc("app"), Tag: "v9", Trigger: gate.TriggerAPI})
	s.refused(s.send("GET", "/api/v1/images/"+string(digest("perhaps")), "", nil), http.StatusNotFound, "one of them may name it")
}

// TestJobsSayWhatTheyWaitFor: in lists, alone, and with their image.
func TestJobsSayWhatTheyWaitFor(t *testing.T) {
	explain := &explain.Explainer{}
	s := newSite(t, func(o *api.Options) {
		explain.Registries, explain.Quota, explain.Now = o.Scans.(*pipeline.Pipeline).Registries, o.Quota, o.Now
		o.Obstacles = explain.Obstacles
	})
	explain.Charges, explain.Pulls = s.store, s.store
	full := func(r *gate.ClaimRequest) { r.Period.Limit = 1 }
	says := func(j gate.Job, words string, until bool) {
		t.Helper()
		var one view.Job
		s.get("/jobs/"+j.ID, &one)
		var list struct{ Jobs []view.Job }
		s.get("/jobs?digest="+string(j.Digest), &list)
		var image view.ImageDetail
		s.get("/images/"+string(j.Digest), &image)
		for _, got := range []view.Job{one, list.Jobs[0], *image.Job} {
			if !strings.Contains(got.Reason, words) || (words == "") != (got.Reason == "") || (got.WaitsUntil != nil) != until {
				t.Errorf("got %q until %v, want %q and a time %t", got.Reason, got.WaitsUntil, words, until)
			}
		}
	}
	analysis := func(name string) gate.Job {
		d := s.image(name, loc("app"))
		return s.enqueue(gate.JobRequest{Kind: gate.JobAnalyze, Location: loc("app"), Digest: d, Trigger: gate.TriggerPush})
	}
	first := analysis("a")
	says(first, "", false)
	first = s.claim(full)
	says(first, "", false)
	parked := analysis("b")
	_, err := s.store.Claim(s.ctx, gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "2026-11", Limit: 1}})
	if err == nil {
		t.Fatal("claimed beyond the quota")
	}
	s.catchUp()
	says(parked, "is used up until 2026-12-01 00:00 UTC", true)
	wait := &gate.RetryAfterError{After: 20 * time.Minute, Asked: 20 * time.Minute, Err: &gate.Outage{Kind: gate.CauseAskedToWait}}
	says(s.finish(first, wait, false), `registry "hub" asked to wait until `, true)
}
