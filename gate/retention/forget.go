package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

const (
	// Every is how often images are looked for that may be forgotten, by one process for
	// all.
	Every = 24 * time.Hour
	// MaxADay is how many images a run forgets at most: a mistake that makes many images
	// look gone is seen in the metric and the log before all of them are.
	MaxADay = 10_000
	// pause is between two images that are forgotten: 50 in a second, beside what else the
	// store does.
	pause = 20 * time.Millisecond
	// page is how many images are read at a time.
	page = 100
	// look is how often a process looks whether a run is due.
	look = time.Hour
)

// Lists lists what no registry has; gate/catalog implements it. It may lag behind the store:
// what it lists is read again.
type Lists interface {
	// CatchUp reads what has changed until now. Errors: those of the store.
	CatchUp(ctx context.Context) error
	// Absent is a page of the images without a location that is not gone, after a digest.
	// Errors: gate.ErrResource, gate.ErrTimeout; the run ends and is repeated.
	Absent(ctx context.Context, after gate.Digest, limit int) ([]gate.AbsentImage, error)
}

// Store is the part of the store that is read and written; see store.Store for the methods
// and their errors. gate.ErrStoreUnavailable of any of them: the image is kept until the
// next run.
type Store interface {
	agree.TimedSettings
	gate.RecordReader
	// ChargesOf are the charges of digests; those that never were charged are missing.
	ChargesOf(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Charge, error)
	// MarkGone notes since when a location is gone that was marked by a version that did not.
	MarkGone(ctx context.Context, d gate.Digest, loc gate.Location) error
	// Forget removes all but the digest and its charge. gate.ErrConflict: it was written
	// since it was read, and is kept.
	Forget(ctx context.Context, d gate.Digest, version int64) error
	// Drop removes a job that has ended. gate.ErrConflict: it has not.
	Drop(ctx context.Context, id string) error
	// DropTag removes a mapping that was read. gate.ErrConflict: another one stands.
	DropTag(ctx context.Context, m gate.TagMapping) error
}

// Options of a Forgetter. All fields but Metrics are needed.
type Options struct {
	Images     time.Duration // see Config.Images; 0 forgets nothing
	Lists      Lists
	Store      Store
	Registries *gate.Registries
	// Compared is when the last comparison of a registry began after which all of it had
	// answered, the zero time for none.
	Compared func(ctx context.Context, registry string) (time.Time, error)
	// Asked is when admission was last asked for digests, and since when that is known.
	Asked   func(ctx context.Context) (last func(gate.Digest) time.Time, since time.Time, err error)
	Metrics *Metrics // nil counts nothing
	Log     *slog.Logger
}

// Forgetter forgets images.
type Forgetter struct {
	o     Options
	pause time.Duration
	most  int
}

// New makes a Forgetter.
func New(o Options) *Forgetter { return &Forgetter{o: o, pause: pause, most: MaxADay} }

// Result is what became of the images that no registry is known to have.
type Result struct {
	Forgotten int
	Kept      map[Kept]int
	// Left says that there may be more, which a later run forgets.
	Left bool
}

// Run forgets images once a day, in one process of all, until ctx ends. A process that dies
// in the middle is followed by another one, which finds what is left.
func (f *Forgetter) Run(ctx context.Context) {
	if f.o.Images <= 0 {
		return
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		f.turn(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *Forgetter) turn(ctx context.Context) {
	var res Result
	started := time.Now()
	here, err := agree.NewTurn(f.o.Store, "retention").Do(ctx, "forget", Every, func(ctx context.Context) (err error) {
		res, err = f.Once(ctx)
		return err
	})
	if here {
		f.o.Metrics.done(res, err == nil)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.o.Log.Warn("images that may be forgotten could not be looked for, it is repeated", "error", err, "forgotten", res.Forgotten)
	case here:
		kept := 0
		for _, n := range res.Kept {
			kept += n
		}
		f.o.Log.Info("images that no registry has were looked at", "forgotten", res.Forgotten, "kept", kept, "duration", time.Since(started).Round(time.Millisecond))
		if res.Left {
			f.o.Log.Warn("as many images were forgotten as one day may forget, the others follow", "forgotten", res.Forgotten)
		}
	}
}

// Once looks at all images that no registry is known to have, and forgets those that may be.
// Repeating it is harmless. Errors: those of the lists and of the store's reads; an image
// that could not be forgotten is counted and kept. gate.ErrTimeout when ctx ended.
func (f *Forgetter) Once(ctx context.Context) (Result, error) {
	res := Result{Kept: map[Kept]int{}}
	if f.o.Images <= 0 {
		return res, nil
	}
	if err := f.o.Lists.CatchUp(ctx); err != nil {
		return res, fmt.Errorf("reading what changed: %w", err)
	}
	// Also when there is nothing to look at: from the first call on it is known.
	if _, _, err := f.o.Asked(ctx); err != nil {
		return res, fmt.Errorf("reading what admission was asked for: %w", err)
	}
	var after gate.Digest
	for {
		list, err := f.o.Lists.Absent(ctx, after, page)
		if err != nil || len(list) == 0 {
			return res, err
		}
		after = list[len(list)-1].Digest
		known, err := f.read(ctx, list)
		if err != nil {
			return res, err
		}
		for _, i := range list {
			if res.Forgotten >= f.most {
				res.Left = true
				return res, nil
			}
			why, err := f.one(ctx, known, i)
			if err != nil {
				return res, err
			}
			if why != "" {
				res.Kept[why]++
				continue
			}
			res.Forgotten++
			f.o.Metrics.forgot()
			f.o.Log.Debug("image is forgotten", "digest", i.Digest)
		}
	}
}

// read reads what decisions about a page rest on.
func (f *Forgetter) read(ctx context.Context, list []gate.AbsentImage) (*facts, error) {
	now, err := f.o.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	out := &facts{now: now, cutoff: now.Add(-f.o.Images), compared: map[string]time.Time{}}
	if out.asked, out.askedSince, err = f.o.Asked(ctx); err != nil {
		return nil, fmt.Errorf("reading what admission was asked for: %w", err)
	}
	for _, r := range f.o.Registries.All() {
		if out.compared[r.Name], err = f.o.Compared(ctx, r.Name); err != nil {
			return nil, fmt.Errorf("reading when registry %q was synchronised: %w", r.Name, err)
		}
	}
	req := gate.ReadRequest{AllJobs: true}
	seen := map[gate.Digest]bool{}
	for _, i := range list {
		for _, d := range append([]gate.Digest{i.Digest}, i.Parents...) {
			if !seen[d] {
				seen[d] = true
				req.Digests = append(req.Digests, d)
			}
		}
		req.Tags = append(req.Tags, i.Tags...)
	}
	res, err := f.o.Store.Read(ctx, req)
	if err != nil {
		return nil, err
	}
	out.entries, out.tags = res.Digests, res.Tags
	out.charges, err = f.o.Store.ChargesOf(ctx, req.Digests)
	return out, err
}

// one forgets an image, or says why it is kept. Errors: gate.ErrTimeout.
func (f *Forgetter) one(ctx context.Context, known *facts, i gate.AbsentImage) (Kept, error) {
	e := known.entries[i.Digest]
	if why := known.keeps(i); why != "" {
		return why, f.date(ctx, &e.Record)
	}
	err := f.forget(ctx, known, i, e)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("forgetting images: %w", errors.Join(gate.ErrTimeout, context.Cause(ctx)))
	case errors.Is(err, gate.ErrConflict):
		return KeptLocated, nil
	case err != nil:
		f.o.Log.Warn("image cannot be forgotten yet", "digest", i.Digest, "error", err)
		return KeptFailed, nil
	}
	f.rest(ctx)
	return "", nil
}

// rest lets others write.
func (f *Forgetter) rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(f.pause):
	}
}

// date notes the time at locations that are gone since a time that is not known: it counts
// from now on.
func (f *Forgetter) date(ctx context.Context, r *gate.Record) error {
	for _, l := range r.Locations {
		if !l.Gone || !l.GoneAt.IsZero() {
			continue
		}
		if err := f.o.Store.MarkGone(ctx, r.Digest, l.Location); err != nil {
			return fmt.Errorf("noting since when an image is gone: %w", err)
		}
		f.rest(ctx)
	}
	return nil
}

// forget removes the names of an image first, then what is known of it: a process that dies
// between the two leaves an image that the next run finds. Admission reads a tag without a
// mapping from its registry.
func (f *Forgetter) forget(ctx context.Context, known *facts, i gate.AbsentImage, e gate.Entry) error {
	for _, k := range i.Tags {
		if m, there := known.tags[k]; there && m.Digest == i.Digest {
			if err := f.o.Store.DropTag(ctx, m); err != nil {
				return err
			}
		}
	}
	// A cancelled job stays: only a person takes that back (DESIGN.md §5 rule 5).
	if e.Job != nil && e.Job.State == gate.JobFailed {
		if err := f.o.Store.Drop(ctx, e.Job.ID); err != nil {
			return err
		}
	}
	return f.o.Store.Forget(ctx, i.Digest, e.Record.Version)
}
