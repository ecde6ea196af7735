package storetest

import (
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// at asks for an analysis by a push to a place.
func at(registry, repository, name string, trigger gate.Trigger) gate.JobRequest {
	return gate.JobRequest{Kind: gate.JobAnalyze, Location: gate.Location{Registry: registry, Repository: repository}, Digest: digest(name), Trigger: trigger}
}

// wantNext claims a job and checks that it is that of the name.
func (e *env) wantNext(req gate.ClaimRequest, name string) gate.Job {
	e.Helper()
	job := e.claimWith(req)
	if job.Digest != digest(name) {
		e.Fatalf("claimed the job of %s of %q, want that of %q", job.Digest.Short(), job.Location, name)
	}
	return job
}

var sharingCases = []testCase{
	{"what_returns_queues_behind_what_has_not_been_tried", func(e *env) {
		for _, result := range []error{gate.ErrBusy, gate.ErrYielded, gate.ErrRegistryUnavailable, gate.ErrScanFailed} {
			first, later := "first"+result.Error(), "later"+result.Error()
			e.enqueue(analyze(first, gate.TriggerPush), gate.EnqueuedNew)
			job := e.claim()
			e.enqueue(at("quay", "team/app", "waiting"+result.Error(), gate.TriggerPush), gate.EnqueuedNew)
			after := e.finish(job, result, gate.JobQueued)
			if !after.Tried {
				e.Fatalf("%v: got %+v", result, after)
			}
			e.advance(max(after.NotBefore.Sub(e.now()), 0))
			e.enqueue(analyze(later, gate.TriggerPush), gate.EnqueuedNew) // asked for after the return
			e.finish(e.wantNext(claimRequest(), "waiting"+result.Error()), nil, gate.JobDone)
			e.finish(e.wantNext(claimRequest(), later), nil, gate.JobDone)
			e.finish(e.wantNext(claimRequest(), first), nil, gate.JobDone)
		}
	}},
	{"what_was_tried_is_not_kept_out_for_ever", func(e *env) {
		e.enqueue(analyze("tried", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.claim(), gate.ErrBusy, gate.JobQueued)
		const every = 30 * time.Second
		for i := range int(store.TriedBehind/every) + 3 {
			e.enqueue(analyze(name("new", i), gate.TriggerPush), gate.EnqueuedNew)
			job := e.claim()
			if job.Digest == digest("tried") {
				return
			}
			e.finish(job, nil, gate.JobDone)
			e.advance(every)
		}
		e.Fatalf("it was kept out for more than %s", store.TriedBehind)
	}},
	{"a_return_is_remembered", func(e *env) {
		e.enqueue(analyze("tried", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.claim(), gate.ErrBusy, gate.JobQueued)
		e.enqueue(analyze("new", gate.TriggerPush), gate.EnqueuedNew)
		e.crash()
		e.wantNext(claimRequest(), "new")
		e.wantNext(claimRequest(), "tried")
	}},
	{"the_first_loss_of_a_worker_costs_no_place", func(e *env) {
		e.enqueue(analyze("lost", gate.TriggerPush), gate.EnqueuedNew)
		e.claim()
		for i := range 5 {
			e.enqueue(analyze(name("new", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		e.advance(testLease)
		e.wantNext(claimRequest(), "lost")
		e.advance(testLease)
		e.wantNext(claimRequest(), name("new", 0))
	}},
	{"a_new_ask_while_it_ran_is_a_new_try", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedJoined)
		if after := e.finish(job, nil, gate.JobQueued); after.Tried {
			e.Fatalf("got %+v", after)
		}
	}},
	{"registries_take_turns", func(e *env) {
		for r, n := range map[string]int{"a": 9, "b": 6, "c": 3} {
			for i := range n {
				e.enqueue(at(r, "app", name(r, i), gate.TriggerPush), gate.EnqueuedNew)
			}
		}
		var got string
		for range 18 {
			job := e.claim()
			got += job.Location.Registry
			e.finish(job, nil, gate.JobDone)
		}
		turns := func(s string) string { // of all registries in it
			for _, r := range s {
				for i, o := range s {
					if i >= len("abc") && o == r && s[i-len("abc")] != s[i] {
						return "uneven"
					}
				}
			}
			return "even"
		}
		if turns(got[:9]) != "even" || turns(got[9:15]) == "" || got[15:] != "aaa" {
			e.Fatalf("served %q", got)
		}
	}},
	{"a_registry_with_long_jobs_leaves_room", func(e *env) {
		for i := range 9 {
			e.enqueue(at("slow", "app", name("slow", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		e.claim()
		for i := range 9 {
			e.enqueue(at("quick", "app", name("quick", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		for i := range 9 {
			e.finish(e.wantNext(claimRequest(), name("quick", i)), nil, gate.JobDone)
		}
		e.wantNext(claimRequest(), name("slow", 1)) // no slot stays idle for it
	}},
	{"repositories_take_turns", func(e *env) {
		for i := range 4 {
			e.enqueue(at("r", "big", name("big", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		e.enqueue(at("r", "small", "small", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.wantNext(claimRequest(), name("big", 0)), nil, gate.JobDone)
		e.finish(e.wantNext(claimRequest(), "small"), nil, gate.JobDone)
		e.wantNext(claimRequest(), name("big", 1))
	}},
	{"a_repository_with_long_jobs_leaves_room", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"r": {Concurrency: 2}}
		for i := range 6 {
			e.enqueue(at("r", "slow", name("slow", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		e.claimWith(req)
		for i := range 3 {
			e.enqueue(at("r", "quick", name("quick", i), gate.TriggerPush), gate.EnqueuedNew)
		}
		for i := range 3 {
			e.finish(e.wantNext(req, name("quick", i)), nil, gate.JobDone)
		}
		e.wantNext(req, name("slow", 1))
		e.claimNoneWith(req)
	}},
	{"the_last_slot_is_anothers_whatever_its_class", func(e *env) {
		for i := range 4 {
			e.enqueue(at("slow", "app", name("slow", i), gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(at("other", "app", "rescan", gate.TriggerRescan), gate.EnqueuedNew)
		e.claim()
		req := claimRequest()
		req.Yielding = "slow"
		e.wantNext(req, name("slow", 1)) // a rescan of another registry can wait
		e.enqueue(at("other", "app", "sync", gate.TriggerSync), gate.EnqueuedNew)
		e.wantNext(req, "sync")
		e.wantNext(req, name("slow", 2))
	}},
	{"who_came_last_is_the_second", func(e *env) {
		for i, r := range []string{"a", "b", "c", "d", "e"} {
			e.enqueue(at(r, "app", name(r, 0), gate.TriggerPush), gate.EnqueuedNew)
			e.enqueue(at(r, "app", name(r, 1), gate.TriggerPush), gate.EnqueuedNew)
			e.advance(time.Duration(i) * time.Second)
		}
		e.wantNext(claimRequest(), name("a", 0))
		e.wantNext(claimRequest(), name("e", 0))
		e.wantNext(claimRequest(), name("b", 0))
		e.enqueue(at("late", "app", "late", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.wantNext(claimRequest(), "late"), nil, gate.JobDone) // b has passed d over
		e.enqueue(at("late", "app", "later", gate.TriggerPush), gate.EnqueuedNew)
		e.wantNext(claimRequest(), name("c", 0))
		e.wantNext(claimRequest(), name("d", 0))
		e.wantNext(claimRequest(), "later") // it had its turn while they waited
	}},
	{"workers_of_one_slot_leave_room", func(e *env) {
		for i := range 3 {
			e.enqueue(at("slow", "app", name("slow", i), gate.TriggerAdmission), gate.EnqueuedNew)
		}
		e.enqueue(at("other", "app", "rescan", gate.TriggerRescan), gate.EnqueuedNew)
		e.enqueue(at("other", "app", "sync", gate.TriggerSync), gate.EnqueuedNew)
		for _, want := range []string{name("slow", 0), "sync", name("slow", 1)} {
			req := claimRequest()
			req.Worker, req.Single = "worker of "+want, true
			e.wantNext(req, want)
		}
	}},
	{"turns_are_kept_for_each_set_of_kinds", func(e *env) {
		analyses, resolves := claimRequest(), claimRequest()
		analyses.Kinds, resolves.Kinds = []gate.JobKind{gate.JobAnalyze}, []gate.JobKind{gate.JobResolve}
		for i := range 3 {
			for _, r := range []string{"a", "b"} {
				loc := gate.Location{Registry: r, Repository: "app"}
				e.enqueue(at(r, "app", fmt.Sprint(r, i), gate.TriggerPush), gate.EnqueuedNew)
				e.enqueue(gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: digest(fmt.Sprint(r, i)), Trigger: gate.TriggerPush}, gate.EnqueuedNew)
			}
		}
		for _, want := range []string{"a", "b", "a", "b"} {
			for _, req := range []gate.ClaimRequest{analyses, resolves} {
				job := e.claimWith(req)
				if job.Location.Registry != want {
					e.Fatalf("%s: served %q, want %q", job.Kind, job.Location.Registry, want)
				}
				e.finish(job, nil, gate.JobDone)
			}
		}
	}},
}
