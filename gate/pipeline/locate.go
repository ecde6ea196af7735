package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// locate records that a digest is located at loc and, if its manifest was just read,
// what it is. k is what was recorded before, and shows it afterwards.
func (p *Pipeline) locate(ctx context.Context, k *gate.Known, found gate.Looked, loc gate.Location) error {
	m := found.Manifest
	m.Hashed = m.Hashed || found.Read
	// What an analysis found is not part of the manifest, and the store may take it back.
	again := found.Read && k.Record.Manifest.Unassessable != ""
	if found.Read && !k.Record.Manifest.Equal(m) {
		if err := p.putManifest(ctx, m); err != nil {
			return err
		}
		k.Record.Manifest = m
	}
	if _, err := p.Records.AddLocation(ctx, m.Digest, loc); err != nil {
		return err
	}
	k.Record.Digest = m.Digest
	k.Record.Locate(loc)
	if !again {
		return nil
	}
	entry, err := gate.ReadEntry(ctx, p.Records, m.Digest)
	k.Entry = entry
	return err
}

// Note records what a look found and requests nothing: admission requests each
// analysis by itself, within the budget of the namespace.
func (p *Pipeline) Note(ctx context.Context, found gate.Looked, loc gate.Location) error {
	if found.Read {
		if err := p.putManifest(ctx, found.Manifest); err != nil {
			return err
		}
	}
	_, err := p.Records.AddLocation(ctx, found.Manifest.Digest, loc)
	return err
}

// putManifest stores what was just read of a manifest; that is all that is ever stored
// about one.
func (p *Pipeline) putManifest(ctx context.Context, m gate.Manifest) error {
	m.Hashed = true
	return p.Records.PutManifest(ctx, m)
}

// unreadable records what a read by digest found that no rule covers: the digest
// is unassessable wherever it is located. cause wraps ErrUnassessable, which Source
// answers for hashed bytes only.
func (p *Pipeline) unreadable(ctx context.Context, d gate.Digest, loc gate.Location, cause error) error {
	entry, err := gate.ReadEntry(ctx, p.Records, d)
	if err != nil || entry.Record.Confirmed() {
		return err // it has been read before, under another limit
	}
	m := gate.Manifest{Digest: d, Kind: gate.KindArtifact, Unassessable: gate.ContentText(cause, gate.ErrUnassessable)}
	if err := p.putManifest(ctx, m); err != nil {
		return err
	}
	_, err = p.Records.AddLocation(ctx, d, loc)
	return err
}

// establish makes sure that what is to be analysed was read, and is an image. An
// analysis may have been requested by a version that took an index's word for it,
// or the record was lost since.
func (p *Pipeline) establish(ctx context.Context, job gate.Job, k gate.Known) (gate.Known, error) {
	if !k.Record.Confirmed() {
		err := p.fromSources(ctx, job, k.Record, func(ctx context.Context, loc gate.Location) error {
			m, err := p.Source.Resolve(ctx, loc, string(job.Digest))
			if errors.Is(err, gate.ErrUnassessable) {
				return errors.Join(err, p.unreadable(ctx, job.Digest, loc, err))
			}
			if err == nil {
				err = p.putManifest(ctx, m)
			}
			return err
		})
		if err != nil {
			return k, err
		}
		if k.Entry, err = gate.ReadEntry(ctx, p.Records, job.Digest); err != nil {
			return k, err
		}
	}
	if kind := k.Record.Manifest.Kind; kind != gate.KindImage {
		return k, fmt.Errorf("analysing %s: it is not an image, its kind is %q: %w", job.Digest, kind, gate.ErrUnassessable)
	}
	return k, nil
}
