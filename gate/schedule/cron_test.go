package schedule

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func mustCron(t testing.TB, text string, z *time.Location) ticks {
	t.Helper()
	c, err := parseCron(text, z)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNext pins the behaviour around a change of clocks: New York goes from
// 02:00 to 03:00 on 8 March 2026 and from 02:00 back to 01:00 on 1 November.
func TestNext(t *testing.T) {
	newYork := zone(t, "America/New_York")
	spring := time.Date(2026, 3, 7, 23, 0, 0, 0, newYork)
	autumn := time.Date(2026, 10, 31, 23, 0, 0, 0, newYork)
	for name, c := range map[string]struct {
		cron string
		zone *time.Location
		from time.Time
		want []string // local time with the zone's abbreviation
	}{
		"zone_of_the_schedule":  {"0 1 * * *", zone(t, "Asia/Shanghai"), autumn, []string{"02 01:00 CST", "03 01:00 CST"}},
		"hour_that_is_skipped":  {"30 2 * * *", newYork, spring, []string{"08 03:30 EDT", "09 02:30 EDT"}},
		"hour_that_is_repeated": {"30 1 * * *", newYork, autumn, []string{"01 01:30 EDT", "02 01:30 EST"}},
		"end_of_repeated_hour":  {"0 2 * * *", newYork, autumn, []string{"01 02:00 EST", "02 02:00 EST"}},
		"range_over_it":         {"0 0-3 * * *", newYork, autumn, []string{"01 00:00 EDT", "01 01:00 EDT", "01 02:00 EST", "01 03:00 EST"}},
		"every_hour_runs_twice": {"0 * * * *", newYork, autumn, []string{"01 00:00 EDT", "01 01:00 EDT", "01 01:00 EST", "01 02:00 EST"}},
		"hourly_runs_twice":     {"@hourly", newYork, autumn, []string{"01 00:00 EDT", "01 01:00 EDT", "01 01:00 EST"}},
		"every_hour_in_spring":  {"0 * * * *", newYork, spring, []string{"08 00:00 EST", "08 01:00 EST", "08 03:00 EDT"}},
		"either_day_field":      {"0 0 13 * FRI", time.UTC, time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC), []string{"13 00:00 UTC", "20 00:00 UTC"}},
		"every":                 {"@every 90m", time.UTC, time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC), []string{"07 01:30 UTC", "07 03:00 UTC"}},
		"half_hour_change":      {"45 1 * * *", zone(t, "Australia/Lord_Howe"), time.Date(2026, 4, 4, 3, 0, 0, 0, time.UTC), []string{"05 01:45 +11", "06 01:45 +1030"}},
	} {
		t.Run(name, func(t *testing.T) {
			tk := mustCron(t, c.cron, c.zone)
			var got []string
			at := c.from
			for range c.want {
				at = tk.next(at)
				got = append(got, at.In(c.zone).Format("02 15:04 MST"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("ticks of %q (-want +got):\n%s", c.cron, diff)
			}
		})
	}
}

func TestParseCron(t *testing.T) {
	for name, c := range map[string]struct{ cron, want string }{
		"six_fields":    {"0 0 1 * * *", "leave out the first"},
		"four_fields":   {"0 1 * *", "want five fields"},
		"empty":         {"", "want five fields"},
		"range":         {"61 1 * * *", "want five fields"},
		"reboot":        {"@reboot", "want five fields"},
		"no_such_day":   {"0 0 30 2 *", "no such day"},
		"zone_inside":   {"CRON_TZ=UTC 0 1 * * *", "timeZone"},
		"zone_alone":    {"TZ=0", "timeZone"},
		"too_frequent":  {"@every 59s", "one minute"},
		"negative":      {"@every -1h", "want five fields"},
		"control_bytes": {"0 1 * * \x1b[31m", `\x1b`},
		"long":          {strings.Repeat("1,", 5000) + " * * * *", "want five fields"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseCron(c.cron, time.UTC)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("parseCron(%.40q): got %v, want an error with %q", c.cron, err, c.want)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestDue compares with the plain walk over all ticks.
func TestDue(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "America/New_York"), zone(t, "Asia/Shanghai"), zone(t, "Australia/Lord_Howe")}
	crons := []string{"* * * * *", "*/15 * * * *", "0 1 * * *", "30 1 * * *", "30 2 * * *", "0 0 1 * *", "0 0 1 1 *", "@hourly", "0 5 * * MON", "59 23 31 12 *"}
	rapid.Check(t, func(rt *rapid.T) {
		c := rapid.SampledFrom(crons).Draw(rt, "cron")
		tk := mustCron(t, c, rapid.SampledFrom(zones).Draw(rt, "zone"))
		last := time.Date(2025, 10, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 400*24*3600).Draw(rt, "last")) * time.Second)
		longest := int64(3 * 24 * 3600)
		if !strings.HasPrefix(c, "*") && c != "@hourly" {
			longest = 800 * 24 * 3600
		}
		now := last.Add(time.Duration(rapid.Int64Range(0, longest).Draw(rt, "away")) * time.Second)
		var want time.Time
		for at := tk.next(last); !at.IsZero() && !at.After(now); at = tk.next(at) {
			want = at
		}
		if got := tk.due(last, now); !got.Equal(want) {
			rt.Fatalf("due(%s, %s) of %q: got %s, want %s", last, now, c, got, want)
		}
	})
}

func TestDueAfterALongAbsence(t *testing.T) {
	now := time.Date(2026, 11, 7, 12, 0, 30, 0, time.UTC)
	last := now.AddDate(-4, 0, 0)
	for cron, want := range map[string]time.Time{
		"* * * * *":   now.Truncate(time.Minute),
		"@every 6h":   now,
		"0 0 29 2 *":  time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0 1 * * SUN": time.Date(2026, 11, 1, 1, 0, 0, 0, time.UTC),
	} {
		if got := mustCron(t, cron, time.UTC).due(last, now); !got.Equal(want) {
			t.Errorf("due of %q: got %s, want %s", cron, got, want)
		}
	}
}
