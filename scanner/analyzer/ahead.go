package analyzer

import (
	"sync"
)

// ahead are children that are started before there is work for them: each waits, with
// nothing of any image in it, until it is given its one unit, so that the time that it
// takes to start is not waited for. At most one waits for each analysis that runs, and
// none when none does.
type ahead struct {
	mu       sync.Mutex
	analyses int // that run
	idle     []*process
	starting int
	waiting  int            // for one of those being started
	started  *sync.Cond     // one has been, or could not be
	running  sync.WaitGroup // starts
}

// maxAhead bounds the children that wait, however many analyses run.
const maxAhead = 4

// aheadMemory is what a child that waits may take, in bytes; 8 MiB were measured. It is
// part of scan.childMemory: a child and the one that waits for the same analysis have it
// together, so that the worker's control group has room for both.
const aheadMemory = 16 << 20

// take gives a child that nobody else has: one that waits or is being started, or a new
// one.
func (l *launcher) take() (*process, error) {
	a := &l.ahead
	a.mu.Lock()
	if len(a.idle) == 0 && a.starting > a.waiting {
		a.waiting++
		for len(a.idle) == 0 && a.starting >= a.waiting {
			a.started.Wait()
		}
		a.waiting--
	}
	var dead []*process
	var p *process
	for len(a.idle) > 0 && p == nil {
		p, a.idle = a.idle[0], a.idle[1:]
		if p.gone() {
			p, dead = nil, append(dead, p)
		}
	}
	a.mu.Unlock()
	for _, d := range dead {
		d.end()
	}
	if p != nil {
		return p, nil
	}
	return l.start()
}

// expect starts a child for an analysis that will need one soon. release must be called
// at its end.
func (l *launcher) expect() (release func()) {
	a := &l.ahead
	a.mu.Lock()
	a.analyses++
	a.mu.Unlock()
	l.fill()
	return func() {
		a.mu.Lock()
		a.analyses--
		var idle []*process
		if a.analyses == 0 {
			idle, a.idle = a.idle, nil
		}
		a.mu.Unlock()
		for _, p := range idle {
			p.end()
		}
	}
}

// fill starts a child, beside what else is done, unless as many wait as may.
func (l *launcher) fill() {
	a := &l.ahead
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.idle)+a.starting >= min(a.analyses, maxAhead) {
		return
	}
	a.starting++
	a.running.Go(func() {
		p, err := l.start()
		a.mu.Lock()
		a.starting--
		wanted := err == nil && a.analyses > 0
		if wanted {
			a.idle = append(a.idle, p)
		}
		a.started.Broadcast()
		a.mu.Unlock()
		if err == nil && !wanted {
			p.end()
		} // who needs one is told the error
	})
}

// close waits until no child is being started. No analysis may be running.
func (l *launcher) close() { l.ahead.running.Wait() }
