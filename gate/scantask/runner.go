package scantask

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// lease is how long a task stays with a process that is not heard of any more; it is
	// renewed three times in that time.
	lease = time.Minute
	// poll is how often a process looks for tasks that no process runs.
	poll = 2 * time.Second
	// pace is how often a task looks for analyses that have ended, for a person's wishes and
	// for the end of its window, when it has nothing else to do.
	pace = time.Second
	// atOnce is how many tasks one process runs. They share its processors.
	atOnce = 4
	// A task that cannot continue rests this long, doubled each time up to the limit.
	firstRest, longestRest = 10 * time.Second, 15 * time.Minute
)

// Lists are what a scope chooses from; gate/catalog implements it.
type Lists interface {
	// CatchUp brings the list up to date with the store. After an error the task waits: it
	// would miss images.
	CatchUp(ctx context.Context) error
	// Candidates is a page of images in the order of their digests, those after one; fewer
	// than limit are the last ones. After an error the task waits.
	Candidates(ctx context.Context, ask gate.ScanAsk, after gate.Digest, limit int) ([]gate.ScanCandidate, error)
}

// Queue is the part of the store that analyses are queued in; see store.Scheduler.
type Queue interface {
	// Read returns records; see gate.Reader. After an error the task waits.
	Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error)
	// Enqueue queues a job, or joins the live one. gate.ErrBusy and errors of the request
	// make the image fail; after those of the store the task waits.
	Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error)
	// Jobs are jobs by their ids; those that are not known any more are missing. After an
	// error the task waits.
	Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error)
	// Cancel takes a job out of the queue. gate.ErrNotFound and gate.ErrConflict: it has
	// ended; after those of the store it stays in the queue.
	Cancel(ctx context.Context, id string) (gate.Job, error)
}

// Matcher matches stored images again; gate/standing implements it.
type Matcher interface {
	// Again matches images with the advisory data in force and evaluates them, workers at a
	// time. It pulls nothing. skipped are those without an inventory. Errors:
	// gate.ErrAdvisoriesUnavailable and those of the store; the task then repeats all of
	// them later.
	Again(ctx context.Context, digests []gate.Digest, workers int) (done, failed, skipped int, err error)
}

// Options are the parts of a runner; all but Metrics are needed.
type Options struct {
	Lists   Lists
	Queue   Queue
	Matcher Matcher
	// Asked lists the digests that admission was asked for lately: what runs. After an
	// error the task waits.
	Asked func(ctx context.Context) ([]gate.Digest, error)
	// Set is the present set of analysers. Errors: gate.ErrNotFound while none is known, and
	// the task waits.
	Set func(ctx context.Context) (string, error)
	// Refresh looks for new advisory data before images are matched.
	Refresh    func(ctx context.Context)
	Registries *gate.Registries
	Metrics    *Metrics // nil counts nothing
	Log        *slog.Logger
}

// Runner runs tasks in one process. It is safe for concurrent use.
type Runner struct {
	tasks *Tasks
	o     Options

	mu      sync.Mutex
	running map[string]bool // here, by id
}

// NewRunner runs tasks of a store.
func NewRunner(t *Tasks, o Options) *Runner {
	return &Runner{tasks: t, o: o, running: map[string]bool{}}
}

// Run runs tasks until ctx ends and every one of them has stopped; another process
// continues them.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		if err := r.look(ctx, &wg); err != nil && ctx.Err() == nil {
			r.o.Log.Error("looking for scan tasks", "error", err)
		}
		wait := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-r.tasks.woken:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// look takes up the tasks that no process runs.
func (r *Runner) look(ctx context.Context, wg *sync.WaitGroup) error {
	k, err := r.tasks.load(ctx)
	if err != nil {
		return err
	}
	now, err := r.tasks.store.Now(ctx)
	if err != nil {
		return err
	}
	for i := range k.Tasks {
		if free(&k.Tasks[i], now) == nothing || !r.place(k.Tasks[i].ID) {
			continue
		}
		w, err := r.claim(ctx, k.Tasks[i].ID)
		if err != nil || w == nil {
			r.leave(k.Tasks[i].ID)
			if err != nil {
				return err
			}
			continue
		}
		wg.Go(func() {
			defer r.leave(w.t.ID)
			r.run(ctx, w)
		})
	}
	return nil
}

// place reserves a place for a task that does not run here.
func (r *Runner) place(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[id] || len(r.running) >= atOnce {
		return false
	}
	r.running[id] = true
	r.o.Metrics.running(len(r.running))
	return true
}

func (r *Runner) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
	r.o.Metrics.running(len(r.running))
}

// need is what is to be done for a task.
type need int

const (
	nothing need = iota
	scanning
	settling // it has stopped, and analyses of it are still in the queue
	waiting  // for its window, which its state does not say yet
)

// free says what is to be done for a task that no process runs.
func free(t *task, now time.Time) need {
	if t.held(now) {
		return nothing
	}
	stops := t.unsettled()
	if t.State == gate.ScanPaused || !t.State.Live() {
		if stops {
			return settling
		}
		return nothing
	}
	window, err := t.DayWindow()
	open, _ := window.Open(now)
	switch {
	case err == nil && !open && stops:
		return settling
	case err == nil && !open && t.State != gate.ScanWaiting:
		return waiting
	case err == nil && !open, now.Before(t.RetryAt):
		return nothing
	}
	return scanning
}

// claim makes this process the one that runs a task; nil when another one was faster.
func (r *Runner) claim(ctx context.Context, id string) (w *walk, err error) {
	holder := rand.Text()
	err = r.tasks.update(ctx, func(k *kept, now time.Time) error {
		w = nil
		t := k.find(id)
		if t == nil {
			return errSame
		}
		what := free(t, now)
		switch what {
		case nothing:
			return errSame
		case waiting:
			t.State, t.UpdatedAt = gate.ScanWaiting, now
			return nil
		case scanning:
			t.State, t.RetryAt, t.Settled = gate.ScanRunning, time.Time{}, false
			if t.StartedAt.IsZero() {
				t.StartedAt = now
			}
		}
		t.Holder, t.Until, t.UpdatedAt = holder, now.Add(lease), now
		w = &walk{r: r, t: *t, now: now, holder: holder, settles: what == settling}
		return nil
	})
	return w, err
}

// run does the work of a task that was claimed.
func (r *Runner) run(ctx context.Context, w *walk) {
	log := r.o.Log.With("task", w.t.ID, "schedule", w.t.Schedule)
	if !w.settles {
		log.Info("scan task runs", "rescan", w.t.Kind, "seen", w.t.Seen(), "total", w.t.Total)
	}
	err := agree.HoldLease(ctx, lease, w.renew, w.work)
	switch {
	case errors.Is(err, gate.ErrFenced):
		log.Warn("scan task was taken over by another process")
		return
	case err != nil && ctx.Err() != nil:
		log.Info("scan task stopped with this process, it continues", "seen", w.t.Seen(), "total", w.t.Total)
	case err != nil:
		log.Error("scan task cannot continue and is tried again", "seen", w.t.Seen(), "total", w.t.Total, "error", err)
	default:
		log.Info("scan task stopped", "state", w.t.State, "seen", w.t.Seen(), "total", w.t.Total, "done", w.t.Done,
			"analyzed", w.t.Analyzed, "failed", w.t.Failed, "skipped", w.t.Skipped)
	}
	ending, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	if err := w.release(ending, err, ctx.Err() != nil); err != nil && !errors.Is(err, gate.ErrFenced) {
		log.Error("ending a run of a scan task", "error", err)
	}
	r.tasks.wake()
}

// rest is how long a task waits after its nth try that ended early.
func rest(n int) time.Duration {
	d := firstRest
	for ; n > 1 && d < longestRest; n-- {
		d *= 2
	}
	return min(d, longestRest)
}
