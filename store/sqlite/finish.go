package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// leased returns the job of a lease that still holds; gate.ErrFenced or
// gate.ErrCancelled otherwise. A lease that has run out holds until somebody
// has taken the job back.
func (t *tx) leased(lease gate.Lease) (*job, error) {
	j, err := t.find(lease.JobID)
	switch {
	case errors.Is(err, gate.ErrNotFound):
		return nil, fmt.Errorf("job %s is gone: %w", gate.Quoted(lease.JobID, 60), gate.ErrFenced)
	case err != nil:
		return nil, err
	case j.Epoch == lease.Epoch && j.state == stateCancelled:
		return nil, fmt.Errorf("job %q: %w", j.ID, gate.ErrCancelled)
	case j.Epoch != lease.Epoch || j.state != stateRunning:
		return nil, fmt.Errorf("job %q is %s at epoch %d, the lease has %d: %w", j.ID, j.State, j.Epoch, lease.Epoch, gate.ErrFenced)
	}
	return j, nil
}

// Heartbeat extends a lease and stores the progress.
func (s *Store) Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error) {
	what := fmt.Sprintf("extending the lease of job %s", gate.Quoted(lease.JobID, 60))
	if extend <= 0 {
		return gate.Beat{}, fmt.Errorf("%s: by %s: %w", what, extend, gate.ErrInvalid)
	}
	return write(ctx, s, what, func(t *tx) (gate.Beat, error) {
		j, err := t.leased(lease)
		if err != nil {
			return gate.Beat{}, err
		}
		err = t.exec(`UPDATE jobs SET lease_until = ?, progress = ?, updated_at = ? WHERE seq = ?`, t.now+int64(extend), progressText(p), t.now, j.seq)
		if err != nil {
			return gate.Beat{}, err
		}
		if p != j.Progress {
			if err := t.change(gate.ChangeJob, j.ID); err != nil {
				return gate.Beat{}, err
			}
		}
		urgent, err := t.urgent(j)
		return gate.Beat{Urgent: urgent}, err
	})
}

// urgent reports whether work that is more urgent than j waits, of a kind that
// j's worker takes and that could be claimed if j gave its slot back. Jobs
// whose registry rests or is at its limits do not count: yielding to them would only
// bring j back.
func (t *tx) urgent(j *job) (bool, error) {
	h := &t.writer.hints
	c := claim{tx: t, req: gate.ClaimRequest{Registries: h.limits}, leaving: j}
	for l := range h.lanes {
		if l.priority >= j.Priority || l.kind&j.mask == 0 {
			continue
		}
		blocked, err := c.blocked(l)
		if err != nil {
			return false, err
		}
		if blocked {
			continue
		}
		head, err := c.headOf(l)
		if err != nil || head != nil {
			return head != nil, err
		}
	}
	return false, nil
}

// Finish ends a claim.
func (s *Store) Finish(ctx context.Context, lease gate.Lease, result gate.Result) (gate.Job, error) {
	what := fmt.Sprintf("finishing job %s", gate.Quoted(lease.JobID, 60))
	return write(ctx, s, what, func(t *tx) (gate.Job, error) {
		j, err := t.leased(lease)
		if err != nil {
			return gate.Job{}, err
		}
		if err := t.finish(j, result); err != nil {
			return gate.Job{}, err
		}
		return j.Job, nil
	})
}

func (t *tx) finish(j *job, result gate.Result) error {
	verb, after := store.VerbFor(result, j.Attempts)
	if result.Progress != (gate.Progress{}) {
		j.Progress = result.Progress
	}
	j.Error, j.Reason = store.Reason(result.Err)
	j.Causes = gate.CausesOf(result.Err, timeOf(t.now))
	if verb != store.VerbWait {
		j.retries = 0
	}
	var ends bool
	if j.RefusedSince, ends = store.RefusalOf(result, verb).Since(j.RefusedSince, timeOf(t.now)); ends {
		return t.end(j, stateFailed)
	}
	switch verb {
	case store.VerbDone:
		return t.end(j, stateDone)
	case store.VerbCancel:
		return t.end(j, stateCancelled)
	case store.VerbFail:
		j.Attempts++
		return t.end(j, stateFailed)
	case store.VerbAttempt:
		j.Attempts++
		return t.requeue(j, store.AttemptWait(j.Attempts-1, rand.Float64()))
	case store.VerbWait:
		if after == 0 {
			after = store.Backoff(j.retries, rand.Float64())
		}
		j.retries++
		return t.requeue(j, after)
	}
	return t.requeue(j, 0)
}

// end ends a claimed or waiting job for good, unless a request with new facts has
// arrived meanwhile: then it is queued once more, as if it had been asked for again. A
// cancelled job never is.
func (t *tx) end(j *job, state int) error {
	if j.Again && state != stateCancelled {
		j.Attempts, j.Repeat, j.Tried, j.place, j.RefusedSince = 0, true, false, t.now, time.Time{}
		return t.restore(j)
	}
	if err := t.giveBack(j); err != nil {
		return err
	}
	j.to(state)
	j.FinishedAt = timeOf(t.now)
	j.Again, j.NotBefore, j.LeaseUntil, j.Worker = false, time.Time{}, time.Time{}, ""
	return t.save(j)
}

// requeue puts a claimed job back behind those that have not been tried, to be
// claimed after a wait.
func (t *tx) requeue(j *job, after time.Duration) error {
	j.Tried, j.place = true, t.now+int64(store.TriedBehind)
	if after <= 0 {
		return t.restore(j)
	}
	j.to(stateDelayed)
	j.NotBefore = timeOf(t.now + int64(after)) // where it gets its place, see promote
	j.Again, j.LeaseUntil, j.Worker = false, time.Time{}, ""
	return t.save(j)
}

// restore puts a claimed job back at its place. Its next run reads everything
// again, so that Again is served by it.
func (t *tx) restore(j *job) error {
	j.to(stateReady)
	j.Again, j.NotBefore, j.LeaseUntil, j.Worker = false, time.Time{}, time.Time{}, ""
	return t.save(j)
}

// Cancel ends a live job whatever it does. Its worker learns of it by the next
// heartbeat and can commit nothing to the scheduler any more.
func (s *Store) Cancel(ctx context.Context, id string) (gate.Job, error) {
	what := fmt.Sprintf("cancelling job %s", gate.Quoted(id, 60))
	return write(ctx, s, what, func(t *tx) (gate.Job, error) {
		j, err := t.find(id)
		if err != nil {
			return gate.Job{}, err
		}
		if !j.State.Live() {
			return gate.Job{}, fmt.Errorf("%s: it is %s already: %w", what, j.State, gate.ErrConflict)
		}
		j.Error, j.Reason, j.Causes = "", "", nil
		if err := t.end(j, stateCancelled); err != nil {
			return gate.Job{}, err
		}
		return j.Job, nil
	})
}
