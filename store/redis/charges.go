package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Avoid counts requests that were answered without a charge. A request whose answer is
// lost on its way may be counted twice: the figure is for people.
func (s *Store) Avoid(ctx context.Context, period string, n int64) error {
	what := fmt.Sprintf("counting %d avoided charges", n)
	if n < 0 {
		return fmt.Errorf("%s: %w", what, gate.ErrInvalid)
	}
	return s.failedIn(ctx, what, s.client.HIncrBy(ctx, s.keys.quota(period), "avoided", n).Err())
}

// Quota returns what a period has used and avoided; zeros for an unknown one.
func (s *Store) Quota(ctx context.Context, period string) (gate.QuotaUse, error) {
	var use struct {
		Used    int64 `redis:"used"`
		Avoided int64 `redis:"avoided"`
	}
	err := s.client.HMGet(ctx, s.keys.quota(period), "used", "avoided").Scan(&use)
	if err != nil {
		return gate.QuotaUse{}, s.failedIn(ctx, fmt.Sprintf("reading the use of period %s", gate.Quoted(period, 40)), err)
	}
	return gate.QuotaUse{Used: use.Used, Avoided: use.Avoided}, nil
}

// NextPull is when the hourly pulls of a registry have room for one more.
func (s *Store) NextPull(ctx context.Context, registry string, limit int) (time.Time, error) {
	if limit <= 0 {
		return time.Time{}, nil
	}
	what := fmt.Sprintf("reading the pulls of registry %s", gate.Quoted(registry, 100))
	started, err := s.client.ZRevRangeWithScores(ctx, s.keys.starts(registry), int64(limit-1), int64(limit-1)).Result()
	if err != nil || len(started) == 0 {
		return time.Time{}, s.failedIn(ctx, what, err)
	}
	now, err := s.Now(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return store.NextPull(timeOf(int64(started[0].Score)), now), nil
}

// charge is a charge as the scripts store it.
type charge struct {
	Period string `msgpack:"p"`
	At     int64  `msgpack:"t"`
	Served bool   `msgpack:"s"`
}

// Charged returns the charge of a digest, the zero Charge without one.
func (s *Store) Charged(ctx context.Context, digest gate.Digest) (gate.Charge, error) {
	what := fmt.Sprintf("reading the charge of %s", gate.Printable(string(digest), 100))
	stored, err := s.client.HGet(ctx, s.keys.charges(), string(digest)).Result()
	if errors.Is(err, redis.Nil) {
		return gate.Charge{}, nil
	}
	if err != nil {
		return gate.Charge{}, s.failedIn(ctx, what, err)
	}
	var c charge
	if err := msgpack.Unmarshal([]byte(stored), &c); err != nil {
		return gate.Charge{}, s.failed(what, err)
	}
	return gate.Charge{Period: c.Period, At: timeOf(c.At), Served: c.Served}, nil
}

// ChargesOf returns the charges of many digests.
func (s *Store) ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error) {
	charges := make(map[gate.Digest]gate.Charge, len(digests))
	if len(digests) == 0 {
		return charges, nil
	}
	what := fmt.Sprintf("reading the charges of %d digests", len(digests))
	fields := make([]string, len(digests))
	for i, d := range digests {
		fields[i] = string(d)
	}
	stored, err := s.client.HMGet(ctx, s.keys.charges(), fields...).Result()
	if err != nil {
		return nil, s.failedIn(ctx, what, err)
	}
	for i, value := range stored {
		packed, ok := value.(string)
		if !ok {
			continue // there is none
		}
		var c charge
		if err := msgpack.Unmarshal([]byte(packed), &c); err != nil {
			return nil, s.failed(what, err)
		}
		charges[digests[i]] = gate.Charge{Period: c.Period, At: timeOf(c.At), Served: c.Served}
	}
	return charges, nil
}

// Restore charges a digest that was analysed and has no charge.
func (s *Store) Restore(ctx context.Context, digest gate.Digest, period string, at time.Time) (added bool, err error) {
	what := fmt.Sprintf("restoring the charge of %s", gate.Printable(string(digest), 100))
	if err := store.CheckCharge(digest, at); err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	answer, err := s.run(ctx, scriptRestore, args{"digest": string(digest), "period": store.PeriodKey(period), "at": at.UnixMicro()})
	if err != nil {
		return false, s.failedIn(ctx, what, err)
	}
	s.changedHere()
	return answer == int64(1), nil
}

// Spend takes one from the budget of the present window. When the answer is lost
// on its way, the repeated call may take a second one: a limit errs on the safe
// side.
func (s *Store) Spend(ctx context.Context, budget string, limit int, window time.Duration) (bool, error) {
	what := fmt.Sprintf("spending from budget %s", gate.Quoted(budget, 200))
	if window < time.Microsecond {
		return false, fmt.Errorf("%s: a window of %s: %w", what, window, gate.ErrInvalid)
	}
	answer, err := s.run(ctx, scriptSpend, args{"name": budget, "limit": limit, "window": window.Microseconds()})
	if err != nil {
		return false, s.failedIn(ctx, what, err)
	}
	return answer == int64(1), nil
}
