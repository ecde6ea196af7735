package app

import (
	"os"
	"runtime/debug"
)

// admissionGrowth is how much the heap of a process that serves admission only may grow
// between two collections, in percent of what is in use. Most of what it has is copies
// that live long; a review allocates 7 to 10 kB, so that with 60 MB in use and a thousand
// reviews a second it collects every four seconds, which takes about 1 % of a core.
const admissionGrowth = 50

// growth is the percentage for a process with these roles; ok is false for the usual one.
// An operator's own setting takes precedence.
func growth(roles []string, env func(string) string) (percent int, ok bool) {
	for _, role := range roles {
		if role != RoleAdmission {
			return 0, false
		}
	}
	return admissionGrowth, len(roles) > 0 && env("GOGC") == "" && env("GOMEMLIMIT") == ""
}

// saveMemory gives back what a start has needed, and keeps the heap of a process small
// that is run in many replicas.
func (a *App) saveMemory() {
	if percent, ok := growth(a.Config.Roles, os.Getenv); ok {
		debug.SetGCPercent(percent)
	}
	debug.FreeOSMemory()
}
