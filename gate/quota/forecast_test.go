package quota

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

func instant(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func quotaOf(t testing.TB, limit int64, period, zone string) *gate.Quota {
	t.Helper()
	q, err := gate.NewQuota(gate.QuotaConfig{Limit: limit, Period: period, TimeZone: zone})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestForecast(t *testing.T) {
	for _, c := range []struct {
		name, period, zone, now string
		limit                   int64
		used, waiting, previous int64
		needed                  int64
		exhausted               string
	}{
		{name: "even_pace", period: "month", now: "2026-11-16T00:00:00Z", limit: 100, used: 30, needed: 60},
		{name: "previous_does_not_count_later", period: "month", now: "2026-11-16T00:00:00Z", limit: 100, used: 30, previous: 9000, needed: 60},
		{name: "limit_is_reached", period: "month", now: "2026-11-16T00:00:00Z", limit: 40, used: 30, needed: 60, exhausted: "2026-11-21T00:00:00Z"},
		{name: "limit_is_just_enough", period: "month", now: "2026-11-16T00:00:00Z", limit: 60, used: 30, needed: 60},
		{name: "reached_already", period: "month", now: "2026-11-16T00:00:00Z", limit: 30, used: 30, needed: 60, exhausted: "2026-11-16T00:00:00Z"},
		{name: "waiting_are_needed_too", period: "month", now: "2026-11-16T00:00:00Z", limit: 30, used: 30, waiting: 15, needed: 90, exhausted: "2026-11-16T00:00:00Z"},
		{name: "waiting_fill_a_raised_limit", period: "month", now: "2026-11-16T00:00:00Z", limit: 40, used: 30, waiting: 15, needed: 90, exhausted: "2026-11-16T00:00:00Z"},
		{name: "unlimited", period: "month", now: "2026-11-16T00:00:00Z", used: 30, needed: 60},
		{name: "nothing_used", period: "month", now: "2026-11-16T00:00:00Z", limit: 10, previous: 300},
		{name: "first_instant", period: "month", now: "2026-11-01T00:00:00Z", limit: 100, previous: 31, needed: 30},
		{name: "first_instant_of_all", period: "month", now: "2026-11-01T00:00:00Z", limit: 100},
		{name: "busy_first_minute", period: "month", now: "2026-11-01T00:01:00Z", limit: 1000, used: 10, previous: 310, needed: 410},
		{name: "busy_first_minute_of_all", period: "month", now: "2026-11-01T00:01:00Z", limit: 1000, used: 10, needed: 110},
		{name: "half_of_the_young_part", period: "month", now: "2026-11-02T12:00:00Z", limit: 1000, used: 15, previous: 310, needed: 300},
		{name: "first_day_reaches_the_limit", period: "month", now: "2026-11-01T00:00:00Z", limit: 10, previous: 310, needed: 300, exhausted: "2026-11-02T00:00:00Z"},
		{name: "last_instant", period: "month", now: "2026-11-30T23:59:59Z", limit: 100, used: 99, needed: 99},
		{name: "reached_in_the_last_instant", period: "month", now: "2026-11-30T23:59:59Z", limit: 99, used: 99, needed: 99, exhausted: "2026-11-30T23:59:59Z"},
		{name: "day", period: "day", now: "2026-11-16T06:00:00Z", limit: 100, used: 10, needed: 40},
		{name: "week", period: "week", now: "2026-11-19T12:00:00Z", limit: 100, used: 10, needed: 20},
		// 2026-03-08 has 23 hours in New York; noon is 11 hours in.
		{name: "short_day", period: "day", zone: "America/New_York", now: "2026-03-08T16:00:00Z", limit: 100, used: 11, needed: 23},
		{name: "long_day", period: "day", zone: "America/New_York", now: "2026-11-01T17:00:00Z", limit: 100, used: 13, needed: 25},
		{name: "zone", period: "day", zone: "Asia/Shanghai", now: "2026-11-16T22:00:00Z", limit: 100, used: 6, needed: 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.zone == "" {
				c.zone = "UTC"
			}
			now := instant(t, c.now)
			got := Ahead(quotaOf(t, c.limit, c.period, c.zone), now, c.used, c.waiting, c.previous)
			var exhausted time.Time
			if c.exhausted != "" {
				exhausted = instant(t, c.exhausted)
			}
			// Whole seconds: the rest is floating point.
			if !got.Known || got.Needed != c.needed || !got.ExhaustedAt.Round(time.Second).Equal(exhausted) {
				t.Errorf("got %+v, want %d needed, exhausted at %q", got, c.needed, c.exhausted)
			}
		})
	}
	if got := Ahead(quotaOf(t, 10, "none", "UTC"), instant(t, "2026-11-16T00:00:00Z"), 10, 5, 0); got != (Forecast{}) {
		t.Errorf("a period that never ends: got %+v, want no forecast", got)
	}
}

func location(t interface{ Fatal(...any) }, zone string) *time.Location {
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The zones change their clocks at different hours, some at midnight, some by
// half an hour, some never.
var zones = []string{
	"UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
	"America/Santiago", "America/Havana", "Asia/Beirut", "Africa/Cairo", "America/Asuncion", "Asia/Tehran",
}

// TestBoundsOfPeriods: the bounds are exactly where the key changes, in every
// zone and at every change of the clocks.
func TestBoundsOfPeriods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		period := rapid.SampledFrom([]string{"day", "week", "month"}).Draw(t, "period")
		q, err := gate.NewQuota(gate.QuotaConfig{Period: period, TimeZone: zone})
		if err != nil {
			t.Fatal(err)
		}
		// 2015 to 2035, and then close to a change of the clocks.
		now := time.Unix(rapid.Int64Range(1_420_070_400, 2_051_222_400).Draw(t, "second"), 0).In(location(t, zone))
		if _, end := now.ZoneBounds(); !end.IsZero() && rapid.Bool().Draw(t, "near") {
			now = end.Add(time.Duration(rapid.Int64Range(-26, 26).Draw(t, "hours")) * time.Hour)
		}
		checkBounds(t, q, now)
	})
	for _, zone := range zones {
		q := quotaOf(t, 0, "day", zone)
		for now, end := instant(t, "2015-01-01T00:00:00Z").In(location(t, zone)), instant(t, "2035-01-01T00:00:00Z"); now.Before(end); now = q.ResetsAt(now) {
			checkBounds(t, q, now)
		}
	}
}

func checkBounds(t interface{ Fatalf(string, ...any) }, q *gate.Quota, now time.Time) {
	start, end := q.Bounds(now)
	if now.Before(start) || !now.Before(end) {
		t.Fatalf("%s in %s: period from %s to %s", now, now.Location(), start, end)
	}
	key := q.Period(now).Key
	for at, same := range map[time.Time]bool{start: true, start.Add(-1): false, end.Add(-1): true, end: false} {
		if got := q.Period(at).Key; (got == key) != same {
			t.Fatalf("%s in %s: key at %s is %s, that of the period from %s to %s is %s", now, now.Location(), at, got, start, end, key)
		}
	}
}

// counted is what the store and the catalog count.
type counted struct {
	use     map[string]gate.QuotaUse
	waiting int64
	fail    string
}

var errCounting = errors.New("counting")

func (c counted) Quota(_ context.Context, period string) (gate.QuotaUse, error) {
	if period == c.fail {
		return gate.QuotaUse{}, errCounting
	}
	return c.use[period], nil
}

func (c counted) Waiting(context.Context) (int64, error) {
	if c.fail == "waiting" {
		return 0, errCounting
	}
	return c.waiting, nil
}

func TestQuotaState(t *testing.T) {
	q := quotaOf(t, 1000, "month", "UTC")
	now := instant(t, "2026-11-02T12:00:00Z")
	c := counted{use: map[string]gate.QuotaUse{"2026-10": {Used: 310}, "2026-11": {Used: 10, Avoided: 7}}, waiting: 5}
	got, err := Read(t.Context(), q, now, c, c)
	want := State{
		Period: gate.Period{Key: "2026-11", Limit: 1000}, QuotaUse: gate.QuotaUse{Used: 10, Avoided: 7}, Waiting: 5, ResetsAt: instant(t, "2026-12-01T00:00:00Z"),
		Forecast: Forecast{Known: true, Needed: 300},
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, c.fail = range []string{"2026-10", "2026-11", "waiting"} {
		if got, err := Read(t.Context(), q, now, c, c); !errors.Is(err, errCounting) || got != (State{}) {
			t.Errorf("%s fails: got %+v, %v", c.fail, got, err)
		}
	}
	c.fail = "2026-10"
	c.use["none"] = gate.QuotaUse{Used: 3}
	got, err = Read(t.Context(), quotaOf(t, 4, "none", "UTC"), now, c, c)
	if err != nil || got.Used != 3 || got.Forecast.Known || !got.ResetsAt.IsZero() {
		t.Errorf("a period that never ends: got %+v, %v", got, err)
	}
}
