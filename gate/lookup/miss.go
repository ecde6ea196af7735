package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// queueTimeout bounds what a review spends on queuing: a store that fell silent
// after the records were read must not hold an answer to its deadline. On a
// store that works it takes milliseconds.
const queueTimeout = 2 * time.Second

// noteLocation queues a resolve of a known digest at a location it was not seen
// at. The answer does not depend on it, so that a failure is only logged.
func (l *Lookup) noteLocation(loc gate.Location, digest gate.Digest, req gate.Request) {
	job := gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: digest, Trigger: gate.TriggerAdmission, Cluster: req.Cluster, Namespace: req.Namespace}
	var over overspent
	var outcome gate.Enqueued
	l.optional(func(ctx context.Context) (err error) {
		if over, err = l.spend(ctx, job); over == "" && err == nil {
			_, outcome, err = l.parts.Queue.Enqueue(ctx, job)
		}
		return err
	}, func(err error) {
		switch {
		case err == nil && over == "":
			l.metrics.missed(string(outcome))
		case err == nil:
			l.metrics.missed("over_budget")
		case !gate.NotTaken(err): // otherwise writeAside has logged it
			l.parts.Log.Warn("queuing a resolve for a new location", "location", gate.Printable(loc.String(), 200), "error", err)
		}
	})
}

// spendWindow is the window of the namespaces' budgets.
const spendWindow = time.Hour

// miss queues the work that is missing, within the namespace's budget, and
// says how long it usually takes. A live job is only made more urgent. A dry
// run changes nothing.
func (l *Lookup) miss(ctx context.Context, job gate.JobRequest, entry gate.Entry, dry bool) gate.Answer {
	live := entry.Job != nil && entry.Job.State.Live()
	if live && (dry || entry.Job.Priority == gate.PriorityInteractive) {
		return l.pending(ctx, *entry.Job, job.Location)
	}
	if entry.Copied {
		return unqueued(fmt.Errorf("queuing %s: the store did not answer: %w", gate.Quoted(job.Key(), 200), gate.ErrStoreUnavailable), "the store does not answer")
	}
	if dry {
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.UnscannedDryRun, nil))
	}
	queuing, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	unavailable := func(err error) gate.Answer {
		if ctx.Err() == nil {
			l.writes.note(l.parts.Log, err, l.parts.Now())
		}
		if live && gate.NotTaken(err) { // it is only not made more urgent
			return l.pending(ctx, *entry.Job, job.Location)
		}
		words := gate.StoreWords(err)
		if queuing.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s: %w", queueTimeout, errors.Join(gate.ErrStoreUnavailable, err))
		}
		return unqueued(err, words)
	}
	if !live {
		over, err := l.spend(queuing, job)
		if err != nil {
			return unavailable(err)
		}
		if over != "" {
			l.metrics.missed("over_budget")
			return l.overBudget(over, job.Namespace)
		}
	}
	queued, outcome, err := l.parts.Queue.Enqueue(queuing, job)
	if err == nil {
		l.metrics.missed(string(outcome))
	}
	switch {
	case err != nil:
		return unavailable(err)
	case outcome == gate.EnqueuedLeft:
		return l.left(queued, job.Location)
	case live || outcome == gate.EnqueuedJoined:
		return l.pending(ctx, queued, job.Location)
	}
	s := l.state(ctx, queued, job.Location)
	return refuse(errQueued, s.text(newlyQueued))
}

// unqueued is the refusal of what nobody has scanned and nothing can be queued
// for; words say why.
func unqueued(err error, words string) gate.Answer {
	a := refusedFor(err)
	if a.Code == gate.CodeStoreUnavailable {
		a.Text = refusal.Say(refusal.StoreUnqueued, refusal.P{"why": words})
	}
	return a
}

// overBudget says which limit it is, when it ends, and what does not wait for
// that: only admission is limited, a push or an operator's ask is not. Windows
// are aligned to the hour, by the store's clock.
func (l *Lookup) overBudget(over overspent, namespace string) gate.Answer {
	ends := l.parts.Now().UTC().Truncate(spendWindow).Add(spendWindow)
	from := ends.Format("15:04 UTC")
	switch total := l.options.NewDigestsPerHourTotal; over {
	case overNewcomers:
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.BudgetNewcomers, refusal.P{"namespace": namespace, "limit": (total + 1) / 2, "from": from}))
	case overAll:
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.BudgetAll, refusal.P{"limit": total, "from": from}))
	}
	return refuse(gate.ErrNotScanned, refusal.Say(refusal.BudgetNamespace, refusal.P{"namespace": namespace, "limit": l.options.NewDigestsPerHour, "from": from}))
}

// errQueued marks the answer of the review that has queued the scan.
var errQueued = fmt.Errorf("queued: %w", gate.ErrNotScanned)

// pending answers for a live job.
func (l *Lookup) pending(ctx context.Context, j gate.Job, at gate.Location) gate.Answer {
	s := l.state(ctx, j, at)
	if s.waits != nil && s.waits.Kind == gate.CauseQuota && j.State == gate.JobParked {
		return refuse(gate.ErrQuotaExhausted, refusal.Say(refusal.QuotaWaits, refusal.P{"why": s.waits.Text}))
	}
	return refuse(gate.ErrPending, s.text(inProgress))
}

// left answers for a job that has ended and that an admission does not start again.
func (l *Lookup) left(j gate.Job, at gate.Location) gate.Answer {
	switch j.State {
	case gate.JobCancelled:
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.UnscannedCancelled, nil))
	case gate.JobFailed:
		again := gate.Clock(j.FinishedAt.Add(gate.AdmissionRestart), l.parts.Now())
		return refuse(gate.ErrNotScanned, refusal.Say(refusal.UnscannedFailed, refusal.P{"why": l.failed(j, at), "after": again}))
	}
	return refuse(gate.ErrNotScanned, refusal.Say(refusal.UnscannedLeft, refusal.P{"state": j.State}))
}
