package storetest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// The crash cases end the store between two steps of a claimant. The scheduler
// and the record are never written together, so that each of these states is
// real; the next claim must mend it.
var crashCases = []testCase{
	{"everything_acknowledged_is_found_again", func(e *env) {
		e.no(e.s.PutManifest(e.ctx, manifest("a")))
		_, err := e.s.AddLocation(e.ctx, digest("a"), app)
		e.no(err)
		id := e.scanned("a", 3)
		e.no(PutFindings(e.ctx, e.s, findings("a", id, 2)))
		e.no(PutVerdicts(e.ctx, e.s, digest("a"), []gate.Verdict{verdict(app, gate.OutcomeDeny, e.now())}))
		e.putTag("v1", digest("a"), e.now())
		e.enqueue(analyze("queued", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(resolve("b", "v1", gate.TriggerAdmission), gate.EnqueuedNew)
		running := e.claim()
		_, err = e.s.PutSetting(e.ctx, "token", []byte("t"), 0)
		e.no(err)
		e.no(e.s.Avoid(e.ctx, "2026-11", 4))
		before, feed := e.scan(), e.lastSeq()

		e.crash()
		after := e.scan()
		if diff := cmp.Diff(before, after, cmp.AllowUnexported(scanResult{})); diff != "" {
			e.Fatalf("after the crash (-before +after):\n%s", diff)
		}
		if got := e.lastSeq(); got != feed {
			e.Fatalf("the feed ends at %d, want %d", got, feed)
		}
		if value, version, err := e.s.Setting(e.ctx, "token"); err != nil || string(value) != "t" || version != 1 {
			e.Fatalf("setting: got %q, %d, %v", value, version, err)
		}
		e.finish(running, nil, gate.JobDone) // the lease is still good
		if job := e.claim(); job.Digest != digest("queued") {
			e.Fatalf("got %s", job.Key)
		}
	}},
	{"after_the_claim", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		lost := e.claim()
		e.crash()
		e.resume(lost)
	}},
	{"after_the_fence", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		lost := e.claim()
		e.no(e.s.Fence(e.ctx, lost.Digest, lost.Epoch))
		e.crash()
		e.resume(lost)
	}},
	{"after_serve", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		lost := e.claim()
		e.no(e.s.Fence(e.ctx, lost.Digest, lost.Epoch))
		e.serve(lost)
		e.crash()
		e.wantUsed("2026-11", 1)
		e.resume(lost)
	}},
	{"after_the_inventory", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		lost := e.claim()
		e.no(e.s.Fence(e.ctx, lost.Digest, lost.Epoch))
		e.serve(lost)
		e.no(PutInventory(e.ctx, e.s, lost.Epoch, inventory("a", "set-1")))
		e.crash()
		if entry := e.entry("a"); entry.State() != gate.StateScanned || entry.Job.State != gate.JobRunning {
			e.Fatalf("got state %q with a %s job", entry.State(), entry.Job.State)
		}
		e.resume(lost)
	}},
	{"given_back_charge_stays_given_back", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.cancel(e.claim().ID)
		e.crash()
		e.wantUsed("2026-11", 0)
		e.wantCharged("a", "")
	}},
	{"restored_charge_is_found_again", func(e *env) {
		e.restore("a", "2026-11", e.now(), true)
		e.crash()
		e.wantUsed("2026-11", 1)
		e.restore("a", "2026-11", e.now(), false)
	}},
	{"parked_jobs_are_released_after_it", func(e *env) {
		e.serve(e.parkBehindOne(3))
		e.crash()
		for i := range 3 {
			if job := e.claimWith(limited("2026-12", 3)); job.Digest != digest(name("parked", i)) {
				e.Fatalf("got %s", job.Key)
			}
		}
	}},
	{"delayed_jobs_keep_their_time", func(e *env) {
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		after := e.finish(e.claim(), gate.ErrRegistryUnavailable, gate.JobQueued)
		e.crash()
		e.claimNone()
		e.advance(after.NotBefore.Sub(e.now()))
		e.claim()
	}},
	{"epochs_never_go_back", func(e *env) {
		last := int64(0)
		for range 5 {
			e.enqueue(analyze("a", gate.TriggerAPI), gate.EnqueuedNew)
			job := e.claim()
			if job.Epoch <= last {
				e.Fatalf("epoch %d after %d", job.Epoch, last)
			}
			last = job.Epoch
			e.no(e.s.Fence(e.ctx, job.Digest, job.Epoch))
			e.finish(job, nil, gate.JobDone)
			e.crash()
		}
	}},
	{"limits_count_what_runs_elsewhere", func(e *env) {
		req := claimRequest()
		req.Registries = map[string]gate.Limits{"harbor": {Concurrency: 1, PullsPerHour: 1}}
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		job := e.claimWith(req)
		e.crash()
		e.claimNoneWith(req)
		e.finish(job, nil, gate.JobDone)
		e.claimNoneWith(req)
	}},
}

// resume plays the next claimant of a job whose worker died, to the end, while
// the dead one comes back late.
func (e *env) resume(lost gate.Job) {
	e.Helper()
	e.claimNone() // the lease still runs
	e.advance(testLease)
	job := e.claim()
	if job.ID != lost.ID || job.Epoch <= lost.Epoch || job.Attempts != 1 {
		e.Fatalf("got %+v after %+v", job, lost)
	}
	e.no(e.s.Fence(e.ctx, job.Digest, job.Epoch))
	e.fenced(lost)
	e.want(e.s.Fence(e.ctx, lost.Digest, lost.Epoch), gate.ErrFenced)
	e.want(PutInventory(e.ctx, e.s, lost.Epoch, inventory("a", "late")), gate.ErrFenced)
	e.want(e.s.PutUnassessable(e.ctx, lost.Digest, lost.Epoch, "late"), gate.ErrFenced)
	if e.record("a").InventoryID == "" {
		e.serve(job)
		e.no(PutInventory(e.ctx, e.s, job.Epoch, inventory("a", "set-1")))
	}
	e.finish(job, nil, gate.JobDone)
	entry := e.entry("a")
	if entry.State() != gate.StateScanned || entry.Record.AnalyzerSet != "set-1" || entry.Job.State != gate.JobDone {
		e.Fatalf("got %q, %+v, %+v", entry.State(), entry.Record, entry.Job)
	}
	e.wantUsed("2026-11", 1)
	e.wantCharged("a", "2026-11")
	e.claimNone()
}
