package gate_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// resting is a registry that has asked to wait until a time.
type resting struct{ until time.Time }

func (r *resting) left() time.Duration { return time.Until(r.until) }

func (r *resting) rests(name string) gate.Rest {
	if name != "hub" {
		return gate.Rest{}
	}
	return gate.Rest{Left: r.left(), Kind: gate.CauseAskedToWait, Until: r.until}
}

// handle fails as a call does to a registry that rests.
func (r *resting) handle(_ context.Context, run *gate.Run) error {
	if left := r.left(); left > 0 && run.Job.Location.Registry == "hub" {
		return &gate.RetryAfterError{After: left, Asked: left, Err: gate.ErrRegistryUnavailable}
	}
	return nil
}

// counted counts the jobs that were claimed.
type counted struct {
	realQueue
	claimed atomic.Int64
}

func (c *counted) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	job, err := c.realQueue.Claim(ctx, req)
	if err == nil {
		c.claimed.Add(1)
	}
	return job, err
}

// TestRestingRegistryCostsNothing: while a registry rests, its thousands of waiting
// resolves are not claimed, beyond those that met the rest, and another registry is
// served; when the rest ends they continue by themselves.
func TestRestingRegistryCostsNothing(t *testing.T) { synctest.Test(t, restingRegistryCostsNothing) }

func restingRegistryCostsNothing(t *testing.T) {
	q := &counted{realQueue: newRealQueue(t)}
	const jobs, slots = 300, 4 // as many as the registry may have
	ask := func(registry string, i int) gate.Job {
		t.Helper()
		j, _, err := q.Enqueue(t.Context(), gate.JobRequest{
			Kind: gate.JobResolve, Location: gate.Location{Registry: registry, Repository: "app"}, Tag: fmt.Sprint("v", i), Trigger: gate.TriggerPush,
		})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	var last gate.Job
	for i := range jobs {
		last = ask("hub", i)
	}
	r := &resting{time.Now().Add(10 * time.Minute)}
	o := workerOptions(t, 2*slots, nil)
	o.Kinds, o.Poll = []gate.JobKind{gate.JobResolve}, 24*time.Hour
	met := make(chan struct{})
	var meets atomic.Int64
	o.Handlers = map[gate.JobKind]gate.Handler{gate.JobResolve: func(ctx context.Context, run *gate.Run) error {
		if meets.Add(1) == slots {
			close(met)
		}
		<-met
		return r.handle(ctx, run)
	}}
	o.Rests = func(name string) gate.Rest { // known once jobs have met it
		if meets.Load() < slots {
			return gate.Rest{}
		}
		return r.rests(name)
	}
	stop := running(t, q, o, 0)
	defer stop()
	<-met
	for i := range 100 { // what wakes the worker
		q.reaches(t, ask("other", i).ID, gate.JobDone)
	}
	if n := q.claimed.Load(); n > 100+2*slots {
		t.Errorf("%d jobs were claimed for 100 of another registry, want those and the %d that met the rest", n, slots)
	}
	if r.left() < time.Minute {
		t.Fatalf("the rest has %s left", r.left())
	}
	q.reaches(t, last.ID, gate.JobDone) // nothing else happens until then
	if r.left() > 0 {
		t.Errorf("done %s before the end of the rest", r.left())
	}
	if r.left() < -time.Minute {
		t.Errorf("done %s after the end of the rest", -r.left())
	}
}

// TestWhyAJobOfARestingRegistryWaits: it is told that its registry has asked to wait,
// although the job itself was never tried.
func TestWhyAJobOfARestingRegistryWaits(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	rest := gate.Rest{Left: 10 * time.Minute, Kind: gate.CauseAskedToWait, Until: now.Add(10 * time.Minute)}
	registries, err := gate.NewRegistries(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &explain.Explainer{Registries: registries, Now: func() time.Time { return now }, Rests: func(name string) gate.Rest {
		if name == "hub" {
			return rest
		}
		return gate.Rest{}
	}}
	at := gate.Location{Registry: "hub", Repository: "app"}
	job := gate.Job{Kind: gate.JobResolve, State: gate.JobQueued, Location: at}
	o, ok := e.Obstacles().Of(t.Context(), job, at)
	if want := `registry "hub" asked to wait until 08:10 UTC`; !ok || refusal.English(o.Text) != want || !o.Until.Equal(now.Add(rest.Left)) {
		t.Errorf("got %t, %q until %s, want %q", ok, refusal.English(o.Text), o.Until, want)
	}
	rest.Kind, rest.Until = gate.CauseUnreachable, time.Time{}
	if o, ok := e.Obstacles().Of(t.Context(), job, at); !ok || o.Kind != gate.CauseUnreachable {
		t.Errorf("got %t, %+v", ok, o)
	}
	job.Kind = gate.JobAnalyze
	if o, ok := e.Obstacles().Of(t.Context(), job, at); ok {
		t.Errorf("an analysis that may be served elsewhere: %+v", o)
	}
	job.Tried = true
	if _, ok := e.Obstacles().Of(t.Context(), job, at); !ok {
		t.Error("an analysis that was tried is not explained")
	}
	job.Location.Registry = "other"
	if o, ok := e.Obstacles().Of(t.Context(), job, at); ok {
		t.Errorf("another registry: %+v", o)
	}
}
