package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

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
	type answer struct {
		job     gate.Job
		outcome gate.Enqueued
	}
	a, err := write(ctx, s, what, func(t *tx) (answer, error) {
		j, outcome, err := t.enqueue(req)
		if err != nil {
			if errors.Is(err, gate.ErrBusy) {
				err = fmt.Errorf("%s: %w", what, err)
			}
			return answer{}, err
		}
		return answer{j.Job, outcome}, nil
	})
	return a.job, a.outcome, err
}

func (t *tx) enqueue(req gate.JobRequest) (*job, gate.Enqueued, error) {
	current, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs WHERE kind = ? AND key = ? AND superseded = 0`,
		store.KindBit(req.Kind), req.Key()))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		j, err := t.create(req, nil)
		return j, gate.EnqueuedNew, err
	case err != nil:
		return nil, "", err
	case current.State.Live():
		return current, gate.EnqueuedJoined, t.join(current, req)
	case !store.MayRestart(current.Job, req.Trigger, timeOf(t.now)):
		return current, gate.EnqueuedLeft, nil
	}
	// A job that failed or was cancelled has left its tags unconfirmed.
	var tags []string
	if current.State != gate.JobDone {
		tags = current.Tags
	}
	if err := t.exec(`UPDATE jobs SET superseded = 1 WHERE seq = ?`, current.seq); err != nil {
		return nil, "", err
	}
	j, err := t.create(req, tags)
	return j, gate.EnqueuedNew, err
}

func (t *tx) create(req gate.JobRequest, tags []string) (*job, error) {
	j := &job{Job: gate.Job{
		Kind: req.Kind, Key: req.Key(), Location: req.Location, Digest: req.Digest, Tags: slices.Clone(tags),
		Trigger: req.Trigger, Priority: req.Trigger.Priority(), Force: req.Force,
		CreatedAt: timeOf(t.now), UpdatedAt: timeOf(t.now),
	}}
	if len(j.Tags) < store.MaxTags {
		j.AddTag(req.Tag)
	}
	j.to(stateReady)
	if req.Kind == gate.JobAnalyze {
		period, err := t.charged(req.Digest)
		if err != nil {
			return nil, err
		}
		j.charge = period == ""
	}
	return j, t.insert(j)
}

// join adds a request to the live job of its key; a job that has all of it
// already is not written.
func (t *tx) join(j *job, req gate.JobRequest) error {
	changed := false
	if p := req.Trigger.Priority(); p < j.Priority {
		j.Priority, j.Trigger, changed = p, req.Trigger, true
	}
	if req.Tag != "" && !slices.Contains(j.Tags, req.Tag) {
		if len(j.Tags) >= store.MaxTags {
			return fmt.Errorf("it has %d tags to confirm already: %w", len(j.Tags), gate.ErrBusy)
		}
		changed = j.AddTag(req.Tag)
	}
	again := false
	if req.Force && !j.Force {
		j.Force, changed, again = true, true, true
	}
	// A running resolve may have read the tag before the push that this request is
	// about, also when it is a tag that the job knows.
	if req.Kind == gate.JobResolve && req.Tag != "" {
		again = true
	}
	if again && j.State == gate.JobRunning && !j.Again {
		j.Again, changed = true, true
	}
	if !changed {
		return nil
	}
	return t.save(j)
}
