//go:build !linux

package policy

import "time"

// threadClock is the time that has passed since: other systems tell no other thread's
// processor time.
func threadClock() (spent func() time.Duration) {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
