package app

import (
	"os"
	"runtime/debug"
)

// sweepGrowth is how much the heap may grow between two collections while a sweep matches
// images, in percent of what is in use: each image needs half a megabyte for a moment, and
// collecting twice as often would take an eighth of the sweep. A limit of memory that is
// set for the process holds all the same.
const sweepGrowth = 200

// collectLess has the process collect its memory less often until the function that it
// returns is called. An operator's own setting takes precedence.
func collectLess() (over func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	former := debug.SetGCPercent(sweepGrowth)
	return func() { debug.SetGCPercent(former) }
}
