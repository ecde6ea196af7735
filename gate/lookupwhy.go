package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hint is what the refused person of an unfinished scan does next.
const hint = "a controller retries by itself, a bare Pod must be applied again"

// state says how a live job stands and what to expect of it. How long it usually
// takes is said only of one that runs or waits for a worker and nothing else, and
// only where this process has measured it.
func (l *Lookup) state(ctx context.Context, j Job, at Location) (text string, kind CauseKind) {
	if o, ok := l.parts.Explain.Obstacles().Of(ctx, j, at); ok {
		return "its scan waits: " + o.Text + "; " + hint, o.Kind
	}
	text = "its scan is queued"
	if j.State == JobRunning {
		text = "its scan is running"
	}
	if usual, ok := l.parts.Resolver.UsualAnalysis(); ok && j.Error == "" {
		text += fmt.Sprintf(", usually about %d s", max(1, int(usual.Round(time.Second)/time.Second)))
	}
	return text + "; " + hint, ""
}

// failed says why a job ended without a result.
func (l *Lookup) failed(j Job, at Location) string {
	c, ok := j.CauseAt(at)
	if !ok {
		return "the reason was not recorded"
	}
	return CauseObstacle(c, at, l.parts.Now()).Text
}

// scanFailed is the text for an image whose analysis has failed. queued is what
// asking for it again has answered.
func (l *Lookup) scanFailed(j *Job, at Location, queued Answer) string {
	if j == nil {
		return ""
	}
	text := "its scan failed: " + l.failed(*j, at) + "; "
	again := j.FinishedAt.Add(AdmissionRestart)
	now := l.parts.Now()
	switch {
	case errors.Is(queued.Err, errQueued), queued.Code == CodePending:
		return text + "it is queued once more; " + hint
	case again.After(now):
		return text + "after " + Clock(again, now) + " an admission starts it again, a push or POST /api/v1/scans does so at once"
	}
	return text + "a push or POST /api/v1/scans starts it again"
}
