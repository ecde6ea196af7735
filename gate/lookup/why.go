package lookup

import (
	"context"
	"errors"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/refusal"
)

// state is how a live job stands and what to expect of it.
type state struct {
	waits   *explain.Obstacle // for what, nil when it waits for a worker only or runs
	running bool
	// usual is how long it usually takes in seconds, 0 when it is not known. It is said
	// only of a job that nothing is in the way of, and only where this process has
	// measured it.
	usual int
}

func (l *Lookup) state(ctx context.Context, j gate.Job, at gate.Location) state {
	if o, ok := l.parts.Explain.Obstacles().Of(ctx, j, at); ok {
		return state{waits: &o}
	}
	s := state{running: j.State == gate.JobRunning}
	if usual, ok := l.parts.Resolver.UsualAnalysis(); ok && j.Error == "" {
		s.usual = max(1, int(usual.Round(time.Second)/time.Second))
	}
	return s
}

// stateKeys are the keys for a state of somebody's job.
type stateKeys struct{ waits, queued, queuedUsual, running, runningUsual refusal.Key }

// The keys for a job that was there before, and for one that this review has queued,
// which may run by the time it is looked at. They are not modified.
var (
	inProgress = stateKeys{
		refusal.PendingWaits, refusal.PendingQueued, refusal.PendingQueuedUsual, refusal.PendingRunning, refusal.PendingRunningUsual,
	}
	newlyQueued = stateKeys{
		refusal.UnscannedWaits, refusal.UnscannedQueued, refusal.UnscannedQueuedUsual, refusal.UnscannedQueued, refusal.UnscannedQueuedUsual,
	}
)

func (s state) text(k stateKeys) gate.Text {
	switch usual := (refusal.P{"seconds": s.usual}); {
	case s.waits != nil:
		return refusal.Say(k.waits, refusal.P{"why": s.waits.Text})
	case s.running && s.usual > 0:
		return refusal.Say(k.runningUsual, usual)
	case s.running:
		return refusal.Say(k.running, nil)
	case s.usual > 0:
		return refusal.Say(k.queuedUsual, usual)
	}
	return refusal.Say(k.queued, nil)
}

// failed says why a job ended without a result.
func (l *Lookup) failed(j gate.Job, at gate.Location) gate.Text {
	c, ok := j.CauseAt(at)
	if !ok {
		return refusal.Say(refusal.ScanUnrecorded, nil)
	}
	return explain.Cause(c, at, l.parts.Now()).Text
}

// scanFailed is the text for an image whose analysis has failed. queued is what
// asking for it again has answered.
func (l *Lookup) scanFailed(j *gate.Job, at gate.Location, queued gate.Answer) gate.Text {
	if j == nil {
		return gate.Text{}
	}
	why := l.failed(*j, at)
	again := j.FinishedAt.Add(gate.AdmissionRestart)
	now := l.parts.Now()
	switch {
	case errors.Is(queued.Err, errQueued), queued.Code == gate.CodePending:
		return refusal.Say(refusal.ScanFailedQueued, refusal.P{"why": why})
	case again.After(now):
		return refusal.Say(refusal.ScanFailedAfter, refusal.P{"why": why, "after": gate.Clock(again, now)})
	}
	return refusal.Say(refusal.ScanFailedAgain, refusal.P{"why": why})
}
