// Package quota says how the scan quota stands and what it will come to.
package quota

import (
	"context"
	"math"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Usage is the part of the store that counts charges; see store.Charges.
type Usage interface {
	// Quota is what a period has used and avoided. After an error there is no state.
	Quota(ctx context.Context, period string) (gate.QuotaUse, error)
}

// Waiting counts the jobs that wait for quota; gate/catalog implements it.
type Waiting interface {
	// Waiting counts them. After an error there is no state.
	Waiting(ctx context.Context) (int64, error)
}

// State is how the quota stands at a moment.
type State struct {
	gate.Period
	gate.QuotaUse
	Waiting  int64     // digests whose analysis waits for quota
	ResetsAt time.Time // the zero time for a period that never ends
	Forecast Forecast
}

// Read reads how the quota stands. Errors: those of the store and the catalog.
func Read(ctx context.Context, q *gate.Quota, now time.Time, usage Usage, waiting Waiting) (State, error) {
	s := State{Period: q.Period(now), ResetsAt: q.ResetsAt(now)}
	var err error
	if s.QuotaUse, err = usage.Quota(ctx, s.Key); err != nil {
		return State{}, err
	}
	if s.Waiting, err = waiting.Waiting(ctx); err != nil {
		return State{}, err
	}
	var previous gate.QuotaUse
	if start, _ := q.Bounds(now); !start.IsZero() {
		if previous, err = usage.Quota(ctx, q.Period(start.Add(-1)).Key); err != nil {
			return State{}, err
		}
	}
	s.Forecast = Ahead(q, now, s.Used, s.Waiting, previous.Used)
	return s, nil
}

// Forecast is what a period comes to if digests keep arriving at the present pace.
type Forecast struct {
	// Known is false for a period that never ends.
	Known bool
	// Needed is how many digests will have needed a charge at the end of the
	// period, whether the limit lets them have it or not.
	Needed int64
	// ExhaustedAt is when the limit is reached: now when it is already, the zero
	// time when it is not in this period, or when there is none.
	ExhaustedAt time.Time
}

// youngPart is the part of a period, one in so many, in which its own pace says
// little: three days of a month, seventeen hours of a week. A tenth is long
// enough to hold a working day of a month and of a week.
const youngPart = 10

// Ahead looks ahead to the end of the period of now. The pace is what the period has
// needed so far (used and waiting) by the time that has passed. In its first tenth a
// single busy minute would say too much, and a quiet one too little: there the pace is
// that of a whole tenth which ends now, of which the part before this period went at
// the pace of the previous one. The pace stays the same to the end; nights and weekends
// are not known.
//
// Without a previous period the forecast of a young one is too low rather than
// absurdly high.
func Ahead(q *gate.Quota, now time.Time, used, waiting, previousUsed int64) Forecast {
	start, end := q.Bounds(now)
	if start.IsZero() {
		return Forecast{}
	}
	needed := float64(used + waiting)
	passed, window := now.Sub(start), end.Sub(start)/youngPart
	pace := 0.0 // digests per nanosecond
	if passed < window {
		before, _ := q.Bounds(start.Add(-1))
		former := float64(previousUsed) / float64(start.Sub(before))
		pace = (needed + former*float64(window-passed)) / float64(window)
	} else {
		pace = needed / float64(passed)
	}
	f := Forecast{Known: true, Needed: int64(math.Round(needed + pace*float64(end.Sub(now))))}
	limit := q.Period(now).Limit
	switch {
	case limit == 0:
	case used >= limit:
		f.ExhaustedAt = now
	case f.Needed > limit:
		room := max(float64(limit)-needed, 0)
		f.ExhaustedAt = now.Add(time.Duration(room / pace))
	}
	return f
}
