package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// sight is what a job has seen at its location.
type sight struct {
	gate.Looked
	tags []gate.TagReading // that name it
	// known is what is recorded of it, and of the parts of an index, as far as it was
	// read.
	known map[gate.Digest]gate.Known
}

// confirm asks the registry what the tags of a job name now, and adds it to what was
// seen. wrong are the errors of tags whose content is at fault, which concern no other
// tag; stop is an error that does. What was seen before it is recorded all the same.
func (p *Pipeline) confirm(ctx context.Context, job gate.Job, seen []*sight) (_ []*sight, wrong, stop error) {
	for _, tag := range job.Tags {
		s, err := p.confirmTag(ctx, gate.TagKey{Location: job.Location, Tag: tag}, seen)
		switch {
		case err == nil && s != nil:
			seen = append(seen, s)
		case err == nil:
		case errors.Is(err, gate.ErrNotFound) && job.Digest != "":
			// The tag is gone again, which is recorded; its digest is fine.
		default:
			err = fmt.Errorf("confirming tag %s: %w", gate.Quoted(tag, 128), err)
			if !ofTheTag(err) {
				return seen, wrong, err
			}
			wrong = errors.Join(wrong, err) // the other tags may be fine
		}
	}
	return seen, wrong, nil
}

// ofTheTag reports whether an error is about what one tag names, so that the other
// tags of its repository may be fine.
func ofTheTag(err error) bool {
	return errors.Is(err, gate.ErrUnassessable) || errors.Is(err, gate.ErrIntegrity) || errors.Is(err, gate.ErrRegistryRefused)
}

// confirmTag asks what a tag names. It is a new sight, or none when the tag names one
// that was read already, which has the tag then. ErrNotFound when the tag does not
// exist (recorded).
func (p *Pipeline) confirmTag(ctx context.Context, key gate.TagKey, seen []*sight) (*sight, error) {
	readAt, err := p.Records.Now(ctx)
	if err != nil {
		return nil, err
	}
	read := gate.TagReading{Tag: key.Tag, ReadAt: readAt, Host: p.Registries.HostOf(key.Registry)}
	s, fresh, err := p.sightOf(ctx, key, seen)
	if p.Registries.HostOf(key.Registry) != read.Host {
		return nil, gate.ErrOtherHost
	}
	if errors.Is(err, gate.ErrNotFound) {
		if _, put := p.Records.PutTag(ctx, key, "", read.ReadAt, read.Host); put != nil {
			return nil, put
		}
	}
	if err != nil {
		return nil, err
	}
	s.tags = append(s.tags, read)
	if !fresh {
		return nil, nil
	}
	return s, nil
}

// sightOf is what a tag names: one of those seen, or a fresh one.
func (p *Pipeline) sightOf(ctx context.Context, key gate.TagKey, seen []*sight) (_ *sight, fresh bool, err error) {
	digest, err := p.Source.Head(ctx, key.Location, key.Tag)
	if err != nil {
		return nil, false, err
	}
	for _, s := range seen {
		if s.Manifest.Digest == digest {
			return s, false, nil
		}
	}
	found, entry, err := p.know(ctx, key, digest)
	if err != nil {
		return nil, false, err
	}
	return &sight{Looked: found, known: map[gate.Digest]gate.Known{digest: {Entry: entry}}}, true, nil
}

// know completes a look: what the digest is that HEAD has reported for a tag. It counts
// only when it was read and hashed before; otherwise the manifest is read. entry is what
// is recorded of that digest.
func (p *Pipeline) know(ctx context.Context, key gate.TagKey, digest gate.Digest) (found gate.Looked, entry gate.Entry, err error) {
	if entry, err = gate.ReadEntry(ctx, p.Records, digest); err != nil {
		return found, entry, err
	}
	if m := entry.Record.Manifest; m.Kind != gate.KindUnknown && !entry.Record.Doubtful() {
		m.Digest = digest
		return gate.Looked{Manifest: m}, entry, nil
	}
	m, err := p.Source.Resolve(ctx, key.Location, key.Tag)
	return gate.Looked{Manifest: m, Read: true}, entry, err
}
