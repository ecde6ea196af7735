package policy

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// age is how old something is, in whole hours: what rules see of the time and may rest
// on until the next hour.
type age struct {
	since time.Time // zero when it is not known
	// ahead is how far since may be in the future, and the age is 0 all the same.
	ahead time.Duration
}

// claimed is the age of a time that an image or a source claims. In the future such a
// claim says nothing.
func claimed(t time.Time) age { return age{since: t} }

// stamped is that of a time that the clock of another machine gave, which may be a
// little ahead of ours.
func stamped(t time.Time) age { return age{t, gate.ClockSkew} }

// hours is the age at now, -1 when it is not known or in the future.
func (a age) hours(now time.Time) int64 {
	if a.since.IsZero() || now.Before(a.since.Add(-a.ahead)) {
		return -1
	}
	if now.Before(a.since) {
		return 0
	}
	return wholeSeconds(now, a.since) / 3600
}

// wholeSeconds is the time since t. [time.Time.Sub] ends at 292 years.
func wholeSeconds(now, t time.Time) int64 {
	s := now.Unix() - t.Unix()
	if now.Nanosecond() < t.Nanosecond() {
		s--
	}
	return s
}

// period is a stretch of time, from its start to just before its end. A zero time is
// no bound.
type period struct{ start, end time.Time }

// turn is the period around now in which the age stays what it is.
func (a age) turn(now time.Time) period {
	known := a.since.Add(-a.ahead)
	switch n := a.hours(now); {
	case a.since.IsZero():
		return period{}
	case n < 0:
		return period{end: known}
	case n == 0:
		return period{known, after(a.since, 1)}
	default:
		return period{after(a.since, n), after(a.since, n+1)}
	}
}

// after is a number of hours after t.
func after(t time.Time, hours int64) time.Time {
	return time.Unix(t.Unix()+hours*3600, int64(t.Nanosecond()))
}

// holds reports whether now is in the period, or less than late after its end.
func (p period) holds(now time.Time, late time.Duration) bool {
	return (p.start.IsZero() || !now.Before(p.start)) && (p.end.IsZero() || now.Before(p.end.Add(late)))
}

// meet is what two periods share.
func (p period) meet(o period) period {
	if o.start.After(p.start) {
		p.start = o.start
	}
	if p.end.IsZero() || !o.end.IsZero() && o.end.Before(p.end) {
		p.end = o.end
	}
	return p
}
