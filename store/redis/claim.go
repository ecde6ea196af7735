package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Claim leases the next job to the worker; gate.ErrNoJob when there is none for
// it.
func (s *Store) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	what := fmt.Sprintf("claiming a job for %q", gate.Printable(req.Worker, 100))
	mask, err := store.CheckClaim(req)
	if err != nil {
		return gate.Job{}, fmt.Errorf("%s: %w", what, err)
	}
	s.limits.Store(&req.Registries)
	answer, err := s.run(ctx, scriptClaim, args{
		"worker": req.Worker, "mask": mask, "norescan": req.NoRescan, "limits": limits(req.Registries),
		"period": store.PeriodKey(req.Period.Key), "quota": req.Period.Limit, "lease": req.Lease.Microseconds(),
		"max": store.Attempts(req.MaxAttempts), "rescan": int(gate.PriorityRescan), "classes": len(gate.Priorities()),
		"patience": store.FairAfter, "lost": store.LostReason, "retention": s.options.JobRetention.Microseconds(), "nonce": random(),
	})
	if errors.Is(err, redis.Nil) {
		return gate.Job{}, gate.ErrNoJob
	}
	if err != nil {
		return gate.Job{}, s.failedIn(ctx, what, err)
	}
	stored, _ := answer.(string)
	j, err := decodeJob(stored)
	if err != nil {
		return gate.Job{}, s.failed(what, err)
	}
	s.changedHere()
	return j, nil
}

// limits are those of the registries that have some, as the scripts take them.
func limits(registries map[string]gate.Limits) map[string][2]int {
	out := map[string][2]int{}
	for name, l := range registries {
		if l != (gate.Limits{}) {
			out[name] = [2]int{l.Concurrency, l.PullsPerHour}
		}
	}
	return out
}
