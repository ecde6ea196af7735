package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// members does for the judged children of an index what lies does for an image.
// An index is written by whoever pushes it, so that what it says of a child is
// never recorded about the child: one that nobody has read is read, here, and one
// that was never seen at this location is asked for. What cannot be read now gets
// a job of its own, and keeps nothing else from going on.
func (p *Pipeline) members(ctx context.Context, index gate.Manifest, loc gate.Location, by asking) (queued bool, err error) {
	if by.recordOnly || index.Unassessable != "" {
		return false, nil // admission asks for each child by itself
	}
	var want []gate.Digest
	seen := map[gate.Digest]bool{}
	for _, c := range index.Children {
		if c.JudgedOn(p.Platforms) && c.Digest.Valid() && !seen[c.Digest] {
			seen[c.Digest] = true
			want = append(want, c.Digest)
		}
	}
	res, err := p.Records.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return false, err
	}
	for _, d := range want {
		fresh, err := p.member(ctx, res.Digests[d].Record, d, loc, by)
		if err != nil {
			return false, err
		}
		queued = queued || fresh
	}
	return queued, nil
}

func (p *Pipeline) member(ctx context.Context, rec gate.Record, d gate.Digest, loc gate.Location, by asking) (queued bool, err error) {
	m := rec.Manifest
	if at, seen := rec.At(loc); !rec.Confirmed() {
		m, err = p.Source.Resolve(ctx, loc, string(d))
	} else if !seen || at.Gone {
		var there gate.Digest
		if there, err = p.Source.Head(ctx, loc, string(d)); err == nil && there != d {
			err = fmt.Errorf("the registry serves digest %s for the requested digest %s: %w", there, d, gate.ErrIntegrity)
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return false, err
	case errors.Is(err, gate.ErrUnassessable):
		return false, p.unreadable(ctx, d, loc, err)
	case err != nil:
		p.Log.Warn("reading a child of an index", "digest", d, "location", gate.Printable(loc.String(), 200), "error", err)
		_, outcome, err := p.Scheduler.Enqueue(ctx, gate.JobRequest{Kind: gate.JobResolve, Location: loc, Digest: d, Trigger: by.trigger, Force: by.force})
		return outcome == gate.EnqueuedNew, err
	}
	if !rec.Confirmed() {
		if err := p.record(ctx, &m); err != nil {
			return false, err
		}
	}
	if m.Kind == gate.KindIndex { // it is not an image, and admission says so; its children are read when it is
		_, err := p.Records.AddLocation(ctx, d, loc)
		return false, err
	}
	return p.lies(ctx, m, loc, by)
}

// record stores what was just read of a manifest; that is all that is ever stored
// about one.
func (p *Pipeline) record(ctx context.Context, m *gate.Manifest) error {
	m.Hashed = true
	return p.Records.PutManifest(ctx, *m)
}

// unreadable records what a read by digest found that no rule covers: the digest
// is unassessable wherever it lies. cause wraps ErrUnassessable, which Source
// answers for hashed bytes only.
func (p *Pipeline) unreadable(ctx context.Context, d gate.Digest, loc gate.Location, cause error) error {
	entry, err := gate.ReadEntry(ctx, p.Records, d)
	if err != nil || entry.Record.Confirmed() {
		return err // it has been read before, under another limit
	}
	m := gate.Manifest{Digest: d, Kind: gate.KindArtifact, Unassessable: gate.ContentText(cause, gate.ErrUnassessable)}
	if err := p.record(ctx, &m); err != nil {
		return err
	}
	_, err = p.Records.AddLocation(ctx, d, loc)
	return err
}

// establish makes sure that what is to be analysed was read, and is an image. An
// analysis may have been asked for by a version that took an index's word for it,
// or the record was lost since.
func (p *Pipeline) establish(ctx context.Context, job gate.Job, rec gate.Record) (gate.Record, error) {
	if !rec.Confirmed() {
		err := p.fromSources(ctx, job, rec, func(ctx context.Context, loc gate.Location) error {
			m, err := p.Source.Resolve(ctx, loc, string(job.Digest))
			if errors.Is(err, gate.ErrUnassessable) {
				return errors.Join(err, p.unreadable(ctx, job.Digest, loc, err))
			}
			if err == nil {
				err = p.record(ctx, &m)
			}
			return err
		})
		if err != nil {
			return rec, err
		}
		entry, err := gate.ReadEntry(ctx, p.Records, job.Digest)
		if err != nil {
			return rec, err
		}
		rec = entry.Record
	}
	if k := rec.Manifest.Kind; k != gate.KindImage {
		return rec, fmt.Errorf("analysing %s: it is not an image, its kind is %q: %w", job.Digest, k, gate.ErrUnassessable)
	}
	return rec, nil
}
