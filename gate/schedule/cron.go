package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/digestgate/digestgate/gate"
)

// ticks is the sequence of times that a cron expression stands for.
//
// Where clocks are put forward, a tick of the hour that does not exist comes an
// hour later. Where they are put back, a tick with a fixed hour comes once, in
// the first pass of the repeated hour; one with every hour (*) comes in both.
type ticks struct {
	schedule cron.Schedule
	zone     *time.Location
	// everyHour says that the expression is about intervals rather than about
	// a time of day.
	everyHour bool
}

const allHours = 1<<24 - 1

// parseCron reads five fields or a descriptor.
func parseCron(text string, zone *time.Location) (ticks, error) {
	const want = "want five fields (minute, hour, day of the month, month, day of the week) such as \"0 1 * * *\", or one of @hourly, @daily, @weekly, @monthly, @yearly, @every 6h; for a number of days use every, such as 3d"
	if strings.Contains(text, "TZ=") {
		return ticks{}, errors.New("the time zone goes in timeZone, not in the expression")
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	parsed, err := parser.Parse(text)
	if err != nil {
		hint := ""
		if len(strings.Fields(text)) == 6 && !strings.HasPrefix(text, "@") {
			hint = "; six fields begin with seconds, as in Harbor: leave out the first"
		}
		return ticks{}, fmt.Errorf("%s: %s; %s%s", gate.Quoted(text, 100), gate.Printable(err.Error(), 150), want, hint)
	}
	t := ticks{schedule: parsed, zone: zone}
	switch s := parsed.(type) {
	case *cron.SpecSchedule:
		s.Location = zone
		t.everyHour = s.Hour&allHours == allHours
	case cron.ConstantDelaySchedule:
		t.everyHour = true
		if s.Delay < time.Minute {
			return ticks{}, fmt.Errorf("%s: the shortest interval is one minute", gate.Quoted(text, 100))
		}
	}
	if t.next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return ticks{}, fmt.Errorf("%s: there is no such day", gate.Quoted(text, 100))
	}
	return t, nil
}

// next is the first tick after from, in UTC; zero when there is none within
// five years.
func (t ticks) next(from time.Time) time.Time {
	for {
		from = t.schedule.Next(from.In(t.zone))
		if from.IsZero() {
			return time.Time{}
		}
		if t.everyHour || !repeated(from.In(t.zone)) {
			return from.UTC()
		}
	}
}

// repeated reports whether the clock has shown the time of day of at before,
// because it was put back within the last three hours.
func repeated(at time.Time) bool {
	_, offset := at.Zone()
	_, before := at.Add(-3 * time.Hour).Zone()
	back := time.Duration(before-offset) * time.Second
	if back <= 0 {
		return false
	}
	first := at.Add(-back)
	const clock = "2006-01-02 15:04"
	return first.Format(clock) == at.Format(clock)
}

// upcoming is the first tick after now for a schedule that ran at last. The two
// matter to @every alone, which counts from the last tick.
func (t ticks) upcoming(last, now time.Time) time.Time {
	if next := t.next(last); next.After(now) {
		return next
	}
	return t.next(now)
}

// due is the last tick after last that is not after now, zero when none is:
// the ticks before it were missed and are not made up for. It looks at spans of
// growing length before now, so that a long absence costs no more steps than a
// short one.
func (t ticks) due(last, now time.Time) time.Time {
	const day = 24 * time.Hour
	for _, span := range []time.Duration{time.Hour, day, 32 * day, 366 * day, 0} {
		from := now.Add(-span)
		if span == 0 || from.Before(last) {
			from = last
		}
		at := t.next(from)
		if at.IsZero() || at.After(now) {
			if from.Equal(last) {
				return time.Time{}
			}
			continue
		}
		for {
			after := t.next(at)
			if after.IsZero() || after.After(now) {
				return at
			}
			at = after
		}
	}
	return time.Time{}
}
