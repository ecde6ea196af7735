package gate_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

func inZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := gate.ParseTimeZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// TestDayWindow pins windows around a change of clocks: New York goes from 02:00 to 03:00
// on 8 March 2026 and from 02:00 back to 01:00 on 1 November.
func TestDayWindow(t *testing.T) {
	newYork, shanghai := inZone(t, "America/New_York"), inZone(t, "Asia/Shanghai")
	for name, c := range map[string]struct {
		window string
		zone   *time.Location
		now    string // RFC 3339
		opens  string // of the window that is open then, or opens next
		closes string
	}{
		"before":                {"00:00-07:00", shanghai, "2026-11-07T15:59:59Z", "2026-11-07T16:00:00Z", "2026-11-07T23:00:00Z"},
		"first_instant":         {"00:00-07:00", shanghai, "2026-11-07T16:00:00Z", "2026-11-07T16:00:00Z", "2026-11-07T23:00:00Z"},
		"last_instant":          {"00:00-07:00", shanghai, "2026-11-07T22:59:59Z", "2026-11-07T22:59:59Z", "2026-11-07T23:00:00Z"},
		"end_is_outside":        {"00:00-07:00", shanghai, "2026-11-07T23:00:00Z", "2026-11-08T16:00:00Z", "2026-11-08T23:00:00Z"},
		"over_midnight_late":    {"22:00-06:00", time.UTC, "2026-11-07T23:30:00Z", "2026-11-07T23:30:00Z", "2026-11-08T06:00:00Z"},
		"over_midnight_early":   {"22:00-06:00", time.UTC, "2026-11-08T05:00:00Z", "2026-11-08T05:00:00Z", "2026-11-08T06:00:00Z"},
		"to_midnight":           {"18:00-24:00", time.UTC, "2026-11-07T12:00:00Z", "2026-11-07T18:00:00Z", "2026-11-08T00:00:00Z"},
		"short_by_a_gap":        {"00:00-04:00", newYork, "2026-03-08T05:00:00Z", "2026-03-08T05:00:00Z", "2026-03-08T08:00:00Z"},
		"begins_in_a_gap":       {"02:30-05:00", newYork, "2026-03-08T06:00:00Z", "2026-03-08T07:30:00Z", "2026-03-08T09:00:00Z"},
		"lost_in_a_gap":         {"02:30-03:30", newYork, "2026-03-08T06:00:00Z", "2026-03-09T06:30:00Z", "2026-03-09T07:30:00Z"},
		"long_by_a_repeat":      {"00:00-04:00", newYork, "2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z", "2026-11-01T09:00:00Z"},
		"first_of_two_only":     {"01:00-01:45", newYork, "2026-11-01T04:00:00Z", "2026-11-01T05:00:00Z", "2026-11-01T05:45:00Z"},
		"not_in_the_second":     {"01:00-01:45", newYork, "2026-11-01T06:10:00Z", "2026-11-02T06:00:00Z", "2026-11-02T06:45:00Z"},
		"half_hour_put_forward": {"01:00-03:00", inZone(t, "Australia/Lord_Howe"), "2026-10-03T13:00:00Z", "2026-10-03T14:30:00Z", "2026-10-03T16:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := gate.ParseDayWindow(c.window, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			opens := w.Opens(now)
			open, closes := w.Open(opens)
			if got := opens.Format(time.RFC3339); got != c.opens || !open || closes.Format(time.RFC3339) != c.closes {
				t.Errorf("Opens: got %s until %s (open %t), want %s until %s", got, closes.Format(time.RFC3339), open, c.opens, c.closes)
			}
			if open, _ := w.Open(now); open != now.Equal(opens) {
				t.Errorf("Open(%s) = %t, and it opens at %s", c.now, open, opens)
			}
		})
	}
	if open, until := (gate.DayWindow{}).Open(time.Now()); !open || !until.IsZero() {
		t.Errorf("no window: open %t until %s", open, until)
	}
}

// TestDayWindowAfter: time passes in windows only.
func TestDayWindowAfter(t *testing.T) {
	w, err := gate.ParseDayWindow("00:00-07:00", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 7, 6, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]time.Time{
		30 * time.Minute: at.Add(30 * time.Minute),
		time.Hour:        at.Add(time.Hour),
		2 * time.Hour:    time.Date(2026, 11, 8, 1, 0, 0, 0, time.UTC),
		10 * time.Hour:   time.Date(2026, 11, 9, 2, 0, 0, 0, time.UTC),
	} {
		if got := w.After(at, d); !got.Equal(want) {
			t.Errorf("After(%s): got %s, want %s", d, got, want)
		}
	}
	if got := w.After(at, 100*365*24*time.Hour); got.Before(at) {
		t.Errorf("After a century: got %s", got)
	}
}

// TestAtClock: clocks show what was asked for, unless they never do; then it is as much
// later. Of two instants it is the first.
func TestAtClock(t *testing.T) {
	var zones []*time.Location
	for _, name := range []string{"", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Europe/Berlin", "Pacific/Apia", "Africa/Casablanca", "America/Sao_Paulo"} {
		zones = append(zones, inZone(t, name))
	}
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(rt, "zone")
		day := time.Date(2010, 1, 1+rapid.IntRange(0, 7000).Draw(rt, "day"), 0, 0, 0, 0, time.UTC)
		minutes := rapid.IntRange(0, 1439).Draw(rt, "minutes")
		y, m, d := day.Date()
		got := gate.AtClock(y, m, d, minutes, zone)
		wall := day.Add(time.Duration(minutes) * time.Minute)
		shows := func(at time.Time) time.Time {
			_, offset := at.In(zone).Zone()
			return at.Add(time.Duration(offset) * time.Second).UTC()
		}
		first := time.Time{} // by trying every minute of three days
		for at := wall.Add(-36 * time.Hour); at.Before(wall.Add(36 * time.Hour)); at = at.Add(time.Minute) {
			if shows(at).Equal(wall) {
				first = at
				break
			}
		}
		switch {
		case !first.IsZero() && !got.Equal(first):
			rt.Fatalf("%s in %s: got %s, want %s", wall, zone, got, first)
		case first.IsZero() && !shows(got).After(wall):
			rt.Fatalf("%s in %s does not exist: got %s, which shows %s", wall, zone, got, shows(got))
		}
	})
}

// FuzzParseDayWindow: whatever is accepted opens within three days and closes.
func FuzzParseDayWindow(f *testing.F) {
	for _, seed := range []string{"00:00-07:00", "22:00-06:00", "18:00-24:00", "24:00-01:00", "1:00-02:00", "00:00-24:00", "ab:cd-ef:gh", "", "00:00-00:00"} {
		f.Add(seed)
	}
	newYork := inZone(f, "America/New_York")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := gate.ParseDayWindow(text, newYork)
		if err != nil || w.Always() {
			return
		}
		for _, now := range []time.Time{time.Date(2026, 3, 8, 6, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 5, 0, 0, 0, time.UTC)} {
			opens := w.Opens(now)
			open, until := w.Open(opens)
			if !open || !until.After(opens) || opens.Sub(now) > 72*time.Hour || until.Sub(opens) > 25*time.Hour {
				t.Fatalf("%q at %s opens at %s until %s", text, now, opens, until)
			}
		}
	})
}
