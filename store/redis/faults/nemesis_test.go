package faults_test

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// nemesis breaks things, one after the other, in an order that the seed decides.
type nemesis struct {
	*testing.T
	rand    *rand.Rand
	site    *site
	workers []*process
	others  []*process
	end     time.Time
	done    []string // the faults
	lost    []window // when the servers may have lost what they acknowledged
}

// window is a span of the machine's time, in microseconds.
type window struct{ from, to int64 }

// wait lets a fault last: the processes work on meanwhile.
func (n *nemesis) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-n.Context().Done():
	}
}

// losing runs a fault that may take back what was acknowledged since a second
// before it: a replica is that far behind at most, and the AOF is no further.
func (n *nemesis) losing(f func() error) error {
	from := time.Now().Add(-time.Second)
	err := f()
	n.lost = append(n.lost, window{from.UnixMicro(), time.Now().UnixMicro()})
	return err
}

// all are the faults of the processes and those of the servers.
func (n *nemesis) all() []fault {
	return append([]fault{
		{"worker killed", func(n *nemesis) error {
			p := n.workers[n.rand.IntN(len(n.workers))]
			if err := p.kill(); err != nil {
				return err
			}
			p.start(n.T)
			return nil
		}},
		{"worker paused past its lease", (*nemesis).pause},
		{"worker paused past its lease", (*nemesis).pause}, // of all the one that the fencing is for
		{"pusher or reader killed", func(n *nemesis) error {
			p := n.others[n.rand.IntN(len(n.others))]
			if err := p.kill(); err != nil {
				return err
			}
			p.start(n.T)
			return nil
		}},
	}, n.site.faults...)
}

// pause stops a worker in the middle of an analysis, until its leases have run
// out and others hold them.
func (n *nemesis) pause() error {
	p := n.workers[n.rand.IntN(len(n.workers))]
	for patience := time.Now().Add(3 * time.Second); !n.analysing(p) && time.Now().Before(patience); {
		n.wait(5 * time.Millisecond)
	}
	if err := p.pause(); err != nil {
		return err
	}
	n.wait(lease + 600*time.Millisecond)
	return p.resume()
}

// analysing says whether a worker has written that it began an analysis, and not
// that it ended it.
func (n *nemesis) analysing(p *process) bool {
	events, err := readHistory(filepath.Join(p.role.Dir, p.who()+".history"))
	if err != nil {
		return false // it has just started
	}
	open := map[int64]bool{}
	for _, e := range events[max(0, len(events)-50):] {
		switch e.Op {
		case opServe:
			open[e.Epoch] = e.ok()
		case opBegin, opFinish:
			delete(open, e.Epoch)
		}
	}
	return slices.Contains(slices.Collect(maps.Values(open)), true)
}

// run goes through all faults in a random order, again and again until the time
// is over, but through all of them once.
func (n *nemesis) run() {
	for round := 0; ; round++ {
		faults := n.all()
		n.rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, f := range slices.All(faults) {
			if (round > 0 && time.Now().After(n.end)) || n.Context().Err() != nil {
				return
			}
			n.wait(time.Duration(100+n.rand.IntN(300)) * time.Millisecond)
			n.done = append(n.done, f.name)
			if err := f.run(n); err != nil {
				n.Fatalf("fault %q: %v", f.name, err)
			}
		}
		if time.Now().After(n.end) {
			return
		}
	}
}
