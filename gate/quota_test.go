package gate

import (
	"testing"
	"time"
)

func TestQuotaPeriod(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ name, period, zone, now, key, resets string }{
		{"month_in_utc", "month", "UTC", "2026-11-30T23:59:59Z", "2026-11", "2026-12-01T00:00:00Z"},
		{"month_turns_earlier_in_shanghai", "month", "Asia/Shanghai", "2026-11-30T16:00:00Z", "2026-12", "2026-12-31T16:00:00Z"},
		{"day", "day", "UTC", "2026-02-28T12:00:00Z", "2026-02-28", "2026-03-01T00:00:00Z"},
		{"week_on_sunday", "week", "UTC", "2026-11-22T12:00:00Z", "2026-W47", "2026-11-23T00:00:00Z"},
		{"week_on_monday", "week", "UTC", "2026-11-23T00:00:00Z", "2026-W48", "2026-11-30T00:00:00Z"},
		{"none", "none", "UTC", "2026-11-23T00:00:00Z", "none", "0001-01-01T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := NewQuota(QuotaConfig{Limit: 5, Period: c.period, TimeZone: c.zone})
			if err != nil {
				t.Fatal(err)
			}
			if got := q.Period(at(c.now)); got.Key != c.key || got.Limit != 5 {
				t.Errorf("Period(%s): got %+v, want %s", c.now, got, c.key)
			}
			if got := q.ResetsAt(at(c.now)); !got.Equal(at(c.resets)) {
				t.Errorf("ResetsAt(%s): got %s, want %s", c.now, got, c.resets)
			}
		})
	}
}

func TestQuotaConfigRefusals(t *testing.T) {
	for name, c := range map[string]QuotaConfig{
		"negative_limit": {Limit: -1, Period: "month", TimeZone: "UTC"},
		"unknown_period": {Period: "year", TimeZone: "UTC"},
		"unknown_zone":   {Period: "month", TimeZone: "Mars/Olympus"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.Validate(); err == nil {
				t.Errorf("Validate(%+v): got no error", c)
			}
		})
	}
}
