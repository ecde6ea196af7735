package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Serve keeps the charge of the leased analysis from now on.
func (s *Store) Serve(ctx context.Context, lease gate.Lease) error {
	what := fmt.Sprintf("keeping the charge of job %s", gate.Quoted(lease.JobID, 60))
	_, err := write(ctx, s, what, func(t *tx) (struct{}, error) {
		j, err := t.leased(lease)
		if err != nil || j.Kind != gate.JobAnalyze {
			return struct{}{}, err // a resolve of the digest serves nothing for its analysis
		}
		return struct{}{}, t.exec(`UPDATE charges SET served = 1 WHERE digest = ? AND served = 0`, string(j.Digest))
	})
	return err
}

// Avoid counts requests that were answered without a charge.
func (s *Store) Avoid(ctx context.Context, period string, n int64) error {
	what := fmt.Sprintf("counting %d avoided charges", n)
	if n < 0 {
		return fmt.Errorf("%s: %w", what, gate.ErrInvalid)
	}
	_, err := write(ctx, s, what, func(t *tx) (struct{}, error) {
		return struct{}{}, t.account(period, 0, n)
	})
	return err
}

// Quota returns what a period has used and avoided; zeros for an unknown one.
func (s *Store) Quota(ctx context.Context, period string) (gate.QuotaUse, error) {
	var use gate.QuotaUse
	err := s.queries.row(ctx, queryQuota, store.PeriodKey(period)).Scan(&use.Used, &use.Avoided)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return gate.QuotaUse{}, storeError(fmt.Sprintf("reading the use of period %s", gate.Quoted(period, 40)), err)
	}
	return use, nil
}

// NextPull is when the hourly pulls of a registry have room for one more.
func (s *Store) NextPull(ctx context.Context, registry string, limit int) (time.Time, error) {
	if limit <= 0 {
		return time.Time{}, nil
	}
	var at int64
	err := s.queries.row(ctx, queryPull, registry, limit-1).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, storeError(fmt.Sprintf("reading the pulls of registry %s", gate.Quoted(registry, 100)), err)
	}
	return store.NextPull(timeOf(at), s.now()), nil
}

// Charged returns the charge of a digest, the zero Charge without one.
func (s *Store) Charged(ctx context.Context, digest gate.Digest) (gate.Charge, error) {
	var c gate.Charge
	var at int64
	err := s.queries.row(ctx, queryCharged, string(digest)).Scan(&c.Period, &at, &c.Served)
	if errors.Is(err, sql.ErrNoRows) {
		return gate.Charge{}, nil
	}
	if err != nil {
		return gate.Charge{}, storeError(fmt.Sprintf("reading the charge of %s", gate.Printable(string(digest), 100)), err)
	}
	c.At = timeOf(at)
	return c, nil
}

// ChargesOf returns the charges of many digests.
func (s *Store) ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error) {
	charges := make(map[gate.Digest]gate.Charge, len(digests))
	err := s.queries.list(ctx, func(row scanner) error {
		var d gate.Digest
		var c gate.Charge
		var at int64
		err := row.Scan(&d, &c.Period, &at, &c.Served)
		if err == nil {
			c.At = timeOf(at)
			charges[d] = c
		}
		return err
	}, listCharges, texts(digests))
	if err != nil {
		return nil, storeError(fmt.Sprintf("reading the charges of %d digests", len(digests)), err)
	}
	return charges, nil
}

// Restore charges a digest that was analysed and has no charge.
func (s *Store) Restore(ctx context.Context, digest gate.Digest, period string, at time.Time) (bool, error) {
	what := fmt.Sprintf("restoring the charge of %s", gate.Printable(string(digest), 100))
	if err := store.CheckCharge(digest, at); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return write(ctx, s, what, func(t *tx) (bool, error) {
		charged, err := t.charged(digest)
		if err != nil {
			return false, err
		}
		if charged != "" {
			return false, t.exec(`UPDATE charges SET served = 1 WHERE digest = ? AND served = 0`, string(digest))
		}
		if err := t.exec(`INSERT INTO charges (digest, period, served, at) VALUES (?, ?, 1, ?)`,
			string(digest), store.PeriodKey(period), nanos(at)); err != nil {
			return false, err
		}
		if err := t.account(period, 1, 0); err != nil {
			return false, err
		}
		return true, t.waive(digest)
	})
}

// waive lets the live job of a digest that has been charged meanwhile continue without
// a charge of its own.
func (t *tx) waive(digest gate.Digest) error {
	j, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs WHERE kind = 2 AND key = ? AND superseded = 0`, string(digest)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || !j.State.Live() || !j.charge {
		return err
	}
	j.charge = false
	if j.state == stateParked {
		j.to(stateReady)
	}
	return t.save(j)
}

// Spend takes one from the budget of the present window.
func (s *Store) Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error) {
	what := fmt.Sprintf("spending from budget %s", gate.Quoted(budget, 200))
	if window <= 0 {
		return false, fmt.Errorf("%s: a window of %s: %w", what, window, gate.ErrInvalid)
	}
	return write(ctx, s, what, func(t *tx) (bool, error) {
		start, end := store.Window(timeOf(t.now), window)
		var began, used int64
		err := t.row(`SELECT starts, used FROM budgets WHERE name = ?`, budget).Scan(&began, &used)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return false, err
		}
		if err != nil || began != start {
			used = 0
		}
		if used >= int64(limit) {
			return false, nil
		}
		return true, t.exec(`INSERT INTO budgets (name, starts, ends, used) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (name) DO UPDATE SET starts = ?2, ends = ?3, used = ?4`, budget, start, end, used+1)
	})
}

func (t *tx) charged(digest gate.Digest) (period string, err error) {
	err = t.row(`SELECT period FROM charges WHERE digest = ?`, string(digest)).Scan(&period)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return period, err
}

// reserve charges the digest of a job that is being claimed.
func (t *tx) reserve(j *job, period string) error {
	if err := t.exec(`INSERT INTO charges (digest, period, served, at) VALUES (?, ?, 0, ?)`,
		string(j.Digest), store.PeriodKey(period), t.now); err != nil {
		return err
	}
	j.charge = false
	return t.account(period, 1, 0)
}

// giveBack returns the charge of an analysis that ended before a layer byte
// was pulled.
func (t *tx) giveBack(j *job) error {
	if j.Kind != gate.JobAnalyze || j.charge {
		return nil
	}
	var period string
	err := t.row(`DELETE FROM charges WHERE digest = ? AND served = 0 RETURNING period`, string(j.Digest)).Scan(&period)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	j.charge = true
	return t.account(period, -1, 0)
}

// account adds to what a period has used and avoided.
func (t *tx) account(period string, used, avoided int64) error {
	return t.exec(`INSERT INTO quota (period, used, avoided) VALUES (?1, max(?2, 0), ?3)
		ON CONFLICT (period) DO UPDATE SET used = used + ?2, avoided = avoided + ?3`, store.PeriodKey(period), used, avoided)
}
