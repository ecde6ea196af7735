package gate

import "time"

// Clock is a time as texts for people give it: in UTC, with the day unless it is
// today's, and with seconds when it is near.
func Clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	format, unit := "15:04:05 UTC", time.Second
	if t.Sub(now).Abs() >= 10*time.Minute {
		format, unit = "15:04 UTC", time.Minute
	}
	t = t.Add(unit - 1).Truncate(unit) // never before it is so
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		format = "2006-01-02 " + format
	}
	return t.Format(format)
}

// UnixSeconds is a time as Prometheus has it; the zero time is 0.
func UnixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
