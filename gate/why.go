package gate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Obstacle is what keeps a job from running, or has ended it, in words for one
// place.
type Obstacle struct {
	Kind CauseKind
	// Text has no full stop, names no repository but that of the place it was made
	// for, and is not escaped or cut.
	Text string
	// Until is when the obstacle ends or the job is tried again; the zero time
	// when nobody knows.
	Until time.Time
}

// Pulls is the part of the store that counts the analyses of a registry; see
// store.Scheduler.
type Pulls interface {
	NextPull(ctx context.Context, registry string, limit int) (time.Time, error)
}

// obstacleTimeout bounds what a text may ask of the store. It is asked only for an
// image that is refused, and without an answer the text says less.
const obstacleTimeout = 500 * time.Millisecond

// sameTime is how far apart two times may be for a text to give only one of them: the
// end of a registry's pause, and the next try of the job that waits for it.
const sameTime = 10 * time.Second

// Obstacles says why jobs do not run. It asks the store for the quota and the
// hourly pulls where such limits are configured, once; it is for one answer, and
// not safe for concurrent use.
type Obstacles struct {
	p     *Pipeline
	used  *bool                // the quota of the period is
	pulls map[string]time.Time // when a registry may be pulled from again
}

// Obstacles begins an answer about jobs.
func (p *Pipeline) Obstacles() *Obstacles {
	return &Obstacles{p: p, pulls: map[string]time.Time{}}
}

// Of says why a live job does not run, for a person who asks at a location; ok is
// false when nothing keeps it.
func (s *Obstacles) Of(ctx context.Context, j Job, at Location) (o Obstacle, ok bool) {
	now := s.p.Now()
	switch {
	case j.State == JobParked:
		return s.p.quotaObstacle(now, j.UpdatedAt), true
	case j.State != JobQueued:
		return Obstacle{}, false
	}
	if c, failed := j.cause(at); failed && j.NotBefore.After(now) {
		o := c.obstacle(at, now)
		o.Until = j.NotBefore
		if c.Kind != CauseAskedToWait || !c.Until.After(now) || c.Until.Sub(j.NotBefore).Abs() > sameTime {
			o.Text += "; it is tried again at " + Clock(j.NotBefore, now)
		}
		return o, true
	} else if failed && (c.Kind == CauseContent || c.Kind == CauseWorker) {
		o := c.obstacle(at, now)
		o.Text = "the last attempt failed, and the next one is queued: " + o.Text
		return o, true
	}
	ctx, cancel := context.WithTimeout(ctx, obstacleTimeout)
	defer cancel()
	if s.needsQuota(ctx, j, now) {
		o := s.p.quotaObstacle(now, now)
		if j.Kind != JobAnalyze {
			o.Text = "an image that was never scanned needs a place in the scan quota first: " + o.Text
		}
		return o, true
	}
	next := s.nextPull(ctx, j.Location.Registry)
	if !next.After(now) {
		return Obstacle{}, false
	}
	return Obstacle{Kind: CausePulls, Until: next, Text: fmt.Sprintf("the hourly pulls of %s (pullsPerHour) are used up until %s",
		registryFor(j.Location, at), Clock(next, now))}, true
}

// Reason says for operators why a job waits or has failed: of a job they may know
// everything. "" for a job that nothing keeps.
func (s *Obstacles) Reason(ctx context.Context, j Job) (text string, until time.Time) {
	if j.State == JobFailed {
		if c, ok := j.cause(j.Location); ok {
			return c.obstacle(j.Location, s.p.Now()).Text, time.Time{}
		}
	}
	o, _ := s.Of(ctx, j, j.Location)
	return o.Text, o.Until
}

// needsQuota reports whether the job has to wait for a charge that the period does
// not have any more, which the next claim will find.
func (s *Obstacles) needsQuota(ctx context.Context, j Job, now time.Time) bool {
	if s.used == nil {
		s.used = new(bool)
		if s.p.Usage != nil && s.p.Quota != nil && s.p.Quota.Period(now).Limit > 0 {
			period := s.p.Quota.Period(now)
			use, err := s.p.Usage.Quota(ctx, period.Key)
			*s.used = err == nil && use.Used >= period.Limit
		}
	}
	if !*s.used || j.Digest == "" {
		return *s.used
	}
	charge, err := s.p.Scheduler.Charged(ctx, j.Digest)
	return err == nil && charge.Period == ""
}

// nextPull is when the registry may be pulled from again, the zero time for now.
func (s *Obstacles) nextPull(ctx context.Context, registry string) time.Time {
	if next, asked := s.pulls[registry]; asked {
		return next
	}
	var next time.Time
	if reg, ok := s.p.Registries.ByName(registry); ok && s.p.Pulls != nil && reg.Limits.PullsPerHour > 0 {
		next, _ = s.p.Pulls.NextPull(ctx, reg.Name, reg.Limits.PullsPerHour) // without an answer the text says less
	}
	s.pulls[registry] = next
	return next
}

// quotaObstacle is about a job that was found to need a charge at a time.
func (p *Pipeline) quotaObstacle(now, found time.Time) Obstacle {
	o := Obstacle{Kind: CauseQuota, Until: p.Quota.ResetsAt(now)}
	switch turned := p.Quota.ResetsAt(found); {
	case o.Until.IsZero():
		o.Text = "the scan quota (quota.limit) is used up and does not renew by itself; the operators can raise it"
	case !turned.After(now):
		o.Text = fmt.Sprintf("the scan quota (quota.limit) was used up until %s; since then the images that wait are scanned in their turn", p.Quota.clock(turned))
		o.Until = time.Time{}
	default:
		o.Text = fmt.Sprintf("the scan quota (quota.limit) is used up until %s; then the scan continues by itself, or earlier if the operators raise the quota",
			p.Quota.clock(o.Until))
	}
	return o
}

// registryFor names the registry of a place to a person who asks at another.
func registryFor(place, at Location) string {
	if place.Registry == at.Registry {
		return fmt.Sprintf("registry %q", place.Registry)
	}
	return "the registry that it is read from"
}

// obstacle is the text of a cause for a person who asks at a location.
func (c Cause) obstacle(at Location, now time.Time) Obstacle {
	o := Obstacle{Kind: c.Kind}
	reg := registryFor(c.At, at)
	if c.Kind.ofPlace() && c.At != at {
		o.Text = "it cannot be read from the place that it was pushed to first; push it again here"
		return o
	}
	switch c.Kind {
	case CauseContent:
		if o.Text = c.Text; o.Text == "" {
			o.Text = "its content cannot be read"
		}
	case CauseCredentials:
		o.Text = reg + " refuses the credentials that digestgate reads with; the operators must renew them, or allow them to pull"
	case CauseMissing:
		o.Text = fmt.Sprintf("%s does not have it in repository %q; push it again, or correct the reference", reg, at.Repository)
	case CauseRefused:
		o.Text = reg + " refuses this image: blocked by its own policy or removed; ask those who run the registry to allow it, or use another image"
	case CauseServed:
		o.Text = reg + " serves content that does not match its digest; push it again"
	case CauseNotConfigured:
		o.Text = reg + " is not configured any more"
	case CauseAskedToWait:
		if o.Text = reg + " asked to wait"; c.Until.After(now) {
			o.Text += " until " + Clock(c.Until, now)
		}
	case CauseName:
		o.Text = "the name of " + reg + " cannot be resolved; the operators must correct its host or the name service"
	case CauseCertificate:
		o.Text = "the certificate of " + reg + " is not accepted; the operators must correct it, or caFile"
	case CauseUnreachable:
		o.Text = reg + " does not answer"
	case CauseFailing:
		o.Text = reg + " answers with errors"
	case CauseQuota:
		o.Text = "the scan quota (quota.limit) is used up"
	case CausePulls:
		o.Text = "the hourly pulls of " + reg + " (pullsPerHour) are used up"
	case CauseWorker:
		o.Text = "the process that scanned it was lost"
	case CauseResource:
		o.Text = "digestgate has no disk space or memory left for it; the operators find the details in its log"
	case CauseAdvisories:
		o.Text = "no vulnerability data is loaded yet"
	case CauseStore:
		o.Text = "digestgate's store did not answer"
	default:
		o.Kind, o.Text = CauseInternal, "an error of digestgate itself; the operators find it in its log"
	}
	return o
}

// instead is what a registry does instead of answering, in the words that follow
// "the registry".
func (c Cause) instead(now time.Time) string {
	switch c.Kind {
	case CauseAskedToWait:
		if c.Until.After(now) {
			return "asked to wait until " + Clock(c.Until, now)
		}
		return "asked to wait"
	case CauseName:
		return "has a name that cannot be resolved"
	case CauseCertificate:
		return "has a certificate that is not accepted"
	case CauseFailing:
		return "answers with errors"
	case CauseCredentials:
		return "refuses the credentials that it is read with"
	}
	return "did not answer"
}

// Clock is a time as texts for people give it: in UTC, with the day unless it is
// today's, and with seconds when it is near.
func Clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	format, unit := "15:04:05 UTC", time.Second
	if t.Sub(now).Abs() >= 10*time.Minute {
		format, unit = "15:04 UTC", time.Minute
	}
	t = t.Add(unit - 1).Truncate(unit) // never before it is so
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		format = "2006-01-02 " + format
	}
	return t.Format(format)
}

// clock is a time in the zone of the quota, which the text names.
func (q *Quota) clock(t time.Time) string {
	return t.In(q.zone).Format("2006-01-02 15:04 ") + q.zone.String()
}

// hint is what the refused person of an unfinished scan does next.
const hint = "a controller retries by itself, a bare Pod must be applied again"

// state says how a live job stands and what to expect of it. How long it usually
// takes is said only of one that runs or waits for a worker and nothing else, and
// only where this process has measured it.
func (l *Lookup) state(ctx context.Context, j Job, at Location) (text string, kind CauseKind) {
	if o, ok := l.pipeline.Obstacles().Of(ctx, j, at); ok {
		return "its scan waits: " + o.Text + "; " + hint, o.Kind
	}
	text = "its scan is queued"
	if j.State == JobRunning {
		text = "its scan is running"
	}
	if usual, ok := l.pipeline.UsualAnalysis(); ok && j.Error == "" {
		text += fmt.Sprintf(", usually about %d s", max(1, int(usual.Round(time.Second)/time.Second)))
	}
	return text + "; " + hint, ""
}

// failed says why a job ended without a result.
func (l *Lookup) failed(j Job, at Location) string {
	c, ok := j.cause(at)
	if !ok {
		return "the reason was not recorded"
	}
	return c.obstacle(at, l.pipeline.Now()).Text
}

// scanFailed is the text for an image whose analysis has failed. queued is what
// asking for it again has answered.
func (l *Lookup) scanFailed(j *Job, at Location, queued Answer) string {
	if j == nil {
		return ""
	}
	text := "its scan failed: " + l.failed(*j, at) + "; "
	again := j.FinishedAt.Add(AdmissionRestart)
	now := l.pipeline.Now()
	switch {
	case errors.Is(queued.Err, errQueued), queued.Code == CodePending:
		return text + "it is queued once more; " + hint
	case again.After(now):
		return text + "after " + Clock(again, now) + " an admission starts it again, a push or POST /api/v1/scans does so at once"
	}
	return text + "a push or POST /api/v1/scans starts it again"
}
