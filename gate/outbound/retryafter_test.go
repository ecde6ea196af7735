package outbound

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	const most = time.Hour
	for value, want := range map[string]struct {
		wait time.Duration
		ok   bool
	}{
		"":   {0, false},
		"30": {30 * time.Second, true}, " 1.5 ": {1500 * time.Millisecond, true}, "0": {0, true}, "-5": {0, true},
		"99999999999999999999": {most, true}, "1e400": {most, true}, "NaN": {0, false}, "soon": {0, false},
		"35.852µs, allowed: 44000/minute": {35852 * time.Nanosecond, true}, "2m": {2 * time.Minute, true}, "-2m": {0, true},
		now.Add(time.Minute).Format(http.TimeFormat): {time.Minute, true}, now.Add(-time.Minute).Format(http.TimeFormat): {0, true},
		now.Add(48 * time.Hour).Format(http.TimeFormat): {most, true},
	} {
		if wait, ok := RetryAfter(value, now, most); wait != want.wait || ok != want.ok {
			t.Errorf("RetryAfter(%q): got %s, %t, want %s, %t", value, wait, ok, want.wait, want.ok)
		}
	}
	if wait, ok := RetryAfter("99999999999999999999", now, 1<<62); !ok || wait < time.Hour {
		t.Errorf("a large bound: got %s, %t", wait, ok)
	}
}
