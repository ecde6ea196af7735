package storetest

import (
	"errors"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

// restingProperty: whichever registries rest, a claim returns a job if and only if one
// waits that may be claimed, and never a resolve, or a job that was tried, of one that
// rests. When the rests are over every job is claimed, and none twice.
func restingProperty(e *env, rt *rapid.T) {
	names := []string{"a", "b", "c"}
	waiting := map[string]gate.Job{}
	done := map[string]bool{}
	claim := func(resting map[string]gate.Limits) bool {
		may := map[string]bool{}
		for id, j := range waiting {
			if !resting[j.Location.Registry].Rests(j.Kind, j.Tried) {
				may[id] = true
			}
		}
		req := claimRequest()
		req.Registries = resting
		job, err := e.s.Claim(e.ctx, req)
		if errors.Is(err, gate.ErrNoJob) {
			if len(may) > 0 {
				e.Fatalf("nothing was claimed of %d jobs that may be, with %v", len(may), resting)
			}
			return false
		}
		e.no(err)
		if !may[job.ID] || done[job.ID] {
			e.Fatalf("claimed %s, tried %t, done %t, with %v", job.Key, waiting[job.ID].Tried, done[job.ID], resting)
		}
		if rapid.Bool().Draw(rt, "returns") && len(resting) > 0 {
			waiting[job.ID] = e.finish(job, gate.ErrBusy, gate.JobQueued)
			return true
		}
		e.finish(job, nil, gate.JobDone)
		delete(waiting, job.ID)
		done[job.ID] = true
		return true
	}
	for i := range rapid.IntRange(1, 25).Draw(rt, "steps") {
		if rapid.Bool().Draw(rt, "asks") {
			req := at(rapid.SampledFrom(names).Draw(rt, "registry"), "app", fmt.Sprint("d", i), rapid.SampledFrom([]gate.Trigger{gate.TriggerPush, gate.TriggerAPI}).Draw(rt, "trigger"))
			if rapid.Bool().Draw(rt, "resolve") {
				req.Kind = gate.JobResolve
			}
			job := e.enqueue(req, gate.EnqueuedNew)
			waiting[job.ID] = job
			continue
		}
		resting := map[string]gate.Limits{}
		for _, n := range names {
			if rapid.Bool().Draw(rt, "rests") {
				resting[n] = gate.Limits{Rest: time.Minute}
			}
		}
		claim(resting)
	}
	for claim(nil) {
	}
	if len(waiting) > 0 {
		e.Fatalf("%d jobs were not claimed after the rests", len(waiting))
	}
}
