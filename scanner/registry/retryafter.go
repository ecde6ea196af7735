package registry

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAsked is the longest wait that is taken for what a registry means: a quota of a
// year. What is longer is a mistake, and repeated to nobody.
const maxAsked = 366 * 24 * time.Hour

// parseRetryAfter reads a Retry-After header (RFC 9110 10.2.3: seconds or a
// date). Registries also send what is neither, such as ghcr.io's "35.852µs, allowed:
// 44000/minute": numbers with a fraction or a unit are understood, text after a comma
// is ignored. after is how long the host is left alone, in [minPause, maxPause]; asked
// is what the registry has asked for, zero for what cannot be meant: a time that is
// over, or further away than maxAsked. ok is false when nothing can be made of it.
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

// pause is what is made of a wait that a registry has asked for.
func pause(wish time.Duration) (after, asked time.Duration, ok bool) {
	if wish > 0 && wish <= maxAsked {
		asked = wish
	}
	return min(max(wish, minPause), maxPause), asked, true
}
