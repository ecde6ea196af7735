package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crypto/rand"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// job is a job as the scripts store it; enqueue.lua makes it. Times are
// microseconds, 0 is the zero time.
type job struct {
	ID         string        `msgpack:"id"`
	Kind       int           `msgpack:"kind"`
	Key        string        `msgpack:"key"`
	Registry   string        `msgpack:"reg"`
	Repository string        `msgpack:"repo"`
	Digest     string        `msgpack:"dig"`
	Tags       []string      `msgpack:"tags"`
	Trigger    string        `msgpack:"trig"`
	Priority   gate.Priority `msgpack:"prio"`
	Force      bool          `msgpack:"force"`
	State      int           `msgpack:"st"`
	Epoch      int64         `msgpack:"epoch"`
	Attempts   int           `msgpack:"att"`
	Worker     string        `msgpack:"worker"`
	Again      bool          `msgpack:"again"`
	Repeat     bool          `msgpack:"rep"`
	Created    int64         `msgpack:"created"`
	Updated    int64         `msgpack:"updated"`
	Started    int64         `msgpack:"started"`
	Finished   int64         `msgpack:"finished"`
	NotBefore  int64         `msgpack:"nbf"`
	Lease      int64         `msgpack:"lease"`
	Progress   string        `msgpack:"prog"` // JSON
	Error      string        `msgpack:"err"`
	Reason     string        `msgpack:"why"`
	Retries    int           `msgpack:"retr"`
	Tried      bool          `msgpack:"tried"`
	Refused    int64         `msgpack:"ref"` // since when, missing in jobs of versions before
}

// stateNames are the states by their numbers in common.lua.
var stateNames = [...]gate.JobState{
	gate.JobQueued, gate.JobQueued, gate.JobParked, gate.JobRunning, gate.JobDone, gate.JobFailed, gate.JobCancelled,
}

func stateName(n int64) gate.JobState {
	if n < 0 || n >= int64(len(stateNames)) {
		return "unknown"
	}
	return stateNames[n]
}

// decodeJob reads a stored job.
func decodeJob(stored string) (gate.Job, error) {
	var j job
	if err := msgpack.Unmarshal([]byte(stored), &j); err != nil {
		return gate.Job{}, fmt.Errorf("a stored job cannot be read: %w: %w", gate.ErrStoreUnavailable, err)
	}
	out := gate.Job{
		ID: j.ID, Kind: store.KindOf(j.Kind), Key: j.Key, Location: gate.Location{Registry: j.Registry, Repository: j.Repository},
		Digest: gate.Digest(j.Digest), Trigger: gate.Trigger(j.Trigger), Priority: j.Priority, Force: j.Force,
		State: stateName(int64(j.State)), Epoch: j.Epoch, Attempts: j.Attempts, Worker: j.Worker, Again: j.Again, Repeat: j.Repeat,
		CreatedAt: timeOf(j.Created), UpdatedAt: timeOf(j.Updated), StartedAt: timeOf(j.Started), FinishedAt: timeOf(j.Finished),
		NotBefore: timeOf(j.NotBefore), LeaseUntil: timeOf(j.Lease), Reason: j.Reason, Tried: j.Tried,
		RefusedSince: timeOf(j.Refused),
	}
	out.Error, out.Causes = store.SplitError(j.Error)
	if len(j.Tags) > 0 {
		out.Tags = slices.Clone(j.Tags)
	}
	if j.Progress != "" {
		if err := json.Unmarshal([]byte(j.Progress), &out.Progress); err != nil {
			return gate.Job{}, fmt.Errorf("progress of job %q: %w: %w", j.ID, gate.ErrStoreUnavailable, err)
		}
	}
	return out, nil
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Job returns one job; gate.ErrNotFound.
func (s *Store) Job(ctx context.Context, id string) (gate.Job, error) {
	what := fmt.Sprintf("reading job %s", gate.Quoted(id, 60))
	if len(id) > store.MaxKey {
		return gate.Job{}, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	stored, err := s.client.Get(ctx, s.keys.job(id)).Result()
	if errors.Is(err, redis.Nil) {
		return gate.Job{}, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	if err != nil {
		return gate.Job{}, s.failedIn(ctx, what, err)
	}
	j, err := decodeJob(stored)
	if err != nil {
		return gate.Job{}, s.failed(what, err)
	}
	return j, nil
}

// jobsPage is how many jobs one command fetches: some hundred kilobytes.
const jobsPage = 200

// Jobs returns the jobs with the ids that exist; all are in the scheduler's slot.
func (s *Store) Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error) {
	what := fmt.Sprintf("reading %d jobs", len(ids))
	jobs := make(map[string]gate.Job, len(ids))
	for page := range slices.Chunk(ids, jobsPage) {
		names := make([]string, len(page))
		for i, id := range page {
			names[i] = s.keys.job(id)
		}
		stored, err := s.client.MGet(ctx, names...).Result()
		if err != nil {
			return nil, s.failedIn(ctx, what, err)
		}
		for i, id := range page {
			if text(stored, i) == "" {
				continue
			}
			if jobs[id], err = decodeJob(text(stored, i)); err != nil {
				return nil, s.failed(what, err)
			}
		}
	}
	return jobs, nil
}

// random is what ends a job's id, so that nobody guesses the next one.
func random() string { return strings.ToLower(rand.Text()[:12]) }
