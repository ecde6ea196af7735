package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// progressEvery is how often progress is written at most.
const progressEvery = 300 * time.Millisecond

// beat extends the lease until done closes. It cancels the job when the lease
// is lost, when the job was cancelled, or when the store has not answered for a
// whole lease, after which somebody else may hold it. What was reported last is
// stored with the end of the job, so that a short job has no heartbeat.
func (w *Worker) beat(ctx context.Context, cancel context.CancelCauseFunc, run *gate.Run, done <-chan struct{}) {
	// A tenth of the lease: a cancel takes effect within about 3 s.
	ticker := time.NewTicker(w.o.Lease / 10)
	defer ticker.Stop()
	alive := time.Now()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		case <-run.Fresh():
			select { // not more often than people can read
			case <-done:
				return
			case <-time.After(progressEvery):
			}
		}
		// Also while a stop or a cancel waits for the handler to let go: until
		// then nobody else may begin.
		call, stop := context.WithTimeout(context.WithoutCancel(ctx), w.o.Lease/3)
		beat, err := w.queue.Heartbeat(call, run.Job.Lease(), w.o.Lease, run.Progress())
		stop()
		switch {
		case err == nil:
			alive = time.Now()
			if beat.Urgent && run.Job.Priority == gate.PriorityRescan && w.o.Concurrency == 1 {
				run.AskToYield()
			}
		case errors.Is(err, gate.ErrFenced) || errors.Is(err, gate.ErrCancelled):
			cancel(err)
			return
		case time.Since(alive) > w.o.Lease:
			cancel(fmt.Errorf("extending the lease: %w", errors.Join(gate.ErrFenced, err)))
			return
		default:
			w.o.Log.Warn("extending a lease", "job", run.Job.ID, "error", err)
		}
	}
}
