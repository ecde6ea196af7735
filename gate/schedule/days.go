package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// ticks is the sequence of times of a schedule. anchor is the day that Every counts from
// when From does not say it, "" for any. An error comes with the key that it is about.
func (c Config) ticks(zone *time.Location, anchor string) (t ticks, key string, err error) {
	switch {
	case c.Cron != "" && c.Every != "":
		return t, "every", fmt.Errorf("%s and cron %s are both given; leave out one of them", gate.Quoted(c.Every, 20), gate.Quoted(c.Cron, 60))
	case c.Every == "" && c.At != "":
		return t, "at", fmt.Errorf("%s needs every; with cron, the first two fields are the time of day", gate.Quoted(c.At, 20))
	case c.Every == "" && c.From != "":
		return t, "from", fmt.Errorf("%s needs every, which counts from that day; leave it out, or give every", gate.Quoted(c.From, 20))
	case c.Every == "" && c.Cron == "":
		return t, "cron", errors.New("empty, as is every; give one of them, such as cron \"0 1 * * *\" or every 3d")
	case c.Every == "":
		t, err = parseCron(c.Cron, zone)
		return t, "cron", err
	}
	e := everyDays{zone: zone}
	number, ok := strings.CutSuffix(c.Every, "d")
	e.days, err = strconv.Atoi(number)
	if !ok || err != nil || e.days < 1 || e.days > 366 || number[0] == '+' || number[0] == '0' {
		return t, "every", fmt.Errorf("%s is not a number of days from 1d to 366d%s; for times within a day use cron, such as \"@every 6h\"", gate.Quoted(c.Every, 20), daysHint(c.Every))
	}
	if c.At != "" {
		if e.minutes, err = gate.ParseClock(c.At); err != nil {
			return t, "at", err
		}
	}
	if c.From != "" {
		anchor = c.From
	}
	if anchor == "" {
		anchor = e.firstDay(time.Now())
	}
	if e.anchor, err = time.Parse(time.DateOnly, anchor); err != nil || e.anchor.Year() < 2000 || e.anchor.Year() > 2200 {
		return t, "from", fmt.Errorf("%s is not a day; write it as 2026-12-01", gate.Quoted(anchor, 20))
	}
	// A day of its own counts, not an hour that comes twice: gate.AtClock takes the first.
	return ticks{schedule: e, zone: zone, everyHour: true}, "", nil
}

// daysHint is what to write instead of a number of days that is not one.
func daysHint(every string) string {
	number := strings.TrimLeft(strings.TrimRight(strings.ToLower(strings.TrimSpace(every)), " days"), "+0")
	if n, err := strconv.Atoi(number); err == nil && n >= 1 && n <= 366 {
		return fmt.Sprintf("; write %dd for %d days", n, n)
	}
	return ", such as 3d"
}

// firstDay is the day from which a schedule is counted that is first seen at now: that of
// the next time at which its time of day comes. "" for one without Every.
func (c Config) firstDay(zone *time.Location, now time.Time) string {
	if c.Every == "" {
		return ""
	}
	minutes := 0
	if c.At != "" {
		var err error
		if minutes, err = gate.ParseClock(c.At); err != nil {
			return ""
		}
	}
	return everyDays{zone: zone, minutes: minutes}.firstDay(now)
}

// timing is what the last tick was counted by. One that is counted by something else has
// missed nothing.
func (c Config) timing() string {
	return strings.Join([]string{c.Cron, c.Every, c.At, c.From, c.TimeZone}, "|")
}

// everyDays are ticks that are a number of days apart, at a time of day. It implements
// cron.Schedule.
type everyDays struct {
	days    int
	minutes int       // from midnight
	anchor  time.Time // the first day, as a day in UTC
	zone    *time.Location
}

func (e everyDays) firstDay(now time.Time) string {
	y, m, d := now.In(e.zone).Date()
	if !gate.AtClock(y, m, d, e.minutes, e.zone).After(now) {
		d++
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// Next is the first tick after t.
func (e everyDays) Next(t time.Time) time.Time {
	y, m, d := t.In(e.zone).Date()
	today := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	passed := int(today.Sub(e.anchor).Hours()/24)/e.days - 1 // one too few, for what time.Duration rounds up
	y, m, d = e.anchor.Date()
	for n := max(passed, 0); ; n++ {
		if at := gate.AtClock(y, m, d+n*e.days, e.minutes, e.zone); at.After(t) {
			return at
		}
	}
}
