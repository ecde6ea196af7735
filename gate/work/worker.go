// Package work claims jobs and runs their handlers under a lease with a heartbeat.
// What a handler does is the business of the packages that cmd names in its table.
package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Queue is the part of the store's scheduler that a worker uses. The methods
// are those of store.Scheduler and store.Feed.
type Queue interface {
	// Claim leases the next job. gate.ErrNoJob: none is ready; any other error: the
	// worker waits and tries again.
	Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error)
	// Heartbeat extends a lease. gate.ErrFenced: it is lost; gate.ErrCancelled: the
	// job was cancelled. In both cases the handler is stopped and writes nothing more.
	Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error)
	// Finish ends a claim. gate.ErrFenced, gate.ErrCancelled: the result does not count;
	// any other error: the lease runs out and the job is claimed again.
	Finish(ctx context.Context, lease gate.Lease, result gate.Result) (gate.Job, error)
	// Changed is closed at the next change made through this process.
	Changed() <-chan struct{}
}

// Options configure a worker. All fields but Poll and Lease are needed.
type Options struct {
	Name        string // unique among live workers
	Kinds       []gate.JobKind
	Concurrency int
	MaxAttempts int
	Lease       time.Duration // default 30 s: a killed worker's job continues within 35 s
	Poll        time.Duration // default 2 s: how often an idle worker looks without being woken
	Registries  *gate.Registries
	// Rests is whether a registry rests, by its name; nil: none does. A claim passes over
	// one that does, and the worker looks again when the first rest is over.
	Rests    func(registry string) gate.Rest
	Quota    *gate.Quota
	Handlers map[gate.JobKind]gate.Handler
	Metrics  *Metrics
	Log      *slog.Logger
	Now      func() time.Time
}

// Worker claims jobs and runs their handlers, Concurrency at a time.
type Worker struct {
	o       Options
	queue   Queue
	rescans atomic.Int32 // running rescans
	// freed holds one when a rescan has ended: a slot that may take no rescan
	// meanwhile looks again.
	freed   chan struct{}
	running sync.WaitGroup
	held    holding
}

// NewWorker makes a worker; start it with Run.
func NewWorker(queue Queue, o Options) *Worker {
	if o.Lease == 0 {
		o.Lease = 30 * time.Second
	}
	if o.Poll == 0 {
		o.Poll = 2 * time.Second
	}
	return &Worker{o: o, queue: queue, freed: make(chan struct{}, 1)}
}

// errStopping is the cause with which running jobs are cancelled when the
// worker stops; such a job returns to the queue and burns no attempt.
var errStopping = fmt.Errorf("worker is stopping: %w", gate.ErrBusy)

// Run works until ctx ends. Then it claims nothing more, lets running jobs continue for
// grace, and at last cancels them; they return to the queue unburnt.
func (w *Worker) Run(ctx context.Context, grace time.Duration) {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	// One slot at a time holds the token and looks for work: claims do not
	// race within a worker, so that the bound on rescans is exact, and an
	// idle worker costs one claim for each change, not one for each slot.
	scout := make(chan struct{}, 1)
	scout <- struct{}{}
	for range w.o.Concurrency {
		w.running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-scout:
				}
				job, ok := w.claim(ctx)
				scout <- struct{}{}
				if !ok {
					return
				}
				w.work(work, job)
			}
		})
	}
	done := make(chan struct{})
	go func() { w.running.Wait(); close(done) }()
	<-ctx.Done()
	select {
	case <-done:
	case <-time.After(grace):
		stop(errStopping)
		<-done
	}
}

// claim waits for a job; ok is false when ctx ended.
func (w *Worker) claim(ctx context.Context) (job gate.Job, ok bool) {
	for ctx.Err() == nil {
		changed := w.queue.Changed()
		req := w.request()
		job, err := w.queue.Claim(ctx, req)
		switch {
		case err == nil:
			if job.Priority == gate.PriorityRescan {
				w.rescans.Add(1)
			}
			w.held.take(job.Location.Registry)
			return job, true
		case errors.Is(err, gate.ErrNoJob) || ctx.Err() != nil:
		default:
			w.o.Log.Error("claiming a job", "error", err)
			changed = nil // do not spin on a store that fails and wakes
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-w.freed:
		case <-time.After(firstRest(req.Registries, w.o.Poll)):
		}
	}
	return gate.Job{}, false
}

func (w *Worker) request() gate.ClaimRequest {
	return gate.ClaimRequest{
		Worker: w.o.Name, Kinds: w.o.Kinds, Lease: w.o.Lease, MaxAttempts: w.o.MaxAttempts,
		NoRescan:   w.o.Concurrency > 1 && int(w.rescans.Load()) >= w.o.Concurrency-1,
		Yielding:   w.held.allBut(w.o.Concurrency - 1),
		Single:     w.o.Concurrency == 1,
		Registries: w.limits(),
		Period:     w.o.Quota.Period(w.o.Now()),
	}
}

// limits are those of the registries, with the rests that they are in now.
func (w *Worker) limits() map[string]gate.Limits {
	limits := w.o.Registries.Limits()
	if w.o.Rests == nil {
		return limits
	}
	for name, l := range limits {
		l.Rest = max(w.o.Rests(name).Left, 0)
		limits[name] = l
	}
	return limits
}

// firstRest is what is left of the rest that is over first, longest when no registry
// rests.
func firstRest(registries map[string]gate.Limits, longest time.Duration) time.Duration {
	for _, l := range registries {
		if l.Rest > 0 {
			longest = min(longest, l.Rest)
		}
	}
	return longest
}

// work runs one job to its end and tells the store.
func (w *Worker) work(ctx context.Context, job gate.Job) {
	if job.Priority == gate.PriorityRescan {
		defer w.rescanEnded()
	}
	defer w.held.give(job.Location.Registry)
	started := w.o.Now()
	run := gate.NewRun(job)
	err := w.handle(ctx, run)

	result := gate.Result{Err: err, MaxAttempts: w.o.MaxAttempts, Final: gate.Final(err), Progress: run.Progress()}
	result.After, _ = gate.RetryAfter(err)
	if errors.Is(err, gate.ErrRegistryRefused) {
		result.After = max(result.After, refusedWait())
	}
	// The result is written even while stopping: without it the job would only continue
	// when its lease has run out.
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.o.Lease)
	defer cancel()
	after, finishErr := w.queue.Finish(finish, job.Lease(), result)
	class := "ok"
	if err != nil {
		c, _ := gate.Classify(err)
		class = c.Label
	}
	w.o.Metrics.ended(job.Kind, class, w.o.Now().Sub(started))
	attrs := []any{"job", job.ID, "jobKind", job.Kind, "jobKey", gate.Printable(job.Key, 200), "attempt", job.Attempts, "result", class,
		"duration", w.o.Now().Sub(started).Round(time.Millisecond)}
	switch {
	case finishErr != nil && !errors.Is(finishErr, gate.ErrFenced) && !errors.Is(finishErr, gate.ErrCancelled):
		w.o.Log.Error("finishing a job", append(attrs, "error", finishErr)...)
	case err != nil:
		w.o.Log.Warn("job ended", append(attrs, "state", after.State, "error", gate.Printable(err.Error(), 800))...)
	default:
		w.o.Log.Info("job ended", append(attrs, "state", after.State)...)
	}
}

func (w *Worker) rescanEnded() {
	w.rescans.Add(-1)
	select {
	case w.freed <- struct{}{}:
	default:
	}
}

// refusedWait is the wait of a job whose image its registry refuses: somebody has
// to change a policy there, which is nothing for seconds. Jobs that were refused
// together do not come back together.
func refusedWait() time.Duration {
	return gate.RefusedWait - time.Duration(rand.Int64N(int64(gate.RefusedWait/2)))
}

// handle runs the handler under a heartbeat. A panic in it is a failure of
// this job, not of the worker.
func (w *Worker) handle(ctx context.Context, run *gate.Run) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beats := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { w.beat(ctx, cancel, run, beats) })
	defer beating.Wait()
	defer close(beats)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handling a %s job: %w: %s: %w", run.Job.Kind, gate.ErrPanic, gate.Printable(fmt.Sprint(p), 300), gate.ErrScanFailed)
		}
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause // fenced, cancelled or stopping says more than what it broke
		}
	}()
	handler, ok := w.o.Handlers[run.Job.Kind]
	if !ok {
		return fmt.Errorf("no handler for jobs of kind %q: %w", run.Job.Kind, gate.ErrInvalid)
	}
	return handler(ctx, run)
}
