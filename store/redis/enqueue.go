package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// Enqueue makes a request durable as a new job, as a part of the live one, or
// not at all where the trigger may not restart what has ended.
func (s *Store) Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	what := fmt.Sprintf("queueing the %s job of %s", gate.Printable(string(req.Kind), 20), gate.Quoted(req.Key(), 300))
	if err := store.CheckRequest(req); err != nil {
		return gate.Job{}, "", fmt.Errorf("%s: %w", what, err)
	}
	answer, err := s.run(ctx, scriptEnqueue, enqueueArgs(req))
	return s.enqueued(ctx, what, answer, err)
}

// enqueueArgs are the arguments of enqueue.lua.
func enqueueArgs(req gate.JobRequest) args {
	rest, cancelled := restarts(req)
	return args{
		"kind": store.KindBit(req.Kind), "key": req.Key(), "registry": req.Location.Registry, "repository": req.Location.Repository,
		"digest": string(req.Digest), "tag": req.Tag, "trigger": string(req.Trigger), "priority": int(req.Trigger.Priority()),
		"force": req.Force, "random": random(), "rest": rest.Microseconds(), "restart": cancelled,
		"maxTags": store.MaxTags, "resolve": store.KindResolve,
	}
}

// enqueued reads what enqueue.lua has answered.
func (s *Store) enqueued(ctx context.Context, what string, answer any, err error) (gate.Job, gate.Enqueued, error) {
	var word string
	var parts []any
	if err == nil {
		word, parts, err = reply(answer)
	}
	if err != nil {
		return gate.Job{}, "", s.failedIn(ctx, what, err)
	}
	if word == "busy" {
		return gate.Job{}, "", fmt.Errorf("%s: it has %d tags to confirm already: %w", what, store.MaxTags, gate.ErrBusy)
	}
	j, err := decodeJob(text(parts, 0))
	if err != nil {
		return gate.Job{}, "", s.failed(what, err)
	}
	if outcome := gate.Enqueued(word); outcome != gate.EnqueuedLeft {
		s.changedHere()
	}
	return j, gate.Enqueued(word), nil
}

// restarts asks store.MayRestart what a request may start again: a failed job
// after how long a rest, and whether a cancelled one.
func restarts(req gate.JobRequest) (rest time.Duration, cancelled bool) {
	now := time.Unix(1<<30, 0)
	ended := gate.Job{Kind: req.Kind, State: gate.JobCancelled, FinishedAt: now}
	cancelled = store.MayRestart(ended, req.Trigger, now)
	ended.State = gate.JobFailed
	if !store.MayRestart(ended, req.Trigger, now) {
		rest = gate.AdmissionRestart
	}
	return rest, cancelled
}

// leaseError is what the scripts say of a lease that does not hold.
func leaseError(id, word string, rest []any) error {
	job := gate.Quoted(id, 60)
	switch word {
	case "ok":
		return nil
	case "gone":
		return fmt.Errorf("job %s is gone: %w", job, gate.ErrFenced)
	case "cancelled":
		return fmt.Errorf("job %s: %w", job, gate.ErrCancelled)
	case "fenced":
		state, _ := rest[0].(int64)
		return fmt.Errorf("job %s is %s at epoch %s: %w", job, stateName(state), text(rest, 1), gate.ErrFenced)
	}
	return errors.New("script answered " + word)
}
