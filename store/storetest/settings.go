package storetest

import (
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

var settingCases = []testCase{
	{"compare_and_set", func(e *env) {
		_, _, err := e.s.Setting(e.ctx, "tick")
		e.want(err, gate.ErrNotFound)
		_, err = e.s.PutSetting(e.ctx, "tick", []byte("x"), 3)
		e.want(err, gate.ErrConflict)
		v1, err := e.s.PutSetting(e.ctx, "tick", []byte("one"), 0)
		e.no(err)
		_, err = e.s.PutSetting(e.ctx, "tick", []byte("two"), 0)
		e.want(err, gate.ErrConflict)
		value, version, err := e.s.Setting(e.ctx, "tick")
		e.no(err)
		if string(value) != "one" || version != v1 || v1 <= 0 {
			e.Fatalf("got %q at version %d", value, version)
		}
		v2, err := e.s.PutSetting(e.ctx, "tick", nil, v1)
		e.no(err)
		if v2 <= v1 {
			e.Fatalf("version went from %d to %d", v1, v2)
		}
		value, _, err = e.s.Setting(e.ctx, "tick")
		e.no(err)
		if len(value) != 0 {
			e.Fatalf("got %q", value)
		}
	}},
	{"sizes", func(e *env) {
		big := make([]byte, store.MaxSetting)
		_, err := e.s.PutSetting(e.ctx, "big", big, 0)
		e.no(err)
		_, err = e.s.PutSetting(e.ctx, "bigger", append(big, 0), 0)
		e.want(err, gate.ErrTooLarge)
		_, err = e.s.PutSetting(e.ctx, "", nil, 0)
		e.want(err, gate.ErrInvalid)
	}},
}

var readCases = []testCase{
	{"many_at_once", func(e *env) {
		const n = 150
		var req gate.ReadRequest
		for i := range n {
			d, k := digest(name("d", i)), key(name("v", i))
			req.Digests, req.Tags = append(req.Digests, d), append(req.Tags, k)
			if i%2 == 0 {
				continue
			}
			_, err := e.s.AddLocation(e.ctx, d, app)
			e.no(err)
			_, err = e.s.AddLocation(e.ctx, d, other)
			e.no(err)
			e.enqueue(analyze(name("d", i), gate.TriggerPush), gate.EnqueuedNew)
			_, err = e.s.PutTag(e.ctx, k, d, e.now(), "")
			e.no(err)
		}
		req.Digests = append(req.Digests, req.Digests[1], req.Digests[1]) // asking twice is allowed
		res, err := e.s.Read(e.ctx, req)
		e.no(err)
		if len(res.Digests) != n || len(res.Tags) != n/2 || !res.Now.Equal(e.now()) {
			e.Fatalf("got %d digests and %d tags at %s", len(res.Digests), len(res.Tags), res.Now)
		}
		for i, d := range req.Digests[:n] {
			entry := res.Digests[d]
			if known := i%2 == 1; entry.Record.Known() != known || (entry.Job != nil) != known {
				e.Fatalf("digest %d: got %+v", i, entry)
			}
			if entry.Job != nil && (entry.Job.Digest != d || entry.Record.Digest != d || len(entry.Record.Locations) != 2) {
				e.Fatalf("digest %d: got %+v and %+v", i, entry.Record, entry.Job)
			}
		}
	}},
	{"newest_analyze_job_only", func(e *env) {
		e.enqueue(gate.JobRequest{Kind: gate.JobProvenance, Location: app, Digest: digest("a"), Trigger: gate.TriggerPush}, gate.EnqueuedNew)
		if job := e.entry("a").Job; job != nil {
			e.Fatalf("got a %s job", job.Kind)
		}
		e.claim()
		e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		first := e.claim()
		if job := e.entry("a").Job; job == nil || job.ID != first.ID || job.State != gate.JobRunning || e.entry("a").State() != gate.StateScanning {
			e.Fatalf("got %+v", job)
		}
		e.finishWith(first, gate.Result{Err: gate.ErrScanFailed, Final: true}, gate.JobFailed)
		second := e.enqueue(analyze("a", gate.TriggerPush), gate.EnqueuedNew)
		if job := e.entry("a").Job; job.ID != second.ID || job.State != gate.JobQueued {
			e.Fatalf("got %+v", job)
		}
	}},
	{"jobs_where_the_state_depends_on_them", func(e *env) {
		e.no(PutInventory(e.ctx, e.s, 1, inventory("a", "set-1")))
		e.enqueue(analyze("a", gate.TriggerAPI), gate.EnqueuedNew)
		e.no(e.s.PutManifest(e.ctx, manifest("b")))
		e.enqueue(analyze("b", gate.TriggerPush), gate.EnqueuedNew)
		e.no(e.s.PutUnassessable(e.ctx, digest("c"), 1, "too large"))
		e.enqueue(analyze("c", gate.TriggerPush), gate.EnqueuedNew)
		for _, all := range []bool{false, true} {
			for name, want := range map[string]bool{"a": all, "b": true, "c": all} {
				for what, r := range map[string]gate.RecordReader{"Read": e.s, "Admission": e.s.Admission()} {
					res, err := r.Read(e.ctx, gate.ReadRequest{Digests: []gate.Digest{digest(name)}, AllJobs: all})
					e.no(err)
					if got := res.Digests[digest(name)]; !got.Record.Known() || (got.Job != nil) != want {
						e.Fatalf("%s of %s, all jobs %t: got %+v", what, name, all, got)
					}
				}
			}
		}
	}},
	{"nothing_asked", func(e *env) {
		res, err := e.s.Read(e.ctx, gate.ReadRequest{})
		e.no(err)
		if len(res.Digests) != 0 || len(res.Tags) != 0 || res.Now.IsZero() {
			e.Fatalf("got %+v", res)
		}
	}},
}
