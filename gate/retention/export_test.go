package retention

import "time"

// Hasten makes a forgetter rest for no time, and forget at most so many in a run.
func (f *Forgetter) Hasten(most int) *Forgetter {
	f.pause, f.most = time.Nanosecond, most
	return f
}
