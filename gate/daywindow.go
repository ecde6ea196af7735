package gate

import (
	"fmt"
	"time"
)

// DayWindow is a time of each day in which something may be done, in the clock of a time
// zone: from 00:00 to 07:00, or over midnight from 22:00 to 06:00. The zero value is the
// whole of each day. It is immutable.
type DayWindow struct {
	from, to int // minutes from midnight; to is later than from, also on the next day
	zone     *time.Location
}

// ParseDayWindow reads "HH:MM-HH:MM"; "" is the whole of each day, and 24:00 is the end of
// a day. ErrInvalid otherwise.
func ParseDayWindow(text string, zone *time.Location) (DayWindow, error) {
	if text == "" {
		return DayWindow{}, nil
	}
	refuse := func(why string) (DayWindow, error) {
		return DayWindow{}, fmt.Errorf("%s %s; write the beginning and the end as HH:MM-HH:MM, such as 00:00-07:00, or 22:00-06:00 over midnight: %w", Quoted(text, 40), why, ErrInvalid)
	}
	if len(text) != len("00:00-00:00") || text[5] != '-' {
		return refuse("is not a window")
	}
	from, ok := clockMinutes(text[:5])
	to, ends := clockMinutes(text[6:])
	switch {
	case !ok || !ends || from == minutesOfDay:
		return refuse("has a time of day that does not exist")
	case from == to || from == 0 && to == minutesOfDay:
		return refuse("begins when it ends; leave it out for the whole day")
	}
	if to < from {
		to += minutesOfDay
	}
	return DayWindow{from: from, to: to, zone: zone}, nil
}

const minutesOfDay = 24 * 60

// ParseClock reads a time of day, "HH:MM" from 00:00 to 23:59, as minutes from midnight;
// ErrInvalid otherwise.
func ParseClock(text string) (minutes int, err error) {
	m, ok := clockMinutes(text)
	if !ok || m == minutesOfDay {
		return 0, fmt.Errorf("%s is not a time of day; write HH:MM, from 00:00 to 23:59: %w", Quoted(text, 40), ErrInvalid)
	}
	return m, nil
}

// clockMinutes takes 24:00 too.
func clockMinutes(text string) (minutes int, ok bool) {
	if len(text) != 5 || text[2] != ':' {
		return 0, false
	}
	for _, i := range []int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	h, m := int(text[0]-'0')*10+int(text[1]-'0'), int(text[3]-'0')*10+int(text[4]-'0')
	return h*60 + m, h < 24 && m < 60 || h == 24 && m == 0
}

// Always reports whether the window is the whole of each day.
func (w DayWindow) Always() bool { return w.zone == nil }

// bounds are the beginning and the end of the window that begins on a day, given as the
// day of month of a month, which may be outside of it as for [time.Date].
func (w DayWindow) bounds(y int, m time.Month, d int) (from, to time.Time) {
	return AtClock(y, m, d, w.from, w.zone), AtClock(y, m, d, w.to, w.zone)
}

// Open reports whether the window is open at a time, and until when; the zero time when
// it does not end.
func (w DayWindow) Open(now time.Time) (open bool, until time.Time) {
	if w.Always() {
		return true, time.Time{}
	}
	y, m, d := now.In(w.zone).Date()
	for day := d - 1; day <= d; day++ {
		if from, to := w.bounds(y, m, day); !now.Before(from) && now.Before(to) {
			return true, to.UTC()
		}
	}
	return false, time.Time{}
}

// Opens is when the window is open next: now when it is.
func (w DayWindow) Opens(now time.Time) time.Time {
	if open, _ := w.Open(now); open {
		return now.UTC()
	}
	y, m, d := now.In(w.zone).Date()
	for day := d; day <= d+3; day++ { // a window in an hour that is left out does not exist that day
		if from, to := w.bounds(y, m, day); from.After(now) && to.After(from) {
			return from.UTC()
		}
	}
	return now.UTC()
}

// After is when as much time as d has passed inside of windows from now on. Where that is
// more than a year of them, it is only near.
func (w DayWindow) After(now time.Time, d time.Duration) time.Time {
	if w.Always() {
		return now.UTC().Add(d)
	}
	at := now
	for range 400 {
		at = w.Opens(at)
		_, until := w.Open(at)
		if until.IsZero() || until.Sub(at) >= d {
			break
		}
		d -= until.Sub(at)
		at = until
	}
	return at.UTC().Add(d)
}

// AtClock is the instant at which the clocks of a zone show a time of day, in minutes from
// midnight, on a day given as for [time.Date]. Where clocks are put forward, a time that
// they leave out comes as much later; where they are put back, the first of two counts.
func AtClock(y int, m time.Month, d, minutes int, zone *time.Location) time.Time {
	wall := time.Date(y, m, d, 0, minutes, 0, 0, time.UTC) // what the clocks are to show
	_, before := wall.Add(-36 * time.Hour).In(zone).Zone()
	_, after := wall.Add(36 * time.Hour).In(zone).Zone()
	early, late := wall.Add(-seconds(max(before, after))), wall.Add(-seconds(min(before, after)))
	for _, at := range []time.Time{early, late} {
		if _, offset := at.In(zone).Zone(); at.Add(seconds(offset)).Equal(wall) {
			return at.UTC()
		}
	}
	return wall.Add(-seconds(before)).UTC()
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
