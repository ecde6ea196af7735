package registry

import (
	"time"

	"github.com/digestgate/digestgate/gate/outbound"
)

// maxAsked is the longest wait that a registry can mean, for a quota of a year. A
// longer one is a mistake and is shown to nobody.
const maxAsked = 366 * 24 * time.Hour

// parseRetryAfter reads a Retry-After header. after is how long the host is paused, in
// [minPause, maxPause]. asked is the wait that the registry requested, zero for one that
// makes no sense: a time in the past, or further away than maxAsked. ok is false when the
// value means nothing.
func parseRetryAfter(value string, now time.Time) (after, asked time.Duration, ok bool) {
	wish, ok := outbound.RetryAfter(value, now, 2*maxAsked)
	if !ok {
		return 0, 0, false
	}
	if wish <= maxAsked {
		asked = wish
	}
	return min(max(wish, minPause), maxPause), asked, true
}
