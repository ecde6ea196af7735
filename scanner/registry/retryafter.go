package registry

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// parseRetryAfter reads a Retry-After header (RFC 9110 10.2.3: seconds or a
// date) and clamps it to [minPause, maxPause]. Registries also send what is
// neither, such as ghcr.io's "35.852µs, allowed: 44000/minute": numbers with a
// fraction or a unit are understood, text after a comma is ignored. ok is false
// when nothing can be made of it.
func parseRetryAfter(value string, now time.Time) (after time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 200 {
		return 0, false
	}
	if t, err := http.ParseTime(value); err == nil {
		return clampPause(t.Sub(now)), true
	}
	number, _, _ := strings.Cut(value, ",")
	number = strings.TrimSpace(number)
	if seconds, err := strconv.ParseFloat(number, 64); err == nil && seconds == seconds {
		if seconds > maxPause.Seconds() {
			return maxPause, true
		}
		if seconds < minPause.Seconds() {
			return minPause, true
		}
		return clampPause(time.Duration(seconds * float64(time.Second))), true
	}
	if d, err := time.ParseDuration(number); err == nil {
		return clampPause(d), true
	}
	return 0, false
}

func clampPause(d time.Duration) time.Duration { return min(max(d, minPause), maxPause) }
