package storetest

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func limited(period string, limit int64) gate.ClaimRequest {
	req := claimRequest()
	req.Period = gate.Period{Key: period, Limit: limit}
	return req
}

var quotaCases = []testCase{
	{"reserved_by_the_claim_and_kept_after_serve", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.wantCharged("a", "")
		e.wantUsed("2026-11", 0)
		job := e.claim()
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-11", 1)
		e.serve(job)
		e.serve(job) // repeating it is harmless
		e.finishWith(job, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-11", 1)
	}},
	{"given_back_when_nothing_was_pulled", func(e *env) {
		ends := map[string]func(gate.Job){
			"done":      func(j gate.Job) { e.finish(j, nil, gate.JobDone) },
			"failed":    func(j gate.Job) { e.finishWith(j, gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobFailed) },
			"cancelled": func(j gate.Job) { e.cancel(j.ID) },
			"lost": func(gate.Job) {
				for range testAttempts - 1 {
					e.advance(testLease)
					e.takeBack(testAttempts)
					e.advance(store.MaxAttemptWait)
					e.claim()
				}
				e.advance(testLease)
				e.claimNone()
			},
		}
		for how, end := range ends {
			e.enqueue(analyze(how, gate.TriggerPush), gate.EnqueuedNew)
			job := e.claim()
			e.wantUsed("2026-11", 1)
			end(job)
			e.wantUsed("2026-11", 0)
			e.wantCharged(how, "")
		}
	}},
	{"kept_over_retries_and_the_turn_of_the_period", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		after := e.finish(e.claimWith(limited("2026-11", 1)), gate.ErrRegistryUnavailable, gate.JobQueued)
		e.wantUsed("2026-11", 1)
		e.advance(after.NotBefore.Sub(e.now()))
		job := e.claimWith(limited("2026-12", 1))
		e.wantUsed("2026-11", 1)
		e.wantUsed("2026-12", 0)
		e.serve(job)
		e.finish(job, nil, gate.JobDone)
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-12", 0)
	}},
	{"a_digest_is_charged_once_for_ever", func(e *env) {
		for _, period := range []string{"2026-11", "2026-12", "2027-01"} {
			req := analyze("a", gate.TriggerAPI)
			req.Force = true
			e.enqueue(req, gate.EnqueuedNew)
			job := e.claimWith(limited(period, 1))
			e.serve(job)
			e.finish(job, nil, gate.JobDone)
			e.wantCharged("a", "2026-11")
		}
		e.wantUsed("2026-11", 1)
		e.wantUsed("2026-12", 0)
		e.wantUsed("2027-01", 0)
	}},
	{"rescan_of_a_charged_digest_runs_without_room", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claimWith(limited("2026-11", 1))
		e.serve(job)
		e.finish(job, nil, gate.JobDone)
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		again := analyze("a", gate.TriggerRescan)
		again.Force = true
		e.enqueue(again, gate.EnqueuedNew)
		if job := e.claimWith(limited("2026-11", 1)); job.Digest != digest("a") {
			e.Fatalf("got %s", job.Key)
		}
	}},
	{"resolves_and_provenance_cost_nothing", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(gate.JobRequest{Kind: gate.JobProvenance, Location: app, Digest: digest("a"), Trigger: gate.TriggerPush}, gate.EnqueuedNew)
		for range 2 {
			job := e.claimWith(limited("2026-11", 1))
			e.serve(job)
			e.finish(job, nil, gate.JobDone)
		}
		e.wantUsed("2026-11", 0)
		e.wantCharged("a", "")
	}},
	{"a_resolve_keeps_no_charge_of_its_digests_analysis", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		analysis := e.claim()
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.serve(e.claim())
		e.cancel(analysis.ID)
		e.wantCharged("a", "")
	}},
	{"the_charge_says_when_and_whether_it_is_kept", func(e *env) {
		e.wantCharge("a", gate.Charge{})
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		charge := gate.Charge{Period: "2026-11", At: e.now()}
		e.wantCharge("a", charge)
		e.advance(time.Second)
		e.serve(job)
		charge.Served = true
		e.wantCharge("a", charge)
	}},
	{"at_the_limit_new_digests_park_and_go_on_in_the_next_period", parking},
	{"raised_limit_releases", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		id := e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew).ID
		e.serve(e.claimWith(limited("2026-11", 1)))
		e.claimNoneWith(limited("2026-11", 1))
		e.wantState(id, gate.JobParked)
		if job := e.claimWith(limited("2026-11", 2)); job.ID != id {
			e.Fatalf("got %s", job.Key)
		}
	}},
	{"no_limit_releases_all", func(e *env) {
		e.serve(e.parkBehindOne(5))
		for range 5 {
			e.claimWith(limited("2026-11", 0))
		}
		e.wantUsed("2026-11", 6)
	}},
	{"given_back_charge_makes_room", func(e *env) {
		holder := e.parkBehindOne(2)
		e.finish(holder, gate.ErrCancelled, gate.JobCancelled)
		e.claimWith(limited("2026-11", 1))
		e.claimNoneWith(limited("2026-11", 1))
		e.wantUsed("2026-11", 1)
	}},
	{"joining_a_parked_job_keeps_it_parked", func(e *env) {
		e.parkBehindOne(1)
		job := e.enqueue(analyze("parked-0000", gate.TriggerAdmission), gate.EnqueuedJoined)
		if job.State != gate.JobParked || job.Priority != gate.PriorityInteractive {
			e.Fatalf("got %+v", job)
		}
		if state := e.entry("parked-0000").State(); state != gate.StateQuotaExhausted {
			e.Fatalf("got state %q", state)
		}
		e.claimNoneWith(limited("2026-11", 1))
	}},
	{"workers_of_other_kinds_leave_quota_alone", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		req := limited("2026-11", 1)
		e.no(e.s.Avoid(e.ctx, "2026-11", 3))
		req.Kinds = []gate.JobKind{gate.JobResolve}
		e.claimNoneWith(req)
		e.wantState(id, gate.JobQueued)
	}},
	{"serve_needs_the_lease", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.advance(testLease)
		second := e.claim()
		e.want(e.s.Serve(e.ctx, job.Lease()), gate.ErrFenced)
		e.finishWith(second, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		e.wantUsed("2026-11", 0)
	}},
	{"avoided_adds_up", func(e *env) {
		e.no(e.s.Avoid(e.ctx, "2026-11", 2))
		e.no(e.s.Avoid(e.ctx, "2026-11", 3))
		e.want(e.s.Avoid(e.ctx, "2026-11", -1), gate.ErrInvalid)
		use, err := e.s.Quota(e.ctx, "2026-11")
		e.no(err)
		if use.Avoided != 5 || use.Used != 0 {
			e.Fatalf("got %+v", use)
		}
		use, err = e.s.Quota(e.ctx, "1999-01")
		e.no(err)
		if use != (gate.QuotaUse{}) {
			e.Fatalf("unknown period: got %+v", use)
		}
	}},
}

// restoreCases are about charges that the store has lost.
var restoreCases = []testCase{
	{"charges_what_has_no_charge_once", func(e *env) {
		at := e.now().Add(-time.Hour)
		e.restore("a", "2026-10", at, true)
		e.restore("a", "2026-11", e.now(), false)
		e.wantCharge("a", gate.Charge{Period: "2026-10", At: at, Served: true})
		e.wantUsed("2026-10", 1)
		e.wantUsed("2026-11", 0)
	}},
	{"a_kept_charge_stays", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		at := e.now()
		e.serve(job)
		e.finish(job, nil, gate.JobDone)
		e.advance(time.Hour)
		e.restore("a", "2026-12", e.now(), false)
		e.wantCharge("a", gate.Charge{Period: "2026-11", At: at, Served: true})
		e.wantUsed("2026-12", 0)
	}},
	{"a_reserved_charge_is_kept_from_now_on", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.restore("a", "2026-12", e.now(), false)
		e.finishWith(job, gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobFailed)
		e.wantCharged("a", "2026-11")
		e.wantUsed("2026-11", 1)
		e.wantUsed("2026-12", 0)
	}},
	{"counts_beyond_the_limit", func(e *env) {
		e.serve(e.parkBehindOne(1))
		e.restore("a", "2026-11", e.now(), true)
		e.wantUsed("2026-11", 2)
		e.claimNoneWith(limited("2026-11", 2))
		e.claimWith(limited("2026-11", 3))
	}},
	{"a_queued_job_needs_no_charge_any_more", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		e.restore("a", "2026-10", e.now(), true)
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claimWith(limited("2026-11", 1))
		if job.ID != id {
			e.Fatalf("got %s", job.Key)
		}
		e.claimWith(limited("2026-11", 1)) // the only charge of the period is left for b
		e.wantUsed("2026-11", 1)
		e.finishWith(job, gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobFailed)
		e.wantCharged("a", "2026-10")
	}},
	{"a_waiting_job_keeps_its_charge", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
		e.restore("a", "2026-12", e.now(), false)
		e.advance(time.Hour)
		e.claimWith(limited("2026-12", 1))
		e.wantUsed("2026-12", 0)
	}},
	{"a_parked_job_returns_to_the_queue", func(e *env) {
		e.serve(e.parkBehindOne(3))
		parked := digest(name("parked", 1))
		e.restore(name("parked", 1), "2026-10", e.now(), true)
		if state := e.entry(name("parked", 1)).State(); state != gate.StateQueued {
			e.Fatalf("got %q", state)
		}
		if job := e.claimWith(limited("2026-11", 1)); job.Digest != parked {
			e.Fatalf("got %s", job.Key)
		}
		e.claimNoneWith(limited("2026-11", 1))
		e.wantUsed("2026-11", 1)
	}},
	{"a_later_job_of_the_digest_costs_nothing", func(e *env) {
		e.restore("a", "2026-10", e.now(), true)
		e.enqueue(analyze("a", gate.TriggerAPI), gate.EnqueuedNew)
		e.finishWith(e.claimWith(limited("2026-11", 1)), gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobFailed)
		e.wantCharged("a", "2026-10")
		e.wantUsed("2026-11", 0)
	}},
	{"wrong_arguments", func(e *env) {
		_, err := e.s.Restore(e.ctx, "sha256:abc", "2026-11", e.now())
		e.want(err, gate.ErrDigestInvalid)
		_, err = e.s.Restore(e.ctx, digest("a"), "2026-11", time.Time{})
		e.want(err, gate.ErrInvalid)
		e.wantCharged("a", "")
	}},
}

func (e *env) restore(name, period string, at time.Time, want bool) {
	e.Helper()
	added, err := e.s.Restore(e.ctx, digest(name), period, at)
	if err != nil || added != want {
		e.Fatalf("Restore(%s, %q): got %v, %v, want %v", name, period, added, err, want)
	}
}

func (e *env) wantCharge(name string, want gate.Charge) {
	e.Helper()
	got, err := e.s.Charged(e.ctx, digest(name))
	if err != nil || got.Period != want.Period || !got.At.Equal(want.At) || got.Served != want.Served {
		e.Fatalf("Charged(%s): got %+v, %v, want %+v", name, got, err, want)
	}
}

// parkBehindOne parks n jobs named parked-NNNN behind one that holds the only
// charge, which is returned running.
func (e *env) parkBehindOne(n int) gate.Job {
	e.Helper()
	e.enqueue(analyze("holder", gate.TriggerPush), gate.EnqueuedNew)
	holder := e.claimWith(limited("2026-11", 1))
	for i := range n {
		e.enqueue(analyze(name("parked", i), gate.TriggerPush), gate.EnqueuedNew)
	}
	e.claimNoneWith(limited("2026-11", 1))
	return holder
}

func parking(e *env) {
	const all, limit = 25, 10
	var ids []string
	for i := range all {
		ids = append(ids, e.enqueue(analyze(name("a", i), gate.TriggerPush), gate.EnqueuedNew).ID)
	}
	next := 0
	for _, period := range []struct {
		key  string
		runs int
	}{{"2026-11", limit}, {"2026-12", limit}, {"2027-01", all - 2*limit}} {
		for range period.runs {
			job := e.claimWith(limited(period.key, limit))
			if job.ID != ids[next] {
				e.Fatalf("in %s: got %q, want the oldest, %q", period.key, job.ID, ids[next])
			}
			next++
			e.serve(job)
			e.finish(job, nil, gate.JobDone)
		}
		e.claimNoneWith(limited(period.key, limit))
		for _, id := range ids[next:] {
			e.wantState(id, gate.JobParked)
		}
		e.wantUsed(period.key, int64(period.runs))
		e.advance(31 * 24 * time.Hour)
	}
}

var budgetCases = []testCase{
	{"spends_up_to_the_limit_in_each_window", func(e *env) {
		spend := func(budget string, limit int, want bool) {
			e.Helper()
			got, err := e.s.Spend(e.ctx, budget, limit, time.Hour)
			e.no(err)
			if got != want {
				e.Fatalf("Spend(%q, %d): got %v, want %v", budget, limit, got, want)
			}
		}
		// Begin at the start of a window.
		e.advance(e.now().Truncate(time.Hour).Add(time.Hour).Sub(e.now()))
		for range 3 {
			spend("team-a", 3, true)
		}
		spend("team-a", 3, false)
		spend("team-a", 4, true) // a refusal takes nothing
		spend("team-b", 1, true)
		spend("team-b", 0, false)
		e.advance(time.Hour - time.Nanosecond)
		spend("team-a", 3, false)
		e.advance(time.Nanosecond)
		spend("team-a", 3, true)
	}},
	{"window_must_be_positive", func(e *env) {
		_, err := e.s.Spend(e.ctx, "b", 1, 0)
		e.want(err, gate.ErrInvalid)
	}},
}
