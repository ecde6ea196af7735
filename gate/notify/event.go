package notify

import (
	"slices"
)

// Event is a kind of thing that a target is sent messages about.
type Event string

// The events. The list is closed: what is not built has no name here.
const (
	EventVerdicts Event = "verdicts" // a standing verdict that flipped
	EventNew      Event = "new"      // findings that were not there before, or became severe enough
	EventFixed    Event = "fixed"    // findings that are not there any more
	EventQuota    Event = "quota"    // the quota is near its end, or at it
	EventStale    Event = "stale"    // the advisory data is out of date
)

// Events are all of them, in the order of the documentation.
func Events() []Event {
	return []Event{EventVerdicts, EventNew, EventFixed, EventQuota, EventStale}
}

// What is what one line of a message says.
type What string

// What lines say.
const (
	Denied  What = "denied"  // the verdict flipped to deny
	Flipped What = "flipped" // the verdict flipped to something else
	New     What = "new"
	Raised  What = "raised" // the severity rose to what the target asks for
	Fixed   What = "fixed"
	Quota   What = "quota"
	Stale   What = "stale"
	Over    What = "over" // a quota or stale data of an earlier message is well again
)

// rank orders lines in a message: what stops deployments first.
var rank = []What{Denied, Quota, Stale, New, Raised, Flipped, Over, Fixed}

func (w What) rank() int {
	if i := slices.Index(rank, w); i >= 0 {
		return i
	}
	return len(rank)
}
