package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Heartbeat extends a lease and stores the progress.
func (s *Store) Heartbeat(ctx context.Context, lease gate.Lease, extend time.Duration, p gate.Progress) (gate.Beat, error) {
	what := fmt.Sprintf("extending the lease of job %s", gate.Quoted(lease.JobID, 60))
	if extend <= 0 {
		return gate.Beat{}, fmt.Errorf("%s: by %s: %w", what, extend, gate.ErrInvalid)
	}
	answer, err := s.run(ctx, scriptHeartbeat, args{
		"id": lease.JobID, "epoch": lease.Epoch, "extend": extend.Microseconds(), "progress": progressText(p), "limits": s.limits.Load().now(),
	})
	rest, err := s.leased(ctx, what, lease.JobID, answer, err)
	if err != nil {
		return gate.Beat{}, err
	}
	urgent, _ := rest[0].(int64)
	s.changedHere()
	return gate.Beat{Urgent: urgent == 1}, nil
}

// progressText is progress as it is stored, "" for none.
func progressText(p gate.Progress) string {
	if p == (gate.Progress{}) {
		return ""
	}
	text, _ := json.Marshal(p) // strings and numbers cannot fail
	return string(text)
}

// leased reads what a script that needs a lease has answered.
func (s *Store) leased(ctx context.Context, what, id string, answer any, err error) ([]any, error) {
	var word string
	var rest []any
	if err == nil {
		word, rest, err = reply(answer)
	}
	if err != nil {
		return nil, s.failedIn(ctx, what, err)
	}
	return rest, leaseError(id, word, rest)
}

// verbs are the names that finish.lua has for what becomes of a job.
var verbs = map[store.Verb]string{
	store.VerbDone: "done", store.VerbAgain: "again", store.VerbWait: "wait", store.VerbAttempt: "attempt",
	store.VerbFail: "fail", store.VerbCancel: "cancel",
}

// Finish ends a claim.
func (s *Store) Finish(ctx context.Context, lease gate.Lease, result gate.Result) (gate.Job, error) {
	what := fmt.Sprintf("finishing job %s", gate.Quoted(lease.JobID, 60))
	// How many attempts were counted is known there: judged as if there were
	// none, the script compares with the limit.
	verb, after := store.VerbFor(result, math.MinInt32)
	message, reason := store.Reason(result.Err)
	answer, err := s.run(ctx, scriptFinish, args{
		"id": lease.JobID, "epoch": lease.Epoch, "verb": verbs[verb], "max": store.Attempts(result.MaxAttempts),
		"after": after.Microseconds(), "backoff": backoffs(), "waits": attemptWaits(), "error": store.JoinError(message, gate.CausesOf(result.Err, time.Now())), "reason": reason, "nonce": random(),
		"refusal": int(store.RefusalOf(result, verb)), "refusedFor": store.RefusedFor.Microseconds(), "progress": progressText(result.Progress),
	})
	rest, err := s.leased(ctx, what, lease.JobID, answer, err)
	if err != nil {
		return gate.Job{}, err
	}
	return s.ended(what, text(rest, 0))
}

func (s *Store) ended(what, stored string) (gate.Job, error) {
	j, err := decodeJob(stored)
	if err != nil {
		return gate.Job{}, s.failed(what, err)
	}
	s.changedHere()
	return j, nil
}

// backoffs are the waits by the number of those before; the last one holds from
// there on.
func backoffs() []int64 {
	jitter := rand.Float64()
	var list []int64
	for retries := 0; ; retries++ {
		list = append(list, store.Backoff(retries, jitter).Microseconds())
		if store.Backoff(retries, 0) == store.MaxBackoff {
			return list
		}
	}
}

// attemptWaits are the waits by the number of attempts counted; the last one holds
// from there on.
func attemptWaits() []int64 {
	jitter := rand.Float64()
	var list []int64
	for attempts := 0; ; attempts++ {
		list = append(list, store.AttemptWait(attempts, jitter).Microseconds())
		if store.AttemptWait(attempts, 0) == store.MaxAttemptWait {
			return list
		}
	}
}

// Cancel ends a live job whatever it does. Its worker learns of it by the next
// heartbeat and can commit nothing to the scheduler any more.
func (s *Store) Cancel(ctx context.Context, id string) (gate.Job, error) {
	what := fmt.Sprintf("cancelling job %s", gate.Quoted(id, 60))
	answer, err := s.run(ctx, scriptCancel, args{"id": id, "nonce": random()})
	var word string
	var rest []any
	if err == nil {
		word, rest, err = reply(answer)
	}
	if err != nil {
		return gate.Job{}, s.failedIn(ctx, what, err)
	}
	switch word {
	case "gone":
		return gate.Job{}, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	case "ended":
		state, _ := rest[0].(int64)
		return gate.Job{}, fmt.Errorf("%s: it is %s already: %w", what, stateName(state), gate.ErrConflict)
	}
	return s.ended(what, text(rest, 0))
}

// Serve keeps the charge of the leased analysis from now on.
func (s *Store) Serve(ctx context.Context, lease gate.Lease) error {
	what := fmt.Sprintf("keeping the charge of job %s", gate.Quoted(lease.JobID, 60))
	answer, err := s.run(ctx, scriptServe, args{"id": lease.JobID, "epoch": lease.Epoch})
	_, err = s.leased(ctx, what, lease.JobID, answer, err)
	return err
}
