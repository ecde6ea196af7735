package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var enqueueCases = []testCase{
	{"new_job_is_queued", func(e *env) {
		req := resolve("a", "v1", gate.TriggerPush)
		job := e.enqueue(req, gate.EnqueuedNew)
		if job.ID == "" || job.Kind != gate.JobResolve || job.Key != req.Key() || job.Location != app || job.Digest != req.Digest ||
			!slices.Equal(job.Tags, []string{"v1"}) || job.Trigger != gate.TriggerPush || job.Priority != gate.PriorityPush ||
			job.State != gate.JobQueued || job.CreatedAt.IsZero() || job.Attempts != 0 {
			e.Fatalf("got %+v", job)
		}
		if got := e.job(job.ID); got.ID != job.ID || got.State != gate.JobQueued {
			e.Fatalf("Job: got %+v", got)
		}
	}},
	{"key_of_a_tag_without_digest", func(e *env) {
		job := e.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: app, Tag: "v1", Trigger: gate.TriggerSync}, gate.EnqueuedNew)
		if want := "harbor/library/app:v1"; job.Key != want {
			e.Fatalf("got key %q, want %q", job.Key, want)
		}
	}},
	{"second_ask_joins", func(e *env) {
		first := e.enqueue(resolve("a", "v1", gate.TriggerSync), gate.EnqueuedNew)
		second := e.enqueue(resolve("a", "v1", gate.TriggerSync), gate.EnqueuedJoined)
		if first.ID != second.ID {
			e.Fatalf("joined %q, want %q", second.ID, first.ID)
		}
		e.claim()
		e.claimNone()
	}},
	{"kinds_with_the_same_key_are_apart", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(gate.JobRequest{Kind: gate.JobProvenance, Location: app, Digest: digest("a"), Trigger: gate.TriggerPush}, gate.EnqueuedNew)
	}},
	{"join_adds_tags_keeps_force_and_raises_priority", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerSync), gate.EnqueuedNew)
		req := resolve("a", "v2", gate.TriggerPush)
		req.Force = true
		job := e.enqueue(req, gate.EnqueuedJoined)
		if !slices.Equal(job.Tags, []string{"v1", "v2"}) || !job.Force || job.Priority != gate.PriorityPush || job.Trigger != gate.TriggerPush {
			e.Fatalf("got %+v", job)
		}
		job = e.enqueue(resolve("a", "v1", gate.TriggerRescan), gate.EnqueuedJoined)
		if job.Priority != gate.PriorityPush || !job.Force {
			e.Fatalf("a less urgent ask changed the job: %+v", job)
		}
		if job.Again {
			e.Fatalf("a queued job is marked to run again")
		}
	}},
	{"raised_job_overtakes", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(analyze("b", gate.TriggerRescan), gate.EnqueuedNew)
		e.enqueue(analyze("b", gate.TriggerAdmission), gate.EnqueuedJoined)
		if job := e.claim(); job.Digest != digest("b") || job.Priority != gate.PriorityInteractive {
			e.Fatalf("got %s of priority %s", job.Digest, job.Priority)
		}
	}},
	{"running_resolve_runs_again_for_any_tag", func(e *env) {
		for _, tag := range []string{"v2", "v1"} {
			e.enqueue(resolve(tag, "v1", gate.TriggerPush), gate.EnqueuedNew)
			running := e.claim()
			joined := e.enqueue(resolve(tag, tag, gate.TriggerPush), gate.EnqueuedJoined)
			if joined.ID != running.ID || !joined.Again || joined.State != gate.JobRunning {
				e.Fatalf("tag %q: got %+v", tag, joined)
			}
			after := e.finish(running, nil, gate.JobQueued)
			if running.Repeat || after.Again || !after.Repeat || after.Attempts != 0 {
				e.Fatalf("after the first run: got %+v", after)
			}
			again := e.claim()
			if again.ID != running.ID || again.Epoch <= running.Epoch || !slices.Contains(again.Tags, tag) {
				e.Fatalf("second run: got %+v", again)
			}
			e.finish(again, nil, gate.JobDone)
			e.claimNone()
		}
	}},
	{"running_job_without_new_facts_runs_once", func(e *env) {
		e.enqueue(resolve("a", "", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		one, two := e.claim(), e.claim()
		for _, j := range []gate.Job{
			e.enqueue(resolve("a", "", gate.TriggerPush), gate.EnqueuedJoined), e.enqueue(analyze("b", gate.TriggerAPI), gate.EnqueuedJoined),
		} {
			if j.Again {
				e.Fatalf("%s %s is marked to run again", j.Kind, j.Key)
			}
		}
		e.finish(one, nil, gate.JobDone)
		e.finish(two, nil, gate.JobDone)
	}},
	{"force_during_a_run_runs_again", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		running := e.claim()
		req := analyze("a", gate.TriggerAPI)
		req.Force = true
		e.enqueue(req, gate.EnqueuedJoined)
		if after := e.finish(running, nil, gate.JobQueued); !after.Force {
			e.Fatalf("force was lost: %+v", after)
		}
	}},
	{"what_restarts_a_finished_job", restarts},
	{"failed_rests_before_admission_restarts_it", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.finishWith(e.claim(), gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		e.advance(gate.AdmissionRestart - time.Second)
		e.enqueue(analyze("a", gate.TriggerAdmission), gate.EnqueuedLeft)
		e.advance(time.Second)
		job := e.enqueue(analyze("a", gate.TriggerAdmission), gate.EnqueuedNew)
		if job.Attempts != 0 || job.Error != "" {
			e.Fatalf("restarted with the past of the failed one: %+v", job)
		}
	}},
	{"restarted_job_has_another_id_and_a_higher_epoch", func(e *env) {
		first := e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		done := e.claim()
		e.finish(done, nil, gate.JobDone)
		second := e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedNew)
		if second.ID == first.ID {
			e.Fatalf("the id was used twice")
		}
		if !slices.Equal(second.Tags, []string{"v2"}) {
			e.Fatalf("confirmed tags came back: %q", second.Tags)
		}
		if claimed := e.claim(); claimed.ID != second.ID || claimed.Epoch <= done.Epoch {
			e.Fatalf("got %q at epoch %d after %d", claimed.ID, claimed.Epoch, done.Epoch)
		}
		e.wantState(first.ID, gate.JobDone)
	}},
	{"restart_keeps_tags_that_were_not_confirmed", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.finishWith(e.claim(), gate.Result{Err: gate.ErrIntegrity, Final: true}, gate.JobFailed)
		if job := e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedNew); !slices.Equal(job.Tags, []string{"v1", "v2"}) {
			e.Fatalf("got tags %q", job.Tags)
		}
	}},
	{"tags_of_a_job_are_bounded", func(e *env) {
		for i := range store.MaxTags {
			e.enqueue(resolve("a", name("v", i), gate.TriggerPush), map[bool]gate.Enqueued{true: gate.EnqueuedNew, false: gate.EnqueuedJoined}[i == 0])
		}
		_, _, err := e.s.Enqueue(e.ctx, resolve("a", "one-too-many", gate.TriggerPush))
		e.want(err, gate.ErrBusy)
	}},
	{"nonsense_is_refused", func(e *env) {
		bad := []gate.JobRequest{
			{},
			{Kind: gate.JobAnalyze, Location: app, Trigger: gate.TriggerPush},
			{Kind: gate.JobAnalyze, Location: app, Digest: "sha256:abc", Trigger: gate.TriggerPush},
			{Kind: "other", Location: app, Digest: digest("a"), Trigger: gate.TriggerPush},
			{Kind: gate.JobResolve, Location: app, Trigger: gate.TriggerPush},
			{Kind: gate.JobResolve, Digest: digest("a"), Trigger: gate.TriggerPush},
			{Kind: gate.JobResolve, Location: app, Tag: "v1", Trigger: "whim"},
			{Kind: gate.JobResolve, Location: app, Tag: strings.Repeat("v", store.MaxKey), Trigger: gate.TriggerPush},
		}
		for i, req := range bad {
			_, _, err := e.s.Enqueue(e.ctx, req)
			if err == nil {
				e.Errorf("request %d was accepted: %+v", i, req)
			}
			e.wantClassified(err)
		}
		e.claimNone()
	}},
	{"many_jobs_at_once", func(e *env) {
		want := map[string]gate.Job{}
		ids := []string{"1-unknown", "", "x"}
		for i := range 250 {
			job := e.enqueue(analyze(name("many", i), gate.TriggerPush), gate.EnqueuedNew)
			want[job.ID] = job
			ids = append(ids, job.ID)
		}
		got, err := e.s.Jobs(e.ctx, append(ids, ids[3])) // asking twice is allowed
		e.no(err)
		if diff := cmp.Diff(want, got); diff != "" {
			e.Fatalf("jobs (-want +got):\n%s", diff)
		}
		if got, err := e.s.Jobs(e.ctx, nil); err != nil || len(got) != 0 {
			e.Fatalf("nothing asked: got %v, %v", got, err)
		}
	}},
	{"unknown_id", func(e *env) {
		for _, id := range []string{"", "1", "1-abc", "-", "9223372036854775808-x", strings.Repeat("9", 400)} {
			_, err := e.s.Job(e.ctx, id)
			e.want(err, gate.ErrNotFound)
			_, err = e.s.Cancel(e.ctx, id)
			e.want(err, gate.ErrNotFound)
		}
	}},
	{"new_work_wakes_who_waits_for_a_change", func(e *env) {
		changed := e.s.Changed()
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		select {
		case <-changed:
		case <-time.After(time.Minute):
			e.Fatal("no signal for a new job")
		}
	}},
}

// restarts walks the table of what may restart what.
func restarts(e *env) {
	all := []gate.Trigger{gate.TriggerPush, gate.TriggerSync, gate.TriggerAdmission, gate.TriggerRescan, gate.TriggerAPI}
	cases := []struct {
		state gate.JobState
		kind  gate.JobKind
		may   []gate.Trigger
	}{
		{gate.JobDone, gate.JobResolve, all},
		{gate.JobDone, gate.JobAnalyze, all},
		{gate.JobFailed, gate.JobResolve, []gate.Trigger{gate.TriggerPush, gate.TriggerSync, gate.TriggerRescan, gate.TriggerAPI}},
		{gate.JobFailed, gate.JobAnalyze, []gate.Trigger{gate.TriggerPush, gate.TriggerSync, gate.TriggerRescan, gate.TriggerAPI}},
		{gate.JobCancelled, gate.JobResolve, []gate.Trigger{gate.TriggerPush, gate.TriggerAPI}},
		{gate.JobCancelled, gate.JobAnalyze, []gate.Trigger{gate.TriggerAPI}},
	}
	for _, c := range cases {
		for _, trigger := range all {
			req := gate.JobRequest{Kind: c.kind, Location: app, Digest: digest(fmt.Sprint(c.state, c.kind, trigger)), Trigger: gate.TriggerSync}
			job := e.enqueue(req, gate.EnqueuedNew)
			switch c.state {
			case gate.JobDone:
				e.finish(e.claim(), nil, gate.JobDone)
			case gate.JobFailed:
				e.finishWith(e.claim(), gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
			case gate.JobCancelled:
				_, err := e.s.Cancel(e.ctx, job.ID)
				e.no(err)
			}
			want := gate.EnqueuedLeft
			if slices.Contains(c.may, trigger) {
				want = gate.EnqueuedNew
			}
			req.Trigger = trigger
			got, outcome, err := e.s.Enqueue(e.ctx, req)
			e.no(err)
			if outcome != want {
				e.Errorf("%s of a %s %s job: got %q, want %q", trigger, c.state, c.kind, outcome, want)
			}
			if outcome == gate.EnqueuedLeft && (got.ID != job.ID || got.State != c.state) {
				e.Errorf("not started again, but the answer is %q in state %q", got.ID, got.State)
			}
			if got.State.Live() {
				e.finish(e.claim(), nil, gate.JobDone)
			}
		}
	}
}
