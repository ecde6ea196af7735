package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// parts are the children that count for an index, each once; none of one that is
// unassessable, and none of what is not an index.
func (p *Pipeline) parts(m gate.Manifest) (list []gate.Digest) {
	if m.Kind != gate.KindIndex || m.Unassessable != "" {
		return nil
	}
	seen := map[gate.Digest]bool{}
	for _, c := range m.Children {
		if c.JudgedOn(p.Platforms) && c.Digest.Valid() && !seen[c.Digest] {
			seen[c.Digest] = true
			list = append(list, c.Digest)
		}
	}
	return list
}

// members does for the parts of an index what record does for an image. An index is
// written by whoever pushes it, so that what it says of a child is never recorded about
// the child: one that was not read yet is read, here, and one that was never seen at
// this location is asked for. What cannot be read now gets a job of its own, and keeps
// nothing else from being done.
func (p *Pipeline) members(ctx context.Context, parts []gate.Digest, known map[gate.Digest]gate.Known, loc gate.Location, by asking) (queued bool, err error) {
	for _, d := range parts {
		fresh, err := p.member(ctx, known[d], d, loc, by)
		if err != nil {
			return false, err
		}
		queued = queued || fresh
	}
	return queued, nil
}

func (p *Pipeline) member(ctx context.Context, k gate.Known, d gate.Digest, loc gate.Location, by asking) (queued bool, err error) {
	look := gate.Looked{Manifest: k.Record.Manifest, Read: !k.Record.Confirmed()}
	if at, seen := k.Record.At(loc); look.Read {
		look.Manifest, err = p.Source.Resolve(ctx, loc, string(d))
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
	look.Manifest.Digest = d
	// An index in an index is not an image, and admission says so.
	return p.sighted(ctx, k, look, gate.Sighting{Location: loc}, gate.Occasion{Event: by.trigger.Event()}, by)
}
