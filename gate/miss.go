package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// queueTimeout bounds what a review spends on queuing: a store that fell silent
// after the records were read must not hold an answer to its deadline. On a
// store that works it takes milliseconds.
const queueTimeout = 2 * time.Second

// noteLocation queues a resolve of a known digest at a location it was not seen
// at. The answer does not depend on it, so that a failure is only logged.
func (l *Lookup) noteLocation(ctx context.Context, loc Location, digest Digest, namespace string) {
	job := JobRequest{Kind: JobResolve, Location: loc, Digest: digest, Trigger: TriggerAdmission, Namespace: namespace}
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	ok, err := l.spend(ctx, job)
	var outcome Enqueued
	if ok {
		_, outcome, err = l.pipeline.Scheduler.Enqueue(ctx, job)
	}
	switch {
	case err == nil && ok:
		l.metrics.missed(string(outcome))
	case err == nil:
		l.metrics.missed("over_budget")
	}
	if err != nil {
		l.pipeline.Log.Warn("queuing a resolve for a new location", "location", Printable(loc.String(), 200), "error", err)
	}
}

// spendWindow is the window of the namespaces' budgets.
const spendWindow = time.Hour

// spend takes one from what a namespace may queue within the hour. Who asks
// for the same job again has paid: controllers repeat themselves while a scan
// is pending or has failed, and would use up what is there for new digests.
func (l *Lookup) spend(ctx context.Context, job JobRequest) (bool, error) {
	if l.options.NewDigestsPerHour <= 0 {
		return true, nil
	}
	key := job.Namespace + "\n" + string(job.Kind) + "\n" + job.Key()
	ok, err, _ := l.spending.Do(key, func() (any, error) {
		now := l.pipeline.Now()
		if at, ok := l.asked.GetIfPresent(key); ok && now.Sub(at).Abs() < spendWindow {
			return true, nil
		}
		ok, err := l.budget.Spend(ctx, "admission/"+job.Namespace, l.options.NewDigestsPerHour, spendWindow)
		if ok && err == nil {
			l.asked.Set(key, now)
		}
		return ok, err
	})
	paid, _ := ok.(bool)
	return paid && err == nil, err
}

// miss queues the work that is missing, within the namespace's budget, and
// says how long it usually takes. A live job is only made more urgent. A dry
// run changes nothing.
func (l *Lookup) miss(ctx context.Context, job JobRequest, entry Entry, dry bool) Answer {
	live := entry.Job != nil && entry.Job.State.Live()
	if live && (dry || entry.Job.Priority == PriorityInteractive) {
		return l.pending(entry.Job.State)
	}
	if entry.Copied {
		return refusal(fmt.Errorf("queuing %q: the store did not answer: %w", Printable(job.Key(), 200), ErrStoreUnavailable))
	}
	if dry {
		return refuse(ErrNotScanned, "not scanned yet; this was a dry run, so nothing was queued")
	}
	queuing, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	unavailable := func(err error) Answer {
		if queuing.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s: %w", queueTimeout, errors.Join(ErrStoreUnavailable, err))
		}
		return refusal(err)
	}
	if !live {
		ok, err := l.spend(queuing, job)
		if err != nil {
			return unavailable(err)
		}
		if !ok {
			l.metrics.missed("over_budget")
			return l.overBudget(job.Namespace)
		}
	}
	queued, outcome, err := l.pipeline.Scheduler.Enqueue(queuing, job)
	if err == nil {
		l.metrics.missed(string(outcome))
	}
	switch {
	case err != nil:
		return unavailable(err)
	case outcome == EnqueuedLeft:
		return refuse(ErrNotScanned, "not scanned: the last attempt is %s and is not repeated yet", queued.State)
	case live || outcome == EnqueuedJoined:
		return l.pending(queued.State)
	}
	return refuse(ErrNotScanned, "not scanned yet; its scan is queued now, %s", l.soon())
}

// overBudget says which limit it is, when it ends, and what does not wait for
// that: only admission is limited, a push or an operator's ask is not. Windows
// are aligned to the hour, by the store's clock.
func (l *Lookup) overBudget(namespace string) Answer {
	ends := l.pipeline.Now().UTC().Truncate(spendWindow).Add(spendWindow)
	return refuse(ErrNotScanned, "not scanned, and namespace %q has asked for its %d new images of this hour (admission.newDigestsPerHour); "+
		"it may ask for more from %s UTC; push the image again, or ask the operators to scan it", namespace, l.options.NewDigestsPerHour, ends.Format("15:04"))
}

func (l *Lookup) pending(state JobState) Answer {
	if state == JobParked {
		return refuse(ErrQuotaExhausted, "the scan quota of this period is used up; its scan goes on by itself in the next one")
	}
	return refuse(ErrPending, "its scan is %s, %s", map[JobState]string{JobQueued: "queued", JobRunning: "running"}[state], l.soon())
}

// soon tells people what to expect of a scan in progress.
func (l *Lookup) soon() string {
	s := max(1, int(l.pipeline.UsualAnalysis().Round(time.Second)/time.Second))
	return fmt.Sprintf("usually about %d s; a controller retries by itself, a bare Pod must be applied again", s)
}
