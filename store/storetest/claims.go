package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var claimCases = []testCase{
	{"empty_queue", func(e *env) { e.claimNone() }},
	{"priority_then_age", func(e *env) {
		order := []gate.Trigger{gate.TriggerRescan, gate.TriggerSync, gate.TriggerPush, gate.TriggerAPI, gate.TriggerAdmission, gate.TriggerPush}
		for i, trigger := range order {
			e.enqueue(analyze(name("d", i), trigger), gate.EnqueuedNew)
		}
		for _, i := range []int{3, 4, 2, 5, 1, 0} {
			if job := e.claim(); job.Digest != digest(name("d", i)) {
				e.Fatalf("got %s of class %s, want the job of %s", job.Digest.Short(), job.Priority, order[i])
			}
		}
		e.claimNone()
	}},
	{"kinds_filter", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		req := claimRequest()
		req.Kinds = []gate.JobKind{gate.JobResolve, gate.JobProvenance}
		e.claimNoneWith(req)
		req.Kinds = append(req.Kinds, gate.JobAnalyze)
		e.claimWith(req)
	}},
	{"no_rescan_leaves_rescans", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerRescan), gate.EnqueuedNew)
		req := claimRequest()
		req.NoRescan = true
		e.claimNoneWith(req)
		e.enqueue(analyze("b", gate.TriggerSync), gate.EnqueuedNew)
		if job := e.claimWith(req); job.Digest != digest("b") {
			e.Fatalf("got %s", job.Key)
		}
		e.claimNoneWith(req)
		e.claim()
	}},
	{"a_claim_is_a_lease", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		if want := e.now().Add(testLease); !job.LeaseUntil.Equal(want) || job.StartedAt.IsZero() || job.Epoch <= 0 || job.Attempts != 0 {
			e.Fatalf("got %+v, want a lease until %s", job, want)
		}
		e.advance(testLease - time.Second)
		e.claimNone()
		beat, err := e.s.Heartbeat(e.ctx, job.Lease(), testLease, gate.Progress{Phase: gate.PhaseLayers, LayersDone: 1, LayersTotal: 3, Bytes: 7})
		e.no(err)
		if beat.Urgent {
			e.Fatalf("urgent work in an empty queue")
		}
		got := e.job(job.ID)
		if got.Progress.LayersDone != 1 || got.Progress.Phase != gate.PhaseLayers || !got.LeaseUntil.Equal(e.now().Add(testLease)) {
			e.Fatalf("after the heartbeat: got %+v", got)
		}
		e.advance(testLease - time.Second)
		e.claimNone()
		e.finish(job, nil, gate.JobDone)
	}},
	{"lost_worker_costs_an_attempt", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		first := e.claim()
		e.advance(testLease)
		second := e.claim()
		if second.ID != id || second.Epoch <= first.Epoch || second.Attempts != 1 {
			e.Fatalf("got %+v after %+v", second, first)
		}
		e.fenced(first)
		e.finish(second, nil, gate.JobDone)
		e.fenced(first)
		e.fenced(second)
	}},
	{"poison_job_fails_after_max_attempts_and_others_flow", func(e *env) {
		poison := e.enqueue(analyze("poison", gate.TriggerPush), gate.EnqueuedNew)
		good := e.enqueue(analyze("good", gate.TriggerPush), gate.EnqueuedNew)
		for i := range testAttempts {
			if job := e.claim(); job.ID != poison.ID {
				e.Fatalf("got %q", job.Key)
			}
			e.advance(testLease)
			if i == 0 { // the first loss may be the worker's fault
				continue
			}
			if job, err := e.s.Claim(e.ctx, claimRequest()); i == 1 {
				e.no(err)
				if job.ID != good.ID {
					e.Fatalf("got %q, want the other job", job.Key)
				}
				e.finish(job, nil, gate.JobDone)
			} else {
				e.want(err, gate.ErrNoJob)
			}
			e.advance(store.MaxAttemptWait)
		}
		failed := e.wantState(poison.ID, gate.JobFailed)
		if failed.Attempts != testAttempts || failed.Error == "" || failed.Reason == "" || failed.FinishedAt.IsZero() {
			e.Fatalf("got %+v", failed)
		}
		e.claimNone()
	}},
	{"attempts_default_when_not_given", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		req := claimRequest()
		req.MaxAttempts = 0
		for range store.DefaultMaxAttempts {
			e.claimWith(req)
			e.advance(testLease)
			e.takeBack(0)
			e.advance(store.MaxAttemptWait)
		}
		e.claimNoneWith(req)
		e.wantState(id, gate.JobFailed)
	}},
	{"heartbeat_tells_rescans_of_urgent_work", func(e *env) {
		e.enqueue(analyze("slow", gate.TriggerRescan), gate.EnqueuedNew)
		rescan := e.claim()
		e.wantUrgent(rescan, false)
		e.enqueue(analyze("other", gate.TriggerRescan), gate.EnqueuedNew)
		e.wantUrgent(rescan, false)
		push := e.enqueue(analyze("new", gate.TriggerPush), gate.EnqueuedNew)
		e.wantUrgent(rescan, true)
		_, err := e.s.Cancel(e.ctx, push.ID)
		e.no(err)
		e.wantUrgent(rescan, false)
	}},
	{"work_that_cannot_be_claimed_is_not_urgent", func(e *env) {
		e.enqueue(analyze("running", gate.TriggerPush), gate.EnqueuedNew)
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 1}}
		e.claimWith(req)
		e.enqueue(gate.JobRequest{Kind: gate.JobAnalyze, Location: other, Digest: digest("slow"), Trigger: gate.TriggerRescan}, gate.EnqueuedNew)
		rescan := e.claimWith(req)
		e.enqueue(analyze("blocked", gate.TriggerAdmission), gate.EnqueuedNew)
		e.wantUrgent(rescan, false)
	}},
	{"own_slot_does_not_block_urgent_work", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 1}}
		e.enqueue(analyze("slow", gate.TriggerRescan), gate.EnqueuedNew)
		rescan := e.claimWith(req)
		e.enqueue(analyze("new", gate.TriggerPush), gate.EnqueuedNew)
		e.wantUrgent(rescan, true)
	}},
	{"bad_requests", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		_, err := e.s.Claim(e.ctx, gate.ClaimRequest{Worker: "w"})
		e.want(err, gate.ErrInvalid)
		_, err = e.s.Claim(e.ctx, gate.ClaimRequest{Worker: "w", Lease: time.Second, Kinds: []gate.JobKind{"other"}})
		e.want(err, gate.ErrInvalid)
		_, err = e.s.Heartbeat(e.ctx, e.claim().Lease(), 0, gate.Progress{})
		e.want(err, gate.ErrInvalid)
	}},
}

// claimRequestFor is a claim for jobs of one kind.
func claimRequestFor(kind gate.JobKind) gate.ClaimRequest {
	req := claimRequest()
	req.Kinds = []gate.JobKind{kind}
	return req
}

// takeBack makes the store take back what has lost its lease, with a claim that
// finds nothing for itself.
func (e *env) takeBack(maxAttempts int) {
	e.Helper()
	e.claimNoneWith(gate.ClaimRequest{Worker: "w1", Lease: testLease, Kinds: []gate.JobKind{gate.JobProvenance}, MaxAttempts: maxAttempts})
}

func (e *env) wantUrgent(job gate.Job, want bool) {
	e.Helper()
	beat, err := e.s.Heartbeat(e.ctx, job.Lease(), testLease, gate.Progress{})
	e.no(err)
	if beat.Urgent != want {
		e.Fatalf("Heartbeat: got urgent %v, want %v", beat.Urgent, want)
	}
}

// fenced checks that a lost lease can do nothing at all.
func (e *env) fenced(job gate.Job) {
	e.Helper()
	for what, err := range e.useLease(job) {
		if !errors.Is(err, gate.ErrFenced) {
			e.Fatalf("%s with a lost lease: got %v, want ErrFenced", what, err)
		}
	}
}

func (e *env) useLease(job gate.Job) map[string]error {
	_, beat := e.s.Heartbeat(e.ctx, job.Lease(), testLease, gate.Progress{})
	serve := e.s.Serve(e.ctx, job.Lease())
	_, finish := e.s.Finish(e.ctx, job.Lease(), gate.Result{})
	return map[string]error{"Heartbeat": beat, "Serve": serve, "Finish": finish}
}

var fairnessCases = []testCase{
	{"every_waiting_class_gets_every_tenth_claim", func(e *env) {
		triggers := []gate.Trigger{gate.TriggerAdmission, gate.TriggerPush, gate.TriggerSync, gate.TriggerRescan}
		const rounds = 120
		for i := range rounds {
			for _, trigger := range triggers {
				e.enqueue(analyze(fmt.Sprint(trigger, i), trigger), gate.EnqueuedNew)
			}
		}
		waited := map[gate.Priority]int{}
		served := map[gate.Priority]int{}
		for i := range rounds {
			job := e.claim()
			served[job.Priority]++
			for _, class := range gate.Priorities() {
				waited[class]++
				if class == job.Priority {
					waited[class] = 0
				}
				if waited[class] >= 10 {
					e.Fatalf("claim %d: class %s was passed over %d times", i, class, waited[class])
				}
			}
			e.finish(job, nil, gate.JobDone)
		}
		for _, class := range gate.Priorities()[1:] {
			if served[gate.PriorityInteractive] <= 2*served[class] {
				e.Errorf("interactive got %d claims, %s %d: fairness has replaced priority", served[gate.PriorityInteractive], class, served[class])
			}
		}
	}},
	{"turns_survive_a_restart", func(e *env) {
		for i := range 40 {
			e.enqueue(analyze(name("urgent", i), gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(analyze("patient", gate.TriggerRescan), gate.EnqueuedNew)
		for i := range 10 {
			if i == 5 {
				e.crash()
			}
			if e.claim().Priority == gate.PriorityRescan {
				return
			}
		}
		e.Fatal("the rescan was passed over ten times")
	}},
	{"waiting_out_of_reach_earns_the_next_turn", func(e *env) {
		for i := range 20 {
			e.enqueue(analyze(name("urgent", i), gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(analyze("patient", gate.TriggerRescan), gate.EnqueuedNew)
		req := claimRequest()
		req.NoRescan = true
		for range 12 {
			e.claimWith(req)
		}
		if job := e.claim(); job.Priority != gate.PriorityRescan {
			e.Fatalf("got class %s", job.Priority)
		}
	}},
}

var limitCases = []testCase{
	{"registry_at_its_concurrency_is_passed_over", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 2}}
		for i := range 3 {
			e.enqueue(analyze(name("h", i), gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(gate.JobRequest{Kind: gate.JobAnalyze, Location: other, Digest: digest("q"), Trigger: gate.TriggerRescan}, gate.EnqueuedNew)
		first := e.claimWith(req)
		e.claimWith(req)
		if job := e.claimWith(req); job.Location != other {
			e.Fatalf("got %s, want the job of the other registry", job.Location)
		}
		e.claimNoneWith(req)
		e.finish(first, nil, gate.JobDone)
		if job := e.claimWith(req); job.Digest != digest(name("h", 2)) {
			e.Fatalf("got %s", job.Key)
		}
	}},
	{"registry_that_rests_is_passed_over", func(e *env) {
		rest := func(d time.Duration) gate.ClaimRequest {
			req := claimRequest()
			req.Registries = map[string]gate.Limits{"harbor": {Rest: d}}
			return req
		}
		e.enqueue(analyze("tried", gate.TriggerAdmission), gate.EnqueuedNew)
		e.finish(e.claim(), gate.ErrBusy, gate.JobQueued)
		for i := range 3 {
			e.enqueue(resolve(name("r", i), "v1", gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: other, Digest: digest("q"), Trigger: gate.TriggerRescan}, gate.EnqueuedNew)
		if job := e.claimWith(rest(time.Minute)); job.Location != other {
			e.Fatalf("got %s, want the job of the other registry", job.Key)
		}
		e.claimNoneWith(rest(time.Nanosecond))
		e.enqueue(analyze("fresh", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.wantNext(rest(time.Minute), "fresh"), nil, gate.JobDone) // it may be elsewhere
		e.claimNoneWith(rest(time.Minute))
		for range 3 {
			if job := e.claimWith(rest(0)); job.Kind != gate.JobResolve {
				e.Fatalf("got %s after the rest, want a resolve", job.Key)
			}
		}
		e.wantNext(claimRequest(), "tried")
	}},
	{"work_of_a_registry_that_rests_is_not_urgent", func(e *env) {
		e.enqueue(analyze("slow", gate.TriggerRescan), gate.EnqueuedNew)
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Rest: time.Hour}}
		rescan := e.claimWith(req)
		e.enqueue(resolve("new", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.wantUrgent(rescan, false)
		e.claimNoneWith(claimRequestFor(gate.JobAnalyze))
		e.wantUrgent(rescan, true)
	}},
	{"kinds_are_limited_apart", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 1}}
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.claimWith(req)
		e.enqueue(resolve("b", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.claimWith(req)
		e.enqueue(resolve("c", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.claimNoneWith(req)
	}},
	{"lost_and_cancelled_jobs_free_their_slot", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 1}}
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		e.claimWith(req)
		e.claimNoneWith(req)
		e.advance(testLease)
		again := e.claimWith(req)
		e.claimNoneWith(req)
		_, err := e.s.Cancel(e.ctx, again.ID)
		e.no(err)
		e.claimWith(req)
	}},
	{"pulls_per_hour", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {PullsPerHour: 2}}
		for i := range 4 {
			e.enqueue(analyze(name("a", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		e.finish(e.claimWith(req), nil, gate.JobDone)
		first := e.now()
		next := func(limit int, want time.Time) {
			e.Helper()
			got, err := e.s.NextPull(e.ctx, "harbor", limit)
			e.no(err)
			if got.Sub(want).Abs() > time.Second {
				e.Fatalf("the next of %d pulls: got %s, want %s", limit, got, want)
			}
		}
		next(2, time.Time{})
		e.advance(30 * time.Minute)
		e.finish(e.claimWith(req), nil, gate.JobDone)
		next(2, first.Add(time.Hour))
		next(1, first.Add(90*time.Minute))
		next(3, time.Time{})
		e.claimNoneWith(req)
		e.enqueue(resolve("b", "v1", gate.TriggerPush), gate.EnqueuedNew)
		if job := e.claimWith(req); job.Kind != gate.JobResolve {
			e.Fatalf("got %s: only analyses count as pulls", job.Kind)
		} else {
			e.finish(job, nil, gate.JobDone)
		}
		e.advance(30*time.Minute - time.Second)
		e.claimNoneWith(req)
		e.advance(time.Second) // the first start is an hour ago
		e.claimWith(req)
		e.claimNoneWith(req)
		next(2, first.Add(90*time.Minute))
		e.advance(30 * time.Minute) // and now the second
		e.claimWith(req)
		e.claimNoneWith(req)
	}},
}
