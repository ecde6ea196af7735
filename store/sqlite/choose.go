package sqlite

import (
	"cmp"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// running counts the jobs at work, so that a claim need not.
type running struct {
	jobs         map[int64]repositoryKind // by number
	lanes        map[registryKind]int
	repositories map[repositoryKind]int
}

type registryKind struct {
	registry string
	kind     int
}

type repositoryKind struct {
	registryKind
	repository string
}

func newRunning() *running {
	return &running{map[int64]repositoryKind{}, map[registryKind]int{}, map[repositoryKind]int{}}
}

// start notes that a job is at work.
func (r *running) start(seq int64, at repositoryKind) {
	r.stop(seq)
	r.jobs[seq] = at
	r.lanes[at.registryKind]++
	r.repositories[at]++
}

// stop notes that a job is not at work, whether or not it was.
func (r *running) stop(seq int64) {
	at, ok := r.jobs[seq]
	if !ok {
		return
	}
	delete(r.jobs, seq)
	if r.lanes[at.registryKind]--; r.lanes[at.registryKind] == 0 {
		delete(r.lanes, at.registryKind)
	}
	if r.repositories[at]--; r.repositories[at] == 0 {
		delete(r.repositories, at)
	}
}

// holder is the registry that has all running jobs of the kinds in mask, "" when
// no registry has.
func (r *running) holder(mask int) (name string) {
	for at := range r.lanes {
		if at.kind&mask == 0 || at.registry == name {
			continue
		}
		if name != "" {
			return ""
		}
		name = at.registry
	}
	return name
}

// loadRunning reads what is at work.
func (t *tx) loadRunning(r *running) error {
	return t.each(func(row scanner) error {
		var seq int64
		var at repositoryKind
		if err := row.Scan(&seq, &at.registry, &at.kind, &at.repository); err != nil {
			return err
		}
		r.start(seq, at)
		return nil
	}, `SELECT seq, registry, kind, repository FROM jobs WHERE state = 3`)
}

// head is a job that may be claimed next, and where it waits.
type head struct {
	lane       lane
	repository string
	atWork     int // running jobs of the repository
	seq, place int64
	last       bool // nothing else of the repository waits in the lane
}

// compare puts the repository with the fewest running jobs first, then age.
func (a *head) compare(b *head) int {
	return cmp.Or(cmp.Compare(a.atWork, b.atWork), cmp.Compare(a.place, b.place), cmp.Compare(a.seq, b.seq))
}

// option is a lane that may be served, and what its registry has had.
type option struct {
	lane   lane
	atWork int   // running jobs of the registry, of the kinds asked for
	served int64 // the tick of its last turn, 0: none
}

func (o option) compare(p option) int {
	return cmp.Or(cmp.Compare(o.atWork, p.atWork), cmp.Compare(o.served, p.served))
}

// choose finds the next job as store.Scheduler words it, nil when there is none.
// The registry that yields is looked at last.
func (c *claim) choose() (*head, error) {
	if len(c.writer.hints.lanes) == 0 {
		return nil, nil
	}
	classes, err := c.options()
	if err != nil {
		return nil, err
	}
	y := c.req.Yielding
	if c.req.Single {
		y = c.writer.hints.running.holder(c.mask)
	}
	if y != "" {
		found, err := c.first(classes, func(l lane) bool { return l.registry != y && l.priority != gate.PriorityRescan })
		if err != nil || found != nil {
			return found, err
		}
	}
	return c.first(classes, func(lane) bool { return true })
}

// options lists the lanes that may be served, by class, fairest first.
func (c *claim) options() (map[gate.Priority][]option, error) {
	h := &c.writer.hints
	classes := map[gate.Priority][]option{}
	for l := range h.lanes {
		if l.kind&c.mask == 0 || (l.charge && !c.room) {
			continue
		}
		blocked, err := c.blocked(l)
		if err != nil {
			return nil, err
		}
		if blocked {
			continue
		}
		o := option{lane: l, served: h.served[served{c.mask, l.registry}]}
		for kind := c.mask; kind > 0; kind &= kind - 1 {
			o.atWork += c.writer.hints.running.lanes[registryKind{l.registry, kind & -kind}]
		}
		classes[l.priority] = append(classes[l.priority], o)
	}
	for _, list := range classes {
		slices.SortFunc(list, option.compare)
	}
	return classes, nil
}

// first finds a job of the first class that has one among the lanes wanted:
// first one that has not been tried or has let others pass for long enough.
func (c *claim) first(classes map[gate.Priority][]option, wanted func(lane) bool) (*head, error) {
	for _, class := range c.order() {
		list := slices.DeleteFunc(slices.Clone(classes[class]), func(o option) bool { return !wanted(o.lane) })
		newcomer, name, err := c.newcomer(list)
		if err != nil || (newcomer != nil && c.writer.hints.due[classOf{c.mask, class}]) {
			return newcomer, err
		}
		for _, tried := range []bool{false, true} {
			found, err := c.fairest(list, tried)
			if err != nil || found != nil {
				c.due = newcomer != nil && found != nil && found.lane.registry != name
				return found, err
			}
		}
	}
	return nil, nil
}

// fairest finds the job of the fairest registry; among those that are equal, and
// among the lanes of one, the fairest repository and the oldest job decide.
func (c *claim) fairest(list []option, tried bool) (best *head, err error) {
	for i, o := range list {
		if best != nil && o.compare(list[i-1]) != 0 {
			break
		}
		found, err := c.headOf(o.lane)
		if err != nil {
			return nil, err
		}
		if found == nil || (o.lane.tried && !tried && found.place > c.now) {
			continue
		}
		if best == nil || found.compare(best) < 0 {
			best = found
		}
	}
	return best, nil
}

// headOf is the next job of a lane: of the repository with the fewest running
// jobs, of several the one whose turn is longest ago. nil when the lane is empty,
// which the hints then know. It looks at no more repositories than have running
// jobs, and one.
func (c *claim) headOf(l lane) (*head, error) {
	r := c.writer.hints.lanes[l]
	for r != nil && r.order.Len() > 0 {
		h := head{lane: l, atWork: -1}
		for e := r.order.Front(); e != nil && h.atWork != 0; e = e.Next() {
			name := e.Value.(spot).repository
			n := c.writer.hints.running.repositories[repositoryKind{registryKind{l.registry, l.kind}, name}]
			if h.atWork < 0 || n < h.atWork {
				h.repository, h.atWork = name, n
			}
		}
		n := 0
		err := c.each(func(row scanner) error {
			if n++; n > 1 {
				return nil
			}
			return row.Scan(&h.seq, &h.place)
		}, `SELECT seq, place FROM jobs WHERE state = 0 AND kind = ? AND charge = ? AND priority = ? AND registry = ?
			AND tried = ? AND repository = ? ORDER BY place, seq LIMIT 2`,
			l.kind, l.charge, int(l.priority), l.registry, l.tried, h.repository)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			h.last = n == 1
			return &h, nil
		}
		r.drop(h.repository)
	}
	delete(c.writer.hints.lanes, l)
	return nil, nil
}
