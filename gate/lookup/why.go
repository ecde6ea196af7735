package lookup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
)

// hint is what the refused person of an unfinished scan does next.
const hint = "a controller retries by itself, a bare Pod must be applied again"

// state says how a live job stands and what to expect of it. How long it usually
// takes is said only of one that runs or waits for a worker and nothing else, and
// only where this process has measured it.
func (l *Lookup) state(ctx context.Context, j gate.Job, at gate.Location) (text string, kind gate.CauseKind) {
	if o, ok := l.parts.Explain.Obstacles().Of(ctx, j, at); ok {
		return "its scan waits: " + o.Text + "; " + hint, o.Kind
	}
	text = "its scan is queued"
	if j.State == gate.JobRunning {
		text = "its scan is running"
	}
	if usual, ok := l.parts.Resolver.UsualAnalysis(); ok && j.Error == "" {
		text += fmt.Sprintf(", usually about %d s", max(1, int(usual.Round(time.Second)/time.Second)))
	}
	return text + "; " + hint, ""
}

// failed says why a job ended without a result.
func (l *Lookup) failed(j gate.Job, at gate.Location) string {
	c, ok := j.CauseAt(at)
	if !ok {
		return "the reason was not recorded"
	}
	return explain.Cause(c, at, l.parts.Now()).Text
}

// scanFailed is the text for an image whose analysis has failed. queued is what
// asking for it again has answered.
func (l *Lookup) scanFailed(j *gate.Job, at gate.Location, queued gate.Answer) string {
	if j == nil {
		return ""
	}
	text := "its scan failed: " + l.failed(*j, at) + "; "
	again := j.FinishedAt.Add(gate.AdmissionRestart)
	now := l.parts.Now()
	switch {
	case errors.Is(queued.Err, errQueued), queued.Code == gate.CodePending:
		return text + "it is queued once more; " + hint
	case again.After(now):
		return text + "after " + gate.Clock(again, now) + " an admission starts it again, a push or POST /api/v1/scans does so at once"
	}
	return text + "a push or POST /api/v1/scans starts it again"
}
