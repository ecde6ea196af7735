package outbound

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads a Retry-After header (RFC 9110 10.2.3: seconds or a date). Servers also
// send what is neither, such as ghcr.io's "35.852µs, allowed: 44000/minute": numbers with
// a fraction or a unit are understood, text after a comma is ignored. wait is between 0, for
// a time that is over, and most. ok is false when the value means nothing.
func RetryAfter(value string, now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" || len(value) > 200 {
		return 0, false
	}
	within := func(d time.Duration) (time.Duration, bool) { return min(max(d, 0), most), true }
	if t, err := http.ParseTime(value); err == nil {
		return within(t.Sub(now))
	}
	number, _, _ := strings.Cut(value, ",")
	number = strings.TrimSpace(number)
	if seconds, err := strconv.ParseFloat(number, 64); !math.IsNaN(seconds) && (err == nil || math.IsInf(seconds, 0)) {
		// Within bounds that a duration can hold.
		return within(time.Duration(min(max(seconds, 0), most.Seconds()+1) * float64(time.Second)))
	}
	if d, err := time.ParseDuration(number); err == nil {
		return within(d)
	}
	return 0, false
}
