package advisory

import (
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// ages is what the sources state of their own time. The time of a file says
// nothing: a copy or a clone makes it new.
//
// OSV entries together are as new as the newest one says, because a database
// changes where there is news. A file of our own format speaks for its release.
// The whole is as old as the oldest of these, so that a fresh source does not
// make another look fresh.
type ages struct {
	now     time.Time
	newest  map[string]time.Time // by source
	missing int                  // files that state no time
	first   string               // one of them
}

// osvAge is the source under which all OSV entries are noted.
const osvAge = "OSV"

// stated notes times that a source gives for its content, of which the newest
// counts; the zero time and times in the future are none.
func (a *ages) stated(source string, times ...time.Time) {
	newest := a.newest[source]
	for _, t := range times {
		if gate.AgeKnown(t) && !t.After(a.now.Add(gate.ClockSkew)) && t.After(newest) {
			newest = t
		}
	}
	a.newest[source] = newest
}

// undated notes a file that states no time of its own.
func (a *ages) undated(file string) {
	if a.missing == 0 {
		a.first = file
	}
	a.missing++
}

// oldest is the time of all sources together; known is false when one of them
// states none.
func (a *ages) oldest() (t time.Time, known bool) {
	if a.missing > 0 || len(a.newest) == 0 {
		return time.Time{}, false
	}
	for _, n := range a.newest {
		if n.IsZero() {
			return time.Time{}, false
		}
		if t.IsZero() || n.Before(t) {
			t = n
		}
	}
	if t.After(a.now) {
		t = a.now // another machine's clock is a little ahead
	}
	return t, true
}

// why says which sources state no time.
func (a *ages) why() string {
	if a.missing == 0 {
		return "the OSV entries state no time, neither modified nor published, or one in the future"
	}
	if a.missing == 1 {
		return fmt.Sprintf("%s states no time", gate.Quoted(a.first, 200))
	}
	return fmt.Sprintf("%d files state no time; the first is %s", a.missing, gate.Quoted(a.first, 200))
}
