package sqlite

import (
	"fmt"
	"math/rand/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// batch bounds what one claim puts in order besides its own job, so that no claim takes
// long; the next one continues.
const batch = 500

// expire takes back the jobs whose lease has run out. Each loses an attempt:
// a job that takes its worker down must not continue forever. The first time it
// continues at its place, since its worker may have been killed for another reason.
func (c *claim) expire(maxAttempts int) error {
	h := &c.writer.hints
	if c.now < h.nextLease {
		return nil
	}
	seqs, err := c.scanSeqs(`SELECT seq FROM jobs WHERE state = 3 AND lease_until <= ? ORDER BY lease_until LIMIT ?`, c.now, batch)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		j, err := scanJob(c.row(`SELECT `+jobColumns+` FROM jobs WHERE seq = ?`, seq))
		if err != nil {
			return err
		}
		j.Error = fmt.Sprintf("worker %s was lost: no heartbeat until %s", gate.Quoted(j.Worker, 100), j.LeaseUntil.Format("15:04:05.000"))
		j.Reason, j.Causes = store.LostReason, nil
		j.Attempts++
		switch {
		case j.Attempts >= maxAttempts:
			err = c.end(j, stateFailed)
		case j.Attempts == 1:
			err = c.restore(j)
		default:
			err = c.requeue(j, store.AttemptWait(j.Attempts-1, rand.Float64()))
		}
		if err != nil {
			return err
		}
	}
	return c.row(`SELECT coalesce(min(lease_until), ?) FROM jobs WHERE state = 3`, int64(never)).Scan(&h.nextLease)
}

// promote moves jobs whose delay is over into their lanes, behind what has not
// been tried and waits there by then.
func (c *claim) promote() error {
	h := &c.writer.hints
	if c.now < h.nextDue {
		return nil
	}
	err := c.each(c.listLane, `UPDATE jobs SET state = 0, tried = 1, place = ? WHERE seq IN
		(SELECT seq FROM jobs WHERE state = 1 AND not_before <= ? ORDER BY not_before LIMIT ?)
		RETURNING `+laneColumns, c.now+int64(store.TriedBehind), c.now, batch)
	if err != nil {
		return err
	}
	return c.row(`SELECT coalesce(min(not_before), ?) FROM jobs WHERE state = 1`, int64(never)).Scan(&h.nextDue)
}

// admitByQuota looks at what the period has left. With room, parked jobs
// return to the queue, oldest first, as many as there is room for; without,
// jobs that need a charge are parked, so that everybody sees what they wait
// for.
func (c *claim) admitByQuota() error {
	h := &c.writer.hints
	left := int64(batch)
	if c.req.Period.Limit > 0 {
		var used int64
		if err := c.row(`SELECT coalesce((SELECT used FROM quota WHERE period = ?), 0)`, store.PeriodKey(c.req.Period.Key)).Scan(&used); err != nil {
			return err
		}
		left = c.req.Period.Limit - used
	}
	c.room = left > 0
	if c.room {
		if !h.parked {
			return nil
		}
		if err := c.moved(`UPDATE jobs SET state = 0, updated_at = ? WHERE seq IN (SELECT seq FROM jobs WHERE state = 2 ORDER BY seq LIMIT ?)
			RETURNING `+laneColumns, c.now, min(left, batch)); err != nil {
			return err
		}
		return c.row(`SELECT EXISTS (SELECT 1 FROM jobs WHERE state = 2)`).Scan(&h.parked)
	}
	for l := range h.lanes {
		if l.kind == store.KindAnalyze && l.charge {
			h.parked = true
			return c.moved(`UPDATE jobs SET state = 2, updated_at = ? WHERE seq IN
				(SELECT seq FROM jobs WHERE state = 0 AND kind = 2 AND charge = 1 LIMIT ?)
				RETURNING `+laneColumns, c.now, batch)
		}
	}
	return nil
}

// laneColumns are what listLane and moved read.
const laneColumns = `kind, charge, priority, registry, tried, repository, id`

// listLane reads where a job waits from a row and lists it.
func (t *tx) listLane(row scanner) error {
	_, err := t.listed(row)
	return err
}

func (t *tx) listed(row scanner) (id string, err error) {
	var l lane
	var repository string
	if err := row.Scan(&l.kind, &l.charge, &l.priority, &l.registry, &l.tried, &repository, &id); err != nil {
		return "", err
	}
	t.writer.hints.wait(l, repository)
	return id, nil
}

// moved runs an update of the state of many jobs and tells the feed of each.
func (t *tx) moved(query string, args ...any) error {
	var ids []string
	err := t.each(func(row scanner) error {
		id, err := t.listed(row)
		ids = append(ids, id)
		return err
	}, query, args...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := t.change(gate.ChangeJob, id); err != nil {
			return err
		}
	}
	return nil
}
