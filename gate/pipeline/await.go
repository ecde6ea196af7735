package pipeline

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Await looks until a look says that it is over: after each change and, since not
// everything that is waited for changes the store, each interval. changed is closed at
// the next change; nil means that there is nothing to hear of one by, such as over
// HTTP. Errors: those of look, and the cause of the end of ctx.
func Await(ctx context.Context, changed func() <-chan struct{}, every time.Duration, look func(context.Context) (over bool, err error)) error {
	for {
		var next <-chan struct{}
		if changed != nil {
			next = changed() // before the look, which may not see what changes meanwhile
		}
		if over, err := look(ctx); over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-next:
		case <-time.After(every):
		}
	}
}

// Watched is the part of the store that a wait reads; see store.Store.
type Watched interface {
	gate.RecordReader
	// Job reads a job. Errors: ErrNotFound, those of the store.
	Job(ctx context.Context, id string) (gate.Job, error)
	// Changed is closed at the next change.
	Changed() <-chan struct{}
}

// awaitEvery is how often a wait looks although nothing has changed, as far as it was
// told.
const awaitEvery = time.Second

// Stopped is the error of a wait for a job that has not led to an image. A live job is
// queued again after a failure: it waits for its registry, maybe for hours.
type Stopped struct{ Job gate.Job }

func (s *Stopped) Error() string { return s.Job.Error }

// Ended waits for the end of a job and returns it. show is called with the job at each
// look. Errors: [Stopped] for a job that waits after a failure, those of the store, and
// the cause of the end of ctx.
func Ended(ctx context.Context, w Watched, id string, show func(gate.Job)) (job gate.Job, err error) {
	err = Await(ctx, w.Changed, awaitEvery, func(ctx context.Context) (bool, error) {
		if job, err = w.Job(ctx, id); err != nil {
			return false, err
		}
		show(job)
		if job.State == gate.JobQueued && job.Error != "" {
			return false, &Stopped{job}
		}
		return !job.State.Live(), nil
	})
	return job, err
}

// Settled waits until a resolve and the analyses that it has queued have ended, and
// returns what is recorded then. Errors: [Stopped] for a resolve that has not read an
// image and for an analysis that waits, those of the store, and the cause of the end of
// ctx. An analysis that has failed is not an error, the record shows it.
func Settled(ctx context.Context, w Watched, resolve gate.Job, show func(gate.Job)) (entry gate.Entry, err error) {
	job, err := Ended(ctx, w, resolve.ID, show)
	if err != nil {
		return gate.Entry{}, err
	}
	if job.State != gate.JobDone {
		return gate.Entry{}, &Stopped{job}
	}
	digest := job.Digest
	if digest == "" {
		key := gate.TagKey{Location: job.Location, Tag: job.Tags[0]}
		res, err := w.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
		if err != nil {
			return gate.Entry{}, err
		}
		digest = res.Tags[key].Digest
	}
	err = Await(ctx, w.Changed, awaitEvery, func(ctx context.Context) (bool, error) {
		for ended := ""; ; {
			var live string
			if entry, live, err = outstanding(ctx, w, digest); err != nil || live == "" {
				return live == "", err
			}
			if live == ended {
				return false, nil // it has ended, and the record does not show it yet
			}
			if _, err := Ended(ctx, w, live, show); err != nil {
				return false, err
			}
			ended = live
		}
	})
	return entry, err
}

// outstanding reads a digest, and finds a live job of it or, for an index, of its
// judged children.
func outstanding(ctx context.Context, r gate.RecordReader, d gate.Digest) (entry gate.Entry, live string, err error) {
	want := []gate.Digest{d}
	res, err := r.Read(ctx, gate.ReadRequest{Digests: want, AllJobs: true})
	if err != nil {
		return gate.Entry{}, "", err
	}
	entry = res.Digests[d]
	for _, c := range entry.Record.Manifest.Children {
		if c.Judged && c.Digest.Valid() {
			want = append(want, c.Digest)
		}
	}
	if len(want) > 1 {
		if res, err = r.Read(ctx, gate.ReadRequest{Digests: want, AllJobs: true}); err != nil {
			return gate.Entry{}, "", err
		}
	}
	for _, d := range want {
		if j := res.Digests[d].Job; j != nil && j.State.Live() {
			return entry, j.ID, nil
		}
	}
	return res.Digests[d], "", nil
}
