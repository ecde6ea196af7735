package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
)

// Lists are the lists that views need; gate/catalog implements them.
type Lists interface {
	// Accessories are the signatures and other artifacts that refer to a digest.
	Accessories(ctx context.Context, d gate.Digest) ([]gate.Accessory, error)
	// Places are the locations of a digest with their tags, none for an unknown one.
	Places(ctx context.Context, d gate.Digest) ([]gate.Place, error)
	// Jobs is a page of jobs, and the cursor of the next page, "" at the end.
	// gate.ErrInvalid: the cursor is not one of this list.
	Jobs(ctx context.Context, f gate.JobFilter) ([]gate.Job, string, error)
}

// Views makes views of what is stored. Its methods are safe for concurrent use.
type Views struct {
	Reader gate.Reader
	Lists  Lists
	// Obstacles says why jobs wait; nil leaves that out.
	Obstacles func() *explain.Obstacles
	// Stands is the generation in use if the findings of a record stand in it although they
	// were matched with an earlier one; nil knows none.
	Stands func(rec *gate.Record) (g gate.Generation, ok bool)
	// Tables are what is joined to findings now; nil leaves that out, and so does a nil
	// answer.
	Tables func() Tables
	// Histories are what changed on digests, and Holdings what has which vulnerability; the
	// views of both need them.
	Histories Histories
	Holdings  Holdings
	// Asked are the digests that admission was asked for lately; nil knows none.
	Asked func(ctx context.Context) ([]gate.Digest, error)
	Now   func() time.Time // nil means time.Now
}

// advisories is the data by which the findings of a record are those of its image: that
// of the generation in which they stand, or else their own.
func (s Views) advisories(rec *gate.Record, f *gate.Findings) *Advisories {
	if s.Stands != nil && f.Generation == rec.Generation && f.InventoryID == rec.InventoryID {
		if g, ok := s.Stands(rec); ok {
			return &Advisories{g.Number, dated(rec, g)}
		}
	}
	return &Advisories{f.Generation, f.UpdatedAt}
}

// dated is the time of the parts of a generation that the findings of a record depend on.
func dated(rec *gate.Record, g gate.Generation) time.Time {
	uses := ""
	if rec.FindingsSummarized() {
		uses = rec.Summary.Findings.Uses
	}
	at, _ := g.AgeFor(uses)
	return at
}

// generation is that of advisories.
func (s Views) generation(rec *gate.Record) int64 {
	if s.Stands != nil {
		if g, ok := s.Stands(rec); ok {
			return g.Number
		}
	}
	return rec.Generation
}

// Image is the view of a digest: from the moment in which a push or a scan is accepted
// it is queued, also while nothing is recorded of it. Errors: ErrDigestInvalid;
// ErrNotFound for a digest of which there is neither a record nor a job; those of the
// store and the lists.
func (s Views) Image(ctx context.Context, digest string) (ImageDetail, error) {
	entry, err := s.entry(ctx, digest)
	if err != nil && !errors.Is(err, gate.ErrNotFound) {
		return ImageDetail{}, err
	}
	return s.shown(ctx, entry, err)
}

// shown is the view of a digest with the job that resolves it: from the moment in
// which a push or a scan is accepted the image is queued, also while nothing is
// recorded of it. missing is the error to answer for a digest of which there is
// neither a record nor such a job.
func (s Views) shown(ctx context.Context, e gate.Entry, missing error) (ImageDetail, error) {
	view, err := s.Detail(ctx, e)
	settled := missing == nil && view.State != gate.StateNotScanned && view.State != gate.StateFailed
	if err != nil || settled || view.Job != nil && view.Job.State.Live() {
		return view, err
	}
	job, err := s.resolving(ctx, e.Record.Digest)
	switch {
	case err != nil:
		return view, err
	case job == nil && missing != nil:
		return view, s.unread(ctx, missing)
	case job == nil:
		return view, nil
	}
	state := gate.ImageState(gate.Record{}, job)
	switch {
	case job.State.Live():
		view.State = gate.StateQueued // also while it is read: its scan comes after that
	case missing == nil:
		return view, nil // what is recorded says more
	case job.State == gate.JobDone:
		return view, missing // it was known, and has been removed
	default:
		view.State = state
	}
	shown := s.Job(ctx)(*job)
	view.Job = &shown
	return view, nil
}

// resolving is the job that resolves a digest, in any repository: a live one, else
// the last; nil when there is none.
func (s Views) resolving(ctx context.Context, d gate.Digest) (*gate.Job, error) {
	jobs, _, err := s.Lists.Jobs(ctx, gate.JobFilter{Kind: gate.JobResolve, Digest: d, Limit: gate.MaxPage})
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	if i := slices.IndexFunc(jobs, func(j gate.Job) bool { return j.State.Live() }); i >= 0 {
		return &jobs[i], nil
	}
	return &jobs[0], nil
}

// unread adds to the error for an unknown digest that tags are still to be read:
// one of them may name it.
func (s Views) unread(ctx context.Context, missing error) error {
	for _, state := range []gate.JobState{gate.JobQueued, gate.JobRunning} {
		jobs, _, err := s.Lists.Jobs(ctx, gate.JobFilter{Kind: gate.JobResolve, State: state, Limit: gate.MaxPage})
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.Digest == "" {
				return fmt.Errorf("tags are still to be read, such as %s, and one of them may name it: %w", gate.Quoted(j.Key, 300), missing)
			}
		}
	}
	return missing
}

// entry reads a digest; gate.ErrNotFound, with an entry of its digest alone, for an
// unknown one.
func (s Views) entry(ctx context.Context, text string) (gate.Entry, error) {
	d, err := gate.ParseDigest(text)
	if err != nil {
		return gate.Entry{}, err
	}
	res, err := s.Reader.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}, AllJobs: true})
	if err != nil {
		return gate.Entry{}, err
	}
	entry := res.Digests[d]
	if entry.Record.Known() {
		return entry, nil
	}
	entry.Record.Digest = d
	return entry, fmt.Errorf("image %s was never pushed, synchronised or asked for here by its digest: %w", d, gate.ErrNotFound)
}

// optional is nil for a time that never was.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
