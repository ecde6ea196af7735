package policy

import (
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
)

// youngest is the age from which something is said of advisory data; 0 is never.
func (o *Options) youngest() time.Duration {
	if o.MaxAge <= 0 || o.RefuseAge > 0 && o.RefuseAge < o.MaxAge {
		return o.RefuseAge
	}
	return o.MaxAge
}

// refuses is the age from which advisory data refuses, and the key of that limit; 0 is
// never.
func (o *Options) refuses() (limit time.Duration, key string) {
	if o.DenyStale && o.MaxAge > 0 && (o.RefuseAge <= 0 || o.MaxAge <= o.RefuseAge) {
		return o.MaxAge, maxAgeKey
	}
	return o.RefuseAge, refuseAgeKey
}

const (
	maxAgeKey    = "advisories.maxAge"
	refuseAgeKey = "advisories.refuseAge"
)

// older reports whether data of a time is older than a limit. A time that is not known, or
// is ahead of the clock, is no age at all, least of all a young one.
func older(now, at time.Time, limit time.Duration) bool {
	age := now.Sub(at)
	return at.IsZero() || age < -gate.ClockSkew || age > limit
}

// stale says what old advisory data means for a question: at is the time that counts, own
// what the findings are of. What it says is shared and not modified.
func (e *Engine) stale(q *gate.Question, own origin, at time.Time) []gate.Reason {
	s := aged{at: at, age: spokenOf(q.Now.Sub(at)), ahead: q.Now.Sub(at) < -gate.ClockSkew}
	if at.IsZero() || s.ahead {
		s.age = spoken{}
	}
	if q.Advisories.Ages != nil {
		_, s.bucket = q.Advisories.AgeFor(usesOf(q, own))
	}
	s.most, s.key = e.options.MaxAge, maxAgeKey
	if limit, key := e.options.refuses(); limit > 0 && older(q.Now, at, limit) {
		s.most, s.key, s.deny = limit, key, true
		if s.accepted = e.accepted(q, own, s.bucket, limit); !s.accepted.IsZero() {
			s.deny = false
		}
	}
	// Every review of the same hour says the same.
	if last := e.aged.Load(); last != nil && last.aged == s {
		return last.said
	}
	kept := &agedSaid{s, []gate.Reason{e.staleReason(s)}}
	e.aged.Store(kept)
	return kept.said
}

// accepted is until when the operators have accepted that data older than limit decides
// about the image of a question: as a whole, or each bucket that is so old. Zero: they have
// not.
func (e *Engine) accepted(q *gate.Question, own origin, bucket string, limit time.Duration) time.Time {
	if e.options.Accepted == nil {
		return time.Time{}
	}
	if until := e.options.Accepted(string(inForce(q, own).Content)); until.After(q.Now) {
		return until
	}
	if bucket == "" {
		return time.Time{}
	}
	var first time.Time
	but := q.Advisories.AgeBut(usesOf(q, own), func(name string) bool {
		until := e.options.Accepted(name)
		if !until.After(q.Now) {
			return false
		}
		if first.IsZero() || until.Before(first) {
			first = until
		}
		return true
	})
	if !gate.AgeKnown(but) || older(q.Now, but, limit) {
		return time.Time{}
	}
	return first
}

// aged is what there is to say of old data.
type aged struct {
	at       time.Time
	ahead    bool
	age      spoken
	bucket   string        // whose age it is, "" for that of the data
	most     time.Duration // the limit
	key      string        // and what it is called in the configuration
	deny     bool
	accepted time.Time // until when the operators have accepted it
}

// agedSaid is what was said last of old data, and of which.
type agedSaid struct {
	aged
	said []gate.Reason
}

func (e *Engine) staleReason(s aged) gate.Reason {
	action := gate.OutcomeWarn
	if s.deny {
		action = gate.OutcomeDeny
	}
	text := s.text()
	if !s.accepted.IsZero() {
		text = refusal.Say(refusal.StaleAccepted, refusal.P{"what": text, "until": rfc3339(s.accepted)})
	}
	return condition(action, gate.CodeStale, text)
}

func (s aged) text() gate.Text {
	at := rfc3339(s.at)
	switch {
	case s.at.IsZero():
		return refusal.Say(refusal.StaleUndated, nil)
	case s.ahead:
		return refusal.Say(refusal.StaleFuture, refusal.P{"at": at})
	case s.bucket != "":
		return refusal.Say(refusal.StaleBucket, refusal.P{"bucket": s.bucket, "at": at, "age": s.age, "most": spokenOf(s.most), "key": s.key})
	case s.key == refuseAgeKey:
		return refusal.Say(refusal.StaleRefused, refusal.P{"at": at, "age": s.age, "most": spokenOf(s.most)})
	}
	return refusal.Say(refusal.StaleOld, refusal.P{"at": at, "age": s.age, "most": spokenOf(s.most)})
}
