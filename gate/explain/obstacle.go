// Package explain says why a job waits or has failed, to a person who asks at one place:
// what was met at another is not shown there. The words are those of gate/refusal.
package explain

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// Obstacle is what keeps a job from running, or has ended it, as it is said at one
// place.
type Obstacle struct {
	Kind gate.CauseKind
	// Text names no repository but that of the place it was made for.
	Text gate.Text
	// Until is when the obstacle ends or the job is tried again; the zero time
	// when nobody knows.
	Until time.Time
}

// Pulls is the part of the store that counts the analyses of a registry; see
// store.Scheduler.
type Pulls interface {
	// NextPull is when a registry's hourly pulls, limit of them, have room again; the
	// zero time when they have now. After an error the text does not mention pulls.
	NextPull(ctx context.Context, registry string, limit int) (time.Time, error)
}

// obstacleTimeout bounds what a text may ask of the store. It is asked only for an
// image that is refused, and without an answer the text says less.
const obstacleTimeout = 500 * time.Millisecond

// sameTime is how far apart two times may be for a text to give only one of them: the
// end of a registry's pause, and the next try of the job that waits for it.
const sameTime = 10 * time.Second

// Charges is the part of the store that counts charges; see store.Charges.
type Charges interface {
	// Quota is what a period has used. After an error the text does not mention quota.
	Quota(ctx context.Context, period string) (gate.QuotaUse, error)
	// Charged is the charge of a digest, the zero Charge when there is none. After an
	// error the text does not mention quota.
	Charged(ctx context.Context, d gate.Digest) (gate.Charge, error)
}

// Explainer says why jobs do not run. Charges, Pulls and Rests may be nil, which says
// less.
// It is safe for concurrent use.
type Explainer struct {
	Charges Charges
	Pulls   Pulls
	// Rests is whether a registry rests, as far as this process has met it.
	Rests      func(registry string) gate.Rest
	Registries *gate.Registries
	Quota      *gate.Quota
	Now        func() time.Time
}

// Obstacles says why jobs do not run. It asks the store for the quota and the
// hourly pulls where such limits are configured, once; it is for one answer, and
// not safe for concurrent use.
type Obstacles struct {
	e     *Explainer
	used  *bool                // the quota of the period is
	pulls map[string]time.Time // when a registry may be pulled from again
}

// Obstacles begins an answer about jobs.
func (e *Explainer) Obstacles() *Obstacles {
	return &Obstacles{e: e, pulls: map[string]time.Time{}}
}

// Of says why a live job does not run, for a person who asks at a location; ok is
// false when nothing keeps it.
func (s *Obstacles) Of(ctx context.Context, j gate.Job, at gate.Location) (o Obstacle, ok bool) {
	now := s.e.Now()
	switch {
	case j.State == gate.JobParked:
		return s.e.quotaObstacle(now, j.UpdatedAt), true
	case j.State != gate.JobQueued:
		return Obstacle{}, false
	}
	if c, failed := j.CauseAt(at); failed && j.NotBefore.After(now) {
		o := Cause(c, at, now)
		o.Until = j.NotBefore
		if c.Kind != gate.CauseAskedToWait || !c.Until.After(now) || c.Until.Sub(j.NotBefore).Abs() > sameTime {
			o.Text = refusal.Say(refusal.TriedAgain, refusal.P{"why": o.Text, "at": gate.Clock(j.NotBefore, now)})
		}
		return o, true
	} else if failed && (c.Kind == gate.CauseContent || c.Kind == gate.CauseWorker) {
		o := Cause(c, at, now)
		o.Text = refusal.Say(refusal.AttemptFailed, refusal.P{"why": o.Text})
		return o, true
	}
	if o, rests := s.e.rests(j, at, now); rests {
		return o, true
	}
	ctx, cancel := context.WithTimeout(ctx, obstacleTimeout)
	defer cancel()
	if s.needsQuota(ctx, j, now) {
		o := s.e.quotaObstacle(now, now)
		if j.Kind != gate.JobAnalyze {
			o.Text = refusal.Say(refusal.QuotaFirst, refusal.P{"why": o.Text})
		}
		return o, true
	}
	next := s.nextPull(ctx, j.Location.Registry)
	if !next.After(now) {
		return Obstacle{}, false
	}
	return Obstacle{Kind: gate.CausePulls, Until: next, Text: refusal.Say(refusal.CausePullsUntil,
		refusal.P{"registry": registryFor(j.Location, at), "until": gate.Clock(next, now)})}, true
}

// rests is about a job that a claim passes over because its registry rests.
func (e *Explainer) rests(j gate.Job, at gate.Location, now time.Time) (o Obstacle, ok bool) {
	if e.Rests == nil {
		return Obstacle{}, false
	}
	r := e.Rests(j.Location.Registry)
	if !(gate.Limits{Rest: r.Left}).Rests(j.Kind, j.Tried) {
		return Obstacle{}, false
	}
	o = Cause(gate.Cause{Kind: r.Kind, At: j.Location, Until: r.Until}, at, now)
	o.Until = now.Add(r.Left)
	return o, true
}

// Reason says for operators why a job waits or has failed: of a job they may know
// everything. The text is zero for a job that nothing keeps.
func (s *Obstacles) Reason(ctx context.Context, j gate.Job) (text gate.Text, until time.Time) {
	if j.State == gate.JobFailed {
		if c, ok := j.CauseAt(j.Location); ok {
			return Cause(c, j.Location, s.e.Now()).Text, time.Time{}
		}
	}
	o, _ := s.Of(ctx, j, j.Location)
	return o.Text, o.Until
}

// needsQuota reports whether the job has to wait for a charge that the period does
// not have any more, which the next claim will find.
func (s *Obstacles) needsQuota(ctx context.Context, j gate.Job, now time.Time) bool {
	if s.used == nil {
		s.used = new(bool)
		if s.e.Charges != nil && s.e.Quota != nil && s.e.Quota.Period(now).Limit > 0 {
			period := s.e.Quota.Period(now)
			use, err := s.e.Charges.Quota(ctx, period.Key)
			*s.used = err == nil && use.Used >= period.Limit
		}
	}
	if !*s.used || j.Digest == "" {
		return *s.used
	}
	charge, err := s.e.Charges.Charged(ctx, j.Digest)
	return err == nil && charge.Period == ""
}

// nextPull is when the registry may be pulled from again, the zero time for now.
func (s *Obstacles) nextPull(ctx context.Context, registry string) time.Time {
	if next, asked := s.pulls[registry]; asked {
		return next
	}
	var next time.Time
	if reg, ok := s.e.Registries.ByName(registry); ok && s.e.Pulls != nil && reg.Limits.PullsPerHour > 0 {
		next, _ = s.e.Pulls.NextPull(ctx, reg.Name, reg.Limits.PullsPerHour) // without an answer the text says less
	}
	s.pulls[registry] = next
	return next
}

// quotaObstacle is about a job that was found to need a charge at a time.
func (e *Explainer) quotaObstacle(now, found time.Time) Obstacle {
	o := Obstacle{Kind: gate.CauseQuota, Until: e.Quota.ResetsAt(now)}
	switch turned := e.Quota.ResetsAt(found); {
	case o.Until.IsZero():
		o.Text = refusal.Say(refusal.QuotaForGood, nil)
	case !turned.After(now):
		o.Text = refusal.Say(refusal.QuotaRenewed, refusal.P{"until": e.Quota.Clock(turned)})
		o.Until = time.Time{}
	default:
		o.Text = refusal.Say(refusal.QuotaUntil, refusal.P{"until": e.Quota.Clock(o.Until)})
	}
	return o
}

// registryFor names the registry of a place to a person who asks at another.
func registryFor(place, at gate.Location) gate.Text {
	if place.Registry == at.Registry {
		return refusal.Say(refusal.Registry, refusal.P{"name": place.Registry})
	}
	return refusal.Say(refusal.RegistryElsewhere, nil)
}

// ofRegistry are the texts of the causes that name a registry and nothing else. It is
// not modified.
var ofRegistry = map[gate.CauseKind]refusal.Key{
	gate.CauseCredentials: refusal.CauseCredentials, gate.CauseRefused: refusal.CauseRefused, gate.CauseServed: refusal.CauseServed,
	gate.CauseNotConfigured: refusal.CauseNotConfigured, gate.CauseAskedToWait: refusal.CauseAsked, gate.CauseName: refusal.CauseName,
	gate.CauseCertificate: refusal.CauseCertificate, gate.CauseUnreachable: refusal.CauseUnreachable, gate.CauseFailing: refusal.CauseFailing,
	gate.CausePulls: refusal.CausePulls,
}

// ofDigestgate are those of the causes that name nothing. It is not modified.
var ofDigestgate = map[gate.CauseKind]refusal.Key{
	gate.CauseQuota: refusal.CauseQuota, gate.CauseWorker: refusal.CauseWorker, gate.CauseResource: refusal.CauseResource,
	gate.CauseAdvisories: refusal.CauseAdvisories, gate.CauseStore: refusal.CauseStore,
}

// Cause is the text of a cause for a person who asks at a location.
func Cause(c gate.Cause, at gate.Location, now time.Time) Obstacle {
	o := Obstacle{Kind: c.Kind}
	reg := registryFor(c.At, at)
	switch {
	case c.Kind.OfPlace() && c.At != at:
		o.Text = refusal.Say(refusal.CauseElsewhere, nil)
	case c.Kind == gate.CauseContent && c.Text != "":
		o.Text = refusal.Say(refusal.Detail, refusal.P{"text": c.Text})
	case c.Kind == gate.CauseContent:
		o.Text = refusal.Say(refusal.CauseUnreadable, nil)
	case c.Kind == gate.CauseMissing:
		o.Text = refusal.Say(refusal.CauseMissing, refusal.P{"registry": reg, "repository": at.Repository})
	case c.Kind == gate.CauseAskedToWait && c.Until.After(now):
		o.Text = refusal.Say(refusal.CauseAskedUntil, refusal.P{"registry": reg, "until": gate.Clock(c.Until, now)})
	case ofRegistry[c.Kind] != "":
		o.Text = refusal.Say(ofRegistry[c.Kind], refusal.P{"registry": reg})
	case ofDigestgate[c.Kind] != "":
		o.Text = refusal.Say(ofDigestgate[c.Kind], nil)
	default:
		o.Kind, o.Text = gate.CauseInternal, refusal.Say(refusal.CauseInternal, nil)
	}
	return o
}

// Instead is what a registry does instead of answering, in the words that follow
// "the registry".
func Instead(c gate.Cause, now time.Time) string {
	switch c.Kind {
	case gate.CauseAskedToWait:
		if c.Until.After(now) {
			return "asked to wait until " + gate.Clock(c.Until, now)
		}
		return "asked to wait"
	case gate.CauseName:
		return "has a name that cannot be resolved"
	case gate.CauseCertificate:
		return "has a certificate that is not accepted"
	case gate.CauseFailing:
		return "answers with errors"
	case gate.CauseCredentials:
		return "refuses the credentials that it is read with"
	}
	return "did not answer"
}
