package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Claim leases the next job to the worker; gate.ErrNoJob when there is none for
// it.
func (s *Store) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	of := fmt.Sprint(req.Worker, req.Kinds)
	nonce := s.unheard.take(of)
	job, err := s.claim(ctx, req, nonce)
	if err != nil && !errors.Is(err, gate.ErrNoJob) && !errors.Is(err, gate.ErrInvalid) {
		s.unheard.keep(of, nonce)
	}
	return job, err
}

// unheard are the nonces of claims whose outcome nobody knows, by worker and
// kinds. Its next claim repeats one of them: a job that the server has leased to it then
// comes into its hands. Otherwise the job would rest until the lease has run
// out, and lose an attempt for it. The zero value is ready.
type unheard struct {
	mu     sync.Mutex
	nonces map[string][]string
}

func (u *unheard) take(worker string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.nonces[worker]
	if len(list) == 0 {
		return random()
	}
	if u.nonces[worker] = list[1:]; len(list) == 1 {
		delete(u.nonces, worker)
	}
	return list[0]
}

func (u *unheard) keep(worker, nonce string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.nonces == nil {
		u.nonces = map[string][]string{}
	}
	u.nonces[worker] = append(u.nonces[worker], nonce)
}

// claim is one claim, however often it is sent: nonce tells it from others.
func (s *Store) claim(ctx context.Context, req gate.ClaimRequest, nonce string) (gate.Job, error) {
	what := fmt.Sprintf("claiming a job for %s", gate.Quoted(req.Worker, 100))
	mask, err := store.CheckClaim(req)
	if err != nil {
		return gate.Job{}, fmt.Errorf("%s: %w", what, err)
	}
	s.limits.Store(&claimLimits{req.Registries, time.Now()})
	answer, err := s.run(ctx, scriptClaim, args{
		"worker": req.Worker, "mask": mask, "norescan": req.NoRescan, "yielding": req.Yielding, "single": req.Single, "limits": limits(req.Registries, 0),
		"period": store.PeriodKey(req.Period.Key), "quota": req.Period.Limit, "lease": req.Lease.Microseconds(),
		"max": store.Attempts(req.MaxAttempts), "waits": attemptWaits(), "rescan": int(gate.PriorityRescan), "classes": len(gate.Priorities()),
		"patience": store.FairAfter, "lost": store.LostReason, "retention": s.options.JobRetention.Microseconds(), "nonce": nonce,
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

// claimLimits are those of a claim, and when it was made.
type claimLimits struct {
	registries map[string]gate.Limits
	at         time.Time
}

// now is how the scripts take them at present: a rest may be over by now.
func (l *claimLimits) now() map[string][3]int64 { return limits(l.registries, time.Since(l.at)) }

// limits are those of the registries that have some, as the scripts take them:
// concurrency, pulls per hour, and what is left of a rest in microseconds since it was
// as long as they say.
func limits(registries map[string]gate.Limits, since time.Duration) map[string][3]int64 {
	out := map[string][3]int64{}
	for name, l := range registries {
		if l != (gate.Limits{}) {
			out[name] = [3]int64{int64(l.Concurrency), int64(l.PullsPerHour), max((l.Rest - since + time.Microsecond - 1).Microseconds(), 0)}
		}
	}
	return out
}
