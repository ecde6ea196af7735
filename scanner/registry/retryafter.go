package registry

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAsked is the longest wait that a registry can mean, for a quota of a year. A
// longer one is a mistake and is shown to nobody.
const maxAsked = 366 * 24 * time.Hour

// parseRetryAfter reads a Retry-After header (RFC 9110 10.2.3: seconds or a date).
// Registries also send what is neither, such as ghcr.io's "35.852µs, allowed:
// 44000/minute": numbers with a fraction or a unit are understood, text after a comma
// is ignored. after is how long the host is paused, in [minPause, maxPause]. asked is
// the wait that the registry requested, zero for one that makes no sense: a time in the
// past, or further away than maxAsked. ok is false when the value means nothing.
func parseRetryAfter(value string, now time.Time) (after, asked time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 200 {
		return 0, 0, false
	}
	if t, err := http.ParseTime(value); err == nil {
		return pause(t.Sub(now))
	}
	number, _, _ := strings.Cut(value, ",")
	number = strings.TrimSpace(number)
	if seconds, err := strconv.ParseFloat(number, 64); !math.IsNaN(seconds) && (err == nil || math.IsInf(seconds, 0)) {
		// Within bounds that a duration can hold.
		return pause(time.Duration(min(max(seconds, -1), 2*maxAsked.Seconds()) * float64(time.Second)))
	}
	if d, err := time.ParseDuration(number); err == nil {
		return pause(d)
	}
	return 0, 0, false
}

// pause returns the results of parseRetryAfter for a wait that a registry requested.
func pause(wish time.Duration) (after, asked time.Duration, ok bool) {
	if wish > 0 && wish <= maxAsked {
		asked = wish
	}
	return min(max(wish, minPause), maxPause), asked, true
}
