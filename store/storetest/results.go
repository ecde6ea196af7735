package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var finishCases = []testCase{
	{"done", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		after := e.finish(e.claim(), nil, gate.JobDone)
		if after.FinishedAt.IsZero() || after.Error != "" || !after.LeaseUntil.IsZero() {
			e.Fatalf("got %+v", after)
		}
		e.claimNone()
	}},
	{"the_images_fault_counts", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		for i := 1; i < testAttempts; i++ {
			after := e.finish(e.claim(), fmt.Errorf("child: %w", gate.ErrScanFailed), gate.JobQueued)
			if after.Attempts != i || after.Reason != "scan_failed" || after.Error == "" {
				e.Fatalf("attempt %d: got %+v", i, after)
			}
			wait := after.NotBefore.Sub(e.now())
			if least := store.AttemptWait(i-1, 1); wait < least || wait > store.AttemptWait(i-1, 0) {
				e.Fatalf("attempt %d: got a wait of %s, want at least %s", i, wait, least)
			}
			e.claimNone()
			e.advance(wait)
		}
		after := e.finish(e.claim(), fmt.Errorf("child: %w", gate.ErrScanFailed), gate.JobFailed)
		if after.Attempts != testAttempts || after.FinishedAt.IsZero() {
			e.Fatalf("got %+v", after)
		}
		e.claimNone()
	}},
	{"unknown_errors_count", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		if after := e.finish(e.claim(), errors.New("a bug"), gate.JobQueued); after.Attempts != 1 || after.Reason != "internal" {
			e.Fatalf("got %+v", after)
		}
	}},
	{"final_fails_at_once", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		after := e.finishWith(e.claim(), gate.Result{Err: gate.ErrUnassessable, Final: true, MaxAttempts: testAttempts}, gate.JobFailed)
		if after.Reason != "unassessable" {
			e.Fatalf("got reason %q", after.Reason)
		}
		if state := e.entry("a").State(); state != gate.StateUnassessable {
			e.Fatalf("got state %q", state)
		}
	}},
	{"the_worlds_fault_gives_the_attempt_back_and_waits", func(e *env) {
		for _, class := range gate.Errors() {
			if !class.Retry || errors.Is(class.Err, gate.ErrBusy) || errors.Is(class.Err, gate.ErrYielded) {
				continue
			}
			e.enqueue(analyze(class.Label, gate.TriggerPush), gate.EnqueuedNew)
			after := e.finish(e.claim(), fmt.Errorf("somewhere: %w", class.Err), gate.JobQueued)
			if after.Attempts != 0 || after.Reason != class.Label || !after.NotBefore.After(e.now()) {
				e.Fatalf("%s: got %+v", class.Label, after)
			}
			e.claimNone()
			e.advance(after.NotBefore.Sub(e.now()) - time.Nanosecond)
			e.claimNone()
			e.advance(time.Nanosecond)
			e.finish(e.claim(), nil, gate.JobDone)
		}
	}},
	{"backoff_grows_to_a_bound_and_never_ends", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		var waits []time.Duration
		for range 40 {
			after := e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
			wait := after.NotBefore.Sub(e.now())
			if wait > store.MaxBackoff || wait < store.MinBackoff/2 {
				e.Fatalf("got a wait of %s", wait)
			}
			waits = append(waits, wait)
			e.advance(wait)
		}
		if waits[0] > store.MinBackoff || waits[len(waits)-1] < store.MaxBackoff/2 {
			e.Fatalf("got waits %v", waits)
		}
		jitter := false
		for _, w := range waits[20:] {
			jitter = jitter || w != waits[20]
		}
		if !jitter {
			e.Fatalf("all waits are the same: %v", waits[20:])
		}
	}},
	{"backoff_starts_anew_after_another_result", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		for range 10 {
			after := e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
			e.advance(after.NotBefore.Sub(e.now()))
		}
		e.finish(e.claim(), gate.ErrIntegrity, gate.JobQueued)
		e.advance(store.MaxAttemptWait)
		after := e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
		if wait := after.NotBefore.Sub(e.now()); wait > store.MinBackoff {
			e.Fatalf("got a wait of %s", wait)
		}
	}},
	{"refused_by_its_registry_fails_after_a_day", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		refused := func(err error, state gate.JobState) gate.Job {
			e.Helper()
			return e.finishWith(e.claim(), gate.Result{Err: fmt.Errorf("reading: %w", err), After: time.Hour, MaxAttempts: testAttempts}, state)
		}
		first := refused(gate.ErrRegistryRefused, gate.JobQueued)
		if first.Attempts != 0 || first.Reason != "registry_refused" || !first.RefusedSince.Equal(e.now()) || first.NotBefore.Sub(e.now()) != time.Hour {
			e.Fatalf("got %+v", first)
		}
		// What says nothing of the image, and what cannot be told from a refusal of
		// the credentials, neither ends the day nor begins it again.
		for n := range 23 {
			e.advance(time.Hour)
			err := []error{gate.ErrRegistryRefused, gate.ErrRegistryUnavailable, gate.ErrRegistryAuth, gate.ErrBusy}[n%4]
			after := refused(err, gate.JobQueued)
			if !after.RefusedSince.Equal(first.RefusedSince) || after.Attempts != 0 {
				e.Fatalf("hour %d: got %+v", n, after)
			}
			if n%4 == 3 {
				refused(gate.ErrRegistryRefused, gate.JobQueued)
			}
		}
		e.advance(time.Hour)
		refused(gate.ErrRegistryUnavailable, gate.JobQueued) // an outage never fails a job
		e.advance(time.Hour)
		last := refused(gate.ErrRegistryRefused, gate.JobFailed)
		if last.FinishedAt.IsZero() || last.Reason != "registry_refused" || last.Attempts != 0 || !strings.Contains(last.Error, "refuses this image") {
			e.Fatalf("got %+v", last)
		}
		e.claimNone()
		// Asked for again it has another day.
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		if again := refused(gate.ErrRegistryRefused, gate.JobQueued); !again.RefusedSince.Equal(e.now()) {
			e.Fatalf("got %+v", again)
		}
	}},
	{"refused_credentials_alone_never_fail", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		for range 100 {
			after := e.finishWith(e.claim(), gate.Result{Err: gate.ErrRegistryAuth, After: time.Hour}, gate.JobQueued)
			if !after.RefusedSince.IsZero() {
				e.Fatalf("got %+v", after)
			}
			e.advance(time.Hour)
		}
	}},
	{"an_answer_ends_a_refusal", func(e *env) {
		for i, result := range []error{gate.ErrScanFailed, gate.ErrIntegrity} {
			e.enqueue(analyze(name("a", i), gate.TriggerPush), gate.EnqueuedNew)
			e.finishWith(e.claim(), gate.Result{Err: gate.ErrRegistryRefused, After: time.Minute}, gate.JobQueued)
			e.advance(store.RefusedFor)
			after := e.finishWith(e.claim(), gate.Result{Err: result, MaxAttempts: testAttempts}, gate.JobQueued)
			if !after.RefusedSince.IsZero() {
				e.Fatalf("%v: got %+v", result, after)
			}
			e.advance(after.NotBefore.Sub(e.now()))
			e.finishWith(e.claim(), gate.Result{Err: gate.ErrRegistryRefused, After: time.Hour}, gate.JobQueued)
			_, err := e.s.Cancel(e.ctx, after.ID)
			e.no(err)
		}
	}},
	{"news_end_a_refusal", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		e.finishWith(e.claim(), gate.Result{Err: gate.ErrRegistryRefused, After: time.Minute}, gate.JobQueued)
		e.advance(store.RefusedFor)
		job := e.claim()
		e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedJoined)
		after := e.finishWith(job, gate.Result{Err: gate.ErrRegistryRefused, After: time.Minute}, gate.JobQueued)
		if !after.RefusedSince.IsZero() {
			e.Fatalf("got %+v", after)
		}
	}},
	{"retry_after_is_honoured_within_reason", func(e *env) {
		cases := []struct {
			result gate.Result
			want   time.Duration
		}{
			{gate.Result{Err: gate.ErrRegistryUnavailable, After: 42 * time.Second}, 42 * time.Second},
			{gate.Result{Err: fmt.Errorf("x: %w", &gate.RetryAfterError{After: 7 * time.Second, Err: gate.ErrRegistryUnavailable})}, 7 * time.Second},
			{gate.Result{Err: gate.ErrRegistryAuth, After: 1000 * time.Hour}, store.MaxRetryAfter},
		}
		for i, c := range cases {
			e.enqueue(analyze(name("a", i), gate.TriggerPush), gate.EnqueuedNew)
			after := e.finishWith(e.claim(), c.result, gate.JobQueued)
			if got := after.NotBefore.Sub(e.now()); got != c.want {
				e.Errorf("case %d: got a wait of %s, want %s", i, got, c.want)
			}
			_, err := e.s.Cancel(e.ctx, after.ID)
			e.no(err)
		}
	}},
	{"graceful_stop_and_yield_burn_nothing", func(e *env) {
		for _, reason := range []error{gate.ErrBusy, gate.ErrYielded} {
			e.enqueue(analyze(reason.Error(), gate.TriggerRescan), gate.EnqueuedNew)
			for range 20 {
				after := e.finish(e.claim(), fmt.Errorf("stopping: %w", reason), gate.JobQueued)
				if after.Attempts != 0 || after.NotBefore.After(e.now()) {
					e.Fatalf("got %+v", after)
				}
			}
			e.finish(e.claim(), nil, gate.JobDone)
		}
	}},
	{"finishing_twice_is_fenced", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.finish(job, nil, gate.JobDone)
		e.fenced(job)
	}},
	{"leases_nobody_gave", func(e *env) {
		e.fenced(gate.Job{ID: "1-none", Epoch: 1})
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		e.fenced(gate.Job{ID: id, Epoch: 0})
		job := e.claim()
		e.fenced(gate.Job{ID: job.ID, Epoch: job.Epoch + 1})
		e.fenced(gate.Job{ID: job.ID, Epoch: job.Epoch - 1})
		e.finish(job, nil, gate.JobDone)
	}},
	{"error_text_is_bounded_and_printable", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		text := "\x1b[31m" + strings.Repeat("x", 100_000)
		after := e.finish(e.claim(), fmt.Errorf("%s: %w", text, gate.ErrScanFailed), gate.JobQueued)
		if len(after.Error) > 4096 || strings.ContainsRune(after.Error, 0x1b) {
			e.Fatalf("got %d bytes: %q", len(after.Error), after.Error[:50])
		}
	}},
	{"failed_job_with_news_runs_again", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.enqueue(resolve("a", "v2", gate.TriggerPush), gate.EnqueuedJoined)
		after := e.finishWith(job, gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobQueued)
		if after.Attempts != 0 || after.Again {
			e.Fatalf("got %+v", after)
		}
		e.finishWith(e.claim(), gate.Result{Err: gate.ErrNotFound, Final: true}, gate.JobFailed)
	}},
}

var cancelCases = []testCase{
	{"queued", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		e.cancel(id)
		e.claimNone()
		if state := e.entry("a").State(); state != gate.StateCancelled {
			e.Fatalf("got state %q", state)
		}
	}},
	{"waiting_for_a_retry", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		after := e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
		e.cancel(after.ID)
		e.advance(time.Hour)
		e.claimNone()
	}},
	{"running", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claim()
		e.cancel(job.ID)
		for what, err := range e.useLease(job) {
			if !errors.Is(err, gate.ErrCancelled) {
				e.Errorf("%s of a cancelled job: got %v, want ErrCancelled", what, err)
			}
		}
		e.wantState(job.ID, gate.JobCancelled)
		e.advance(2 * testLease)
		e.claimNone()
		e.wantState(job.ID, gate.JobCancelled)
	}},
	{"running_with_news_stays_cancelled", func(e *env) {
		e.enqueue(resolve("a", "v1", gate.TriggerSync), gate.EnqueuedNew)
		job := e.claim()
		e.enqueue(resolve("a", "v2", gate.TriggerSync), gate.EnqueuedJoined)
		e.cancel(job.ID)
		e.claimNone()
		e.enqueue(resolve("a", "v3", gate.TriggerSync), gate.EnqueuedLeft)
	}},
	{"parked", func(e *env) {
		req := claimRequest()
		req.Period.Limit = 1
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		id := e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew).ID
		e.claimWith(req)
		e.claimNoneWith(req)
		e.wantState(id, gate.JobParked)
		e.cancel(id)
		req.Period.Limit = 5
		e.claimNoneWith(req)
	}},
	{"ended", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		e.finish(e.claim(), nil, gate.JobDone)
		_, err := e.s.Cancel(e.ctx, id)
		e.want(err, gate.ErrConflict)
		e.wantState(id, gate.JobDone)
	}},
	{"by_the_holder", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.finish(e.claim(), gate.ErrCancelled, gate.JobCancelled)
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedLeft)
	}},
	{"the_api_starts_it_again", func(e *env) {
		id := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew).ID
		old := e.claim()
		e.cancel(id)
		e.enqueue(analyze("a", gate.TriggerAPI), gate.EnqueuedNew)
		fresh := e.claim()
		for what, err := range e.useLease(old) {
			if !errors.Is(err, gate.ErrCancelled) {
				e.Errorf("%s with the cancelled lease: got %v", what, err)
			}
		}
		e.finish(fresh, nil, gate.JobDone)
	}},
}

func (e *env) cancel(id string) {
	e.Helper()
	job, err := e.s.Cancel(e.ctx, id)
	e.no(err)
	if job.State != gate.JobCancelled || job.FinishedAt.IsZero() {
		e.Fatalf("Cancel: got %+v", job)
	}
	_, err = e.s.Cancel(e.ctx, id)
	e.want(err, gate.ErrConflict)
}
