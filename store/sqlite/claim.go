package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Claim leases the next job to the worker; gate.ErrNoJob when there is none
// for it.
func (s *Store) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	what := fmt.Sprintf("claiming a job for %s", gate.Quoted(req.Worker, 100))
	mask, err := store.CheckClaim(req)
	if err != nil {
		return gate.Job{}, fmt.Errorf("%s: %w", what, err)
	}
	// A claim that has been made but not answered would keep its job from
	// everybody for the length of the lease, so it is waited for.
	return submit(ctx, s, what, true, func(t *tx) (gate.Job, error) {
		c := claim{tx: t, req: req, mask: mask}
		j, err := c.take()
		if err != nil {
			return gate.Job{}, err
		}
		if j == nil {
			return gate.Job{}, gate.ErrNoJob
		}
		return j.Job, nil
	})
}

// claim is one claim at work.
type claim struct {
	*tx
	req  gate.ClaimRequest
	mask int
	room bool // the period's quota has room for one more
	// due says that the job passes over a newcomer, so that the next turn is a newcomer's.
	due bool
	// leaving is a running job that does not count, nil for none.
	leaving *job
}

func (c *claim) take() (*job, error) {
	h := &c.writer.hints
	h.limits, h.limitsAt = c.req.Registries, c.now
	if err := c.expire(store.Attempts(c.req.MaxAttempts)); err != nil {
		return nil, err
	}
	if err := c.promote(); err != nil {
		return nil, err
	}
	if c.mask&store.KindAnalyze != 0 {
		if err := c.admitByQuota(); err != nil {
			return nil, err
		}
	}
	found, err := c.choose()
	if err != nil || found == nil {
		return nil, err
	}
	return c.lease(found)
}

// blocked reports whether the registry of a lane rests or is at one of its limits. The
// limit of concurrency holds for each kind of job by itself, so that long
// analyses do not keep tags from being confirmed.
func (c *claim) blocked(l lane) (bool, error) {
	limits := c.req.Registries[l.registry]
	if limits.Rests(store.KindOf(l.kind), l.tried) && c.writer.hints.limitsAt+int64(limits.Rest) > c.now {
		return true, nil
	}
	n := c.writer.hints.running.lanes[registryKind{l.registry, l.kind}]
	if j := c.leaving; j != nil && j.Location.Registry == l.registry && store.KindBit(j.Kind) == l.kind {
		n--
	}
	if limits.Concurrency > 0 && n >= limits.Concurrency {
		return true, nil
	}
	if limits.PullsPerHour > 0 && l.kind == store.KindAnalyze {
		return c.pulledOut(l.registry, limits.PullsPerHour)
	}
	return false, nil
}

// pulledOut reports whether limit analyses were started within the last hour.
func (t *tx) pulledOut(registry string, limit int) (bool, error) {
	var at int64
	err := t.row(`SELECT at FROM starts WHERE registry = ? ORDER BY at DESC LIMIT 1 OFFSET ?`, registry, limit-1).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return at > t.now-int64(time.Hour), err
}

// lease gives a job to the worker.
func (c *claim) lease(head *head) (*job, error) {
	epoch, err := c.nextEpoch()
	if err != nil {
		return nil, err
	}
	until := c.now + int64(c.req.Lease)
	j, err := scanJob(c.row(`UPDATE jobs SET state = 3, epoch = ?, worker = ?, mask = ?, charge = 0, started_at = ?, updated_at = ?,
		lease_until = ?, not_before = 0, progress = '' WHERE seq = ? AND state = 0 RETURNING `+jobColumns,
		epoch, c.req.Worker, c.mask, c.now, c.now, until, head.seq))
	if err != nil {
		return nil, err
	}
	if head.lane.charge {
		if err := c.reserve(j, c.req.Period.Key); err != nil {
			return nil, err
		}
	}
	h := &c.writer.hints
	h.nextLease = min(h.nextLease, until)
	h.running.start(j.seq, repositoryKind{registryKind{j.Location.Registry, head.lane.kind}, j.Location.Repository})
	h.turn(c.mask, head.lane, head.repository, head.last)
	h.due[classOf{c.mask, head.lane.priority}] = c.due
	if err := c.started(j); err != nil {
		return nil, err
	}
	if err := c.passed(head.lane.priority); err != nil {
		return nil, err
	}
	return j, c.change(gate.ChangeJob, j.ID)
}

// started counts an analysis against the pulls per hour of its registry.
// Registries without such a limit are not counted.
func (c *claim) started(j *job) error {
	if j.Kind != gate.JobAnalyze || c.req.Registries[j.Location.Registry].PullsPerHour <= 0 {
		return nil
	}
	if err := c.exec(`DELETE FROM starts WHERE registry = ? AND at <= ?`, j.Location.Registry, c.now-int64(time.Hour)); err != nil {
		return err
	}
	return c.exec(`INSERT INTO starts (registry, at) VALUES (?, ?)`, j.Location.Registry, c.now)
}

// turns counts, for each class, the claims that passed it over while it
// waited.
type turns [4]int64

// order is the order in which a claim looks at the classes: first those whose
// turn is due, longest waiting first, then by urgency.
func (c *claim) order() []gate.Priority {
	n := c.writer.hints.turns[c.mask]
	order := gate.Priorities()
	slices.SortStableFunc(order, func(a, b gate.Priority) int {
		return cmp.Compare(due(n[b]), due(n[a]))
	})
	return slices.DeleteFunc(order, func(p gate.Priority) bool {
		return p == gate.PriorityRescan && c.req.NoRescan
	})
}

// due is how long a class has been waiting beyond its patience.
func due(n int64) int64 { return max(n-store.FairAfter+1, 0) }

// passed notes that a class was served and which others had to wait. A class
// counts as waiting when a lane of it is listed; one that turns out to be
// empty loses nothing by it.
func (c *claim) passed(served gate.Priority) error {
	h := &c.writer.hints
	before := h.turns[c.mask]
	after := before
	waiting := map[gate.Priority]bool{}
	for l := range h.lanes {
		if l.kind&c.mask != 0 && (!l.charge || c.room) {
			waiting[l.priority] = true
		}
	}
	for _, class := range gate.Priorities() {
		switch {
		case class == served:
			after[class] = 0
		case waiting[class]:
			after[class]++
		}
	}
	if after == before {
		return nil
	}
	h.turns[c.mask] = after
	return c.exec(`INSERT INTO turns (mask, interactive, push, sync, rescan) VALUES (?1, ?2, ?3, ?4, ?5)
		ON CONFLICT (mask) DO UPDATE SET interactive = ?2, push = ?3, sync = ?4, rescan = ?5`,
		c.mask, after[0], after[1], after[2], after[3])
}

// scanSeqs collects the numbers that a query returns.
func (t *tx) scanSeqs(query string, args ...any) (seqs []int64, err error) {
	err = t.each(func(row scanner) error {
		var seq int64
		if err := row.Scan(&seq); err != nil {
			return err
		}
		seqs = append(seqs, seq)
		return nil
	}, query, args...)
	return seqs, err
}
