package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// The states of a job as stored. Ready and delayed are both gate.JobQueued: a
// delayed job is not looked at before its time, however many there are.
const (
	stateReady = iota
	stateDelayed
	stateParked
	stateRunning
	stateDone
	stateFailed
	stateCancelled
)

var stateNames = [...]gate.JobState{
	gate.JobQueued, gate.JobQueued, gate.JobParked, gate.JobRunning, gate.JobDone, gate.JobFailed, gate.JobCancelled,
}

// job is a row of jobs: gate's job and what only the scheduler knows.
type job struct {
	gate.Job
	seq     int64
	state   int
	retries int
	mask    int
	charge  bool
	place   int64 // in its line, Unix nanoseconds
}

// lane is where a job waits when it is ready.
func (j *job) lane() lane {
	return lane{kind: store.KindBit(j.Kind), charge: j.charge, priority: j.Priority, registry: j.Location.Registry, tried: j.Tried}
}

func (j *job) to(state int) {
	j.state, j.State = state, stateNames[state]
}

const jobColumns = `seq, id, kind, key, registry, repository, digest, tags, triggered, priority, force, state, epoch,
	attempts, retries, worker, mask, again, repeat, charge, created_at, updated_at, started_at, finished_at, not_before,
	lease_until, progress, error, reason, place, tried, refused_since`

func scanJob(row scanner) (*job, error) {
	var (
		j                                                          job
		kind                                                       int
		tags, progress                                             string
		created, updated, started, finished, notBefore, leaseUntil int64
		refused                                                    int64
	)
	err := row.Scan(&j.seq, &j.ID, &kind, &j.Key, &j.Location.Registry, &j.Location.Repository, &j.Digest, &tags,
		&j.Trigger, &j.Priority, &j.Force, &j.state, &j.Epoch, &j.Attempts, &j.retries, &j.Worker, &j.mask, &j.Again,
		&j.Repeat, &j.charge, &created, &updated, &started, &finished, &notBefore, &leaseUntil, &progress, &j.Error, &j.Reason,
		&j.place, &j.Tried, &refused)
	if err != nil {
		return nil, err
	}
	j.Kind = store.KindOf(kind)
	j.Error, j.Causes = store.SplitError(j.Error)
	if j.state < 0 || j.state >= len(stateNames) {
		return nil, fmt.Errorf("job %q has the unknown state %d", j.ID, j.state)
	}
	j.State = stateNames[j.state]
	j.CreatedAt, j.UpdatedAt, j.StartedAt = timeOf(created), timeOf(updated), timeOf(started)
	j.FinishedAt, j.NotBefore, j.LeaseUntil, j.RefusedSince = timeOf(finished), timeOf(notBefore), timeOf(leaseUntil), timeOf(refused)
	if tags != "" {
		if err := json.Unmarshal([]byte(tags), &j.Tags); err != nil {
			return nil, fmt.Errorf("tags of job %q: %w", j.ID, err)
		}
	}
	if progress != "" {
		if err := json.Unmarshal([]byte(progress), &j.Progress); err != nil {
			return nil, fmt.Errorf("progress of job %q: %w", j.ID, err)
		}
	}
	return &j, nil
}

// find returns the job with an id; gate.ErrNotFound.
func (t *tx) find(id string) (*job, error) {
	j, err := scanJob(t.row(`SELECT `+jobColumns+` FROM jobs WHERE seq = ? AND id = ?`, seqOf(id), id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("looking for job %s: %w", gate.Quoted(id, 60), gate.ErrNotFound)
	}
	return j, err
}

// insert adds a new job under a new number.
func (t *tx) insert(j *job) error {
	h := &t.writer.hints
	h.seq++
	j.seq, j.ID, j.place = h.seq, newID(h.seq), nanos(store.PlaceOf(j.Job))
	err := t.exec(`INSERT INTO jobs (`+jobColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, ?, ?, ?, 0, 0, 0, 0, '', '', '', ?, ?, 0)`,
		j.seq, j.ID, store.KindBit(j.Kind), j.Key, j.Location.Registry, j.Location.Repository, string(j.Digest), tagsText(j.Tags),
		string(j.Trigger), int(j.Priority), j.Force, j.state, j.Epoch, j.Attempts, j.retries, j.Again, j.Repeat, j.charge,
		nanos(j.CreatedAt), nanos(j.UpdatedAt), j.place, j.Tried)
	if err != nil {
		return err
	}
	return t.settled(j)
}

// save writes back everything about a job that may change.
func (t *tx) save(j *job) error {
	j.UpdatedAt = timeOf(t.now)
	err := t.exec(`UPDATE jobs SET tags = ?, triggered = ?, priority = ?, force = ?, state = ?, attempts = ?, retries = ?,
		worker = ?, again = ?, repeat = ?, charge = ?, updated_at = ?, finished_at = ?, not_before = ?, lease_until = ?, error = ?, reason = ?,
		place = ?, tried = ?, refused_since = ?, progress = ? WHERE seq = ?`,
		tagsText(j.Tags), string(j.Trigger), int(j.Priority), j.Force, j.state, j.Attempts, j.retries,
		j.Worker, j.Again, j.Repeat, j.charge, nanos(j.UpdatedAt), nanos(j.FinishedAt), nanos(j.NotBefore), nanos(j.LeaseUntil),
		store.JoinError(j.Error, j.Causes), j.Reason, j.place, j.Tried, nanos(j.RefusedSince), progressText(j.Progress), j.seq)
	if err != nil {
		return err
	}
	return t.settled(j)
}

// settled makes a written job known: to the hints by which claims find it, and
// to the feed.
func (t *tx) settled(j *job) error {
	h := &t.writer.hints
	if j.state != stateRunning {
		h.running.stop(j.seq)
	}
	switch j.state {
	case stateReady:
		h.wait(j.lane(), j.Location.Repository)
	case stateDelayed:
		h.nextDue = min(h.nextDue, nanos(j.NotBefore))
	case stateParked:
		h.parked = true
	}
	return t.change(gate.ChangeJob, j.ID)
}

// Job returns one job; gate.ErrNotFound.
func (s *Store) Job(ctx context.Context, id string) (gate.Job, error) {
	what := fmt.Sprintf("reading job %s", gate.Quoted(id, 60))
	j, err := scanJob(s.queries.row(ctx, queryJob, seqOf(id), id))
	if errors.Is(err, sql.ErrNoRows) {
		return gate.Job{}, fmt.Errorf("%s: %w", what, gate.ErrNotFound)
	}
	if err != nil {
		return gate.Job{}, storeError(what, err)
	}
	return j.Job, nil
}

// Jobs returns the jobs with the ids that exist.
func (s *Store) Jobs(ctx context.Context, ids []string) (map[string]gate.Job, error) {
	jobs := make(map[string]gate.Job, len(ids))
	for _, id := range ids { // a row by its number takes microseconds
		j, err := s.Job(ctx, id)
		switch {
		case err == nil:
			jobs[id] = j
		case !errors.Is(err, gate.ErrNotFound):
			return nil, err
		}
	}
	return jobs, nil
}

// newID makes an id of which the number finds the row and the rest keeps
// anybody from guessing the next one.
func newID(seq int64) string {
	return strconv.FormatInt(seq, 10) + "-" + strings.ToLower(rand.Text()[:12])
}

// seqOf is the number in an id, -1 when it has none.
func seqOf(id string) int64 {
	number, _, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return -1
	}
	return seq
}

func tagsText(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	b, _ := json.Marshal(tags) // strings cannot fail
	return string(b)
}

// progressText is progress as it is stored, "" for none.
func progressText(p gate.Progress) string {
	if p == (gate.Progress{}) {
		return ""
	}
	b, _ := json.Marshal(p) // strings and numbers cannot fail
	return string(b)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
