package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// alarmEvery is how often the log says more of the same: often enough to see whether it
// continues, and a few megabytes a day at most.
const alarmEvery = time.Minute

// alarms tell the operator of values that count as absent; nobody else can be
// told. The first of each thing and reason is told at once, with its name; what
// follows is counted and told once a minute, so that whoever can write to Redis
// cannot fill the disk of the log. The metric counts all of them.
type alarms struct {
	log *slog.Logger

	mu    sync.Mutex
	muted map[alarm]*repeats
}

// alarm is a kind of value that counts as absent.
type alarm struct{ thing, reason string }

// repeats are those of a kind that were not told yet.
type repeats struct {
	count int
	name  string // of the last
	err   error
}

func newAlarms(log *slog.Logger) *alarms { return &alarms{log: log, muted: map[alarm]*repeats{}} }

// raise tells or counts one value.
func (a *alarms) raise(kind alarm, name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m, ok := a.muted[kind]; ok {
		*m = repeats{m.count + 1, name, err}
		return
	}
	a.muted[kind] = &repeats{}
	a.tell(kind, repeats{1, name, err})
}

// tell writes a line; one that was forged or put back is more than damage:
// somebody writes to Redis who should not.
func (a *alarms) tell(kind alarm, r repeats) {
	attrs := []any{"thing", kind.thing, "name", gate.Printable(r.name, 200), "count", r.count, "error", r.err}
	if kind.reason == "damaged" {
		a.log.Error("stored value cannot be read and counts as absent", attrs...)
		return
	}
	a.log.Error("stored value is not believed and counts as absent", attrs...)
}

// more tells what was counted. A kind of which nothing came is told at once again.
func (a *alarms) more() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for kind, r := range a.muted {
		if r.count == 0 {
			delete(a.muted, kind)
			continue
		}
		a.tell(kind, *r)
		*r = repeats{}
	}
}

// run tells what was counted until the context ends, and then the rest.
func (a *alarms) run(ctx context.Context) {
	tick := time.NewTicker(alarmEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.more()
			return
		case <-tick.C:
			a.more()
		}
	}
}

// reject counts a value that counts as absent, and raises the alarm.
func (s *Store) reject(thing, name string, err error) {
	kind := alarm{thing, "damaged"}
	switch {
	case errors.Is(err, errForged):
		kind.reason = "forged"
	case errors.Is(err, errReplay):
		kind.reason = "replayed"
	}
	s.metrics.reject(kind)
	s.alarms.raise(kind, name, err)
}
