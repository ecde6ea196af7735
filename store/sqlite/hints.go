package sqlite

import (
	"container/list"
	"database/sql"
	"errors"
	"math"

	"github.com/digestgate/digestgate/gate"
)

// lane is one part of the queue: jobs of the same kind, class, registry and need
// of a charge, tried or not. Its repositories take turns; the jobs of one are in
// the order of their place.
type lane struct {
	kind     int
	charge   bool
	priority gate.Priority
	registry string
	tried    bool
}

// ring is the repositories of a lane that may have a job waiting, the one whose
// turn is longest ago first.
type ring struct {
	order *list.List // of spots
	at    map[string]*list.Element
}

// spot is the place of a repository in a ring, and the tick since when it has it.
type spot struct {
	repository string
	since      int64
}

// since is the tick since when the first repository in the ring waits for its turn, 0
// when the ring is empty.
func (r *ring) since() int64 {
	if r == nil || r.order.Len() == 0 {
		return 0
	}
	return r.order.Front().Value.(spot).since
}

func newRing() *ring { return &ring{order: list.New(), at: map[string]*list.Element{}} }

func (r *ring) drop(repository string) {
	if e := r.at[repository]; e != nil {
		r.order.Remove(e)
		delete(r.at, repository)
	}
}

// wait notes that a job of the repository waits in the lane.
func (h *hints) wait(l lane, repository string) {
	r := h.lanes[l]
	if r == nil {
		r = newRing()
		h.lanes[l] = r
	}
	if r.at[repository] == nil {
		h.ticks++
		r.at[repository] = r.order.PushBack(spot{repository, h.ticks})
	}
}

// turn notes that a claim for the kinds in mask has served a repository from the lane.
// last says that the repository has no other job there.
func (h *hints) turn(mask int, l lane, repository string, last bool) {
	h.ticks++
	h.served[served{mask, l.registry}] = h.ticks
	r := h.lanes[l]
	if r == nil || r.at[repository] == nil {
		return
	}
	r.drop(repository)
	switch {
	case !last:
		r.at[repository] = r.order.PushBack(spot{repository, h.ticks})
	case r.order.Len() == 0:
		delete(h.lanes, l)
	}
}

// served is a registry whose jobs of some kinds were claimed.
type served struct {
	mask     int
	registry string
}

// classOf is a class as claims of some kinds see it.
type classOf struct {
	mask     int
	priority gate.Priority
}

// hints are what the writer remembers between claims so that it need not ask
// the database. They err on one side only: a lane that is not listed is empty,
// no lease ends before nextLease, no delay before nextDue, nothing is parked
// when parked is false. After a rollback they are read again.
type hints struct {
	loaded             bool
	seq                int64 // of the newest job
	epoch, epochs      int64 // handed out; reserved in the database
	lanes              map[lane]*ring
	running            *running
	nextLease, nextDue int64
	parked             bool
	turns              map[int]turns
	limits             map[string]gate.Limits // of the latest claim
	limitsAt           int64                  // when that was
	// ticks counts turns and arrivals in the rings. served has the tick of each
	// registry's last turn. due says in which classes the last claim passed over a
	// newcomer. A restart loses them, which costs one round at most.
	ticks    int64
	served   map[served]int64
	due      map[classOf]bool
	appended int64 // changes since the last tidying
}

// epochBlock is how many epochs one write reserves. A crash leaves up to that
// many unused, which does no harm: epochs only have to grow.
const epochBlock = 1000

func (t *tx) loadHints() error {
	h := hints{
		loaded: true, lanes: map[lane]*ring{}, running: newRunning(), turns: map[int]turns{},
		served: map[served]int64{}, due: map[classOf]bool{},
		limits: t.writer.hints.limits, limitsAt: t.writer.hints.limitsAt, appended: t.writer.hints.appended, parked: true,
	}
	if err := t.row(`SELECT coalesce(max(seq), 0) FROM jobs`).Scan(&h.seq); err != nil {
		return err
	}
	var err error
	if h.epochs, err = t.counter("epoch"); err != nil {
		return err
	}
	h.epoch = h.epochs
	err = t.each(func(row scanner) error {
		var l lane
		var repository string
		if err := row.Scan(&l.kind, &l.charge, &l.priority, &l.registry, &l.tried, &repository); err != nil {
			return err
		}
		h.wait(l, repository)
		return nil
	}, `SELECT kind, charge, priority, registry, tried, repository FROM jobs WHERE state = 0 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY min(place)`)
	if err != nil {
		return err
	}
	err = t.each(func(row scanner) error {
		var mask int
		var n turns
		if err := row.Scan(&mask, &n[0], &n[1], &n[2], &n[3]); err != nil {
			return err
		}
		h.turns[mask] = n
		return nil
	}, `SELECT mask, interactive, push, sync, rescan FROM turns`)
	if err == nil {
		err = t.loadRunning(h.running)
	}
	t.writer.hints = h
	return err
}

// nextEpoch hands out an epoch, higher than all before.
func (t *tx) nextEpoch() (int64, error) {
	h := &t.writer.hints
	if h.epoch == h.epochs {
		if err := t.setCounter("epoch", h.epochs+epochBlock); err != nil {
			return 0, err
		}
		h.epochs += epochBlock
	}
	h.epoch++
	return h.epoch, nil
}

func (t *tx) counter(name string) (n int64, err error) {
	err = t.row(`SELECT value FROM counters WHERE name = ?`, name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

func (t *tx) setCounter(name string, n int64) error {
	return t.exec(`INSERT INTO counters (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2`, name, n)
}

const never = math.MaxInt64
