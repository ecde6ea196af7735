package gate

import (
	"context"
	"sync/atomic"
)

// Run is a claimed job at work: what a worker hands to the handler of its kind. Its
// methods are safe for concurrent use.
type Run struct {
	Job      Job
	progress atomic.Pointer[Progress]
	yield    atomic.Bool
	fresh    chan struct{} // holds one when there is progress to write
}

// NewRun starts the bookkeeping of a claimed job, which a worker does.
func NewRun(job Job) *Run {
	r := &Run{Job: job, fresh: make(chan struct{}, 1)}
	r.progress.Store(&Progress{})
	return r
}

// Report takes progress; it is written soon.
func (r *Run) Report(p Progress) {
	r.progress.Store(&p)
	select {
	case r.fresh <- struct{}{}:
	default:
	}
}

// Enter reports the next phase and keeps the counts.
func (r *Run) Enter(phase Phase) {
	p := *r.progress.Load()
	p.Phase = phase
	r.Report(p)
}

// Yield reports whether a rescan should give its slot to more urgent work.
func (r *Run) Yield() bool { return r.yield.Load() }

// Fresh holds a value when there is progress that was not read yet.
func (r *Run) Fresh() <-chan struct{} { return r.fresh }

// Progress is what was reported last.
func (r *Run) Progress() Progress { return *r.progress.Load() }

// AskToYield makes Yield true.
func (r *Run) AskToYield() { r.yield.Store(true) }

// Handler does one kind of job. Its error decides what becomes of the job, see
// [Result].
type Handler func(ctx context.Context, run *Run) error
