package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// locate records what was found of a digest: that it is located there, with the tags and
// the request that found has, and, if its manifest was just read, what it is. k is what
// was recorded before, and shows it afterwards.
func (p *Pipeline) locate(ctx context.Context, k *gate.Known, look gate.Looked, found gate.Sighting) (gate.Sighted, error) {
	m := look.Manifest
	m.Hashed = m.Hashed || look.Read
	// What an analysis found is not part of the manifest, and the store may take it back.
	again := look.Read && k.Record.Manifest.Unassessable != ""
	found.Digest = m.Digest
	if look.Read && !k.Record.Manifest.Equal(m) {
		found.Manifest = &m
	}
	out, err := p.Records.Sight(ctx, found)
	if err != nil {
		return out, err
	}
	if out.Forgotten && k.Record.Known() {
		// It was forgotten since it was read here. What it is, is known all the same: that
		// follows from bytes that were hashed. What else was known is due again.
		k.Entry, found.Manifest = gate.Entry{}, &m
		if out, err = p.Records.Sight(ctx, found); err != nil {
			return out, err
		}
	}
	if found.Manifest != nil {
		k.Record.Manifest = m
	}
	k.Record.Digest = m.Digest
	k.Record.Locate(found.Location)
	if again {
		k.Entry, err = gate.ReadEntry(ctx, p.Records, m.Digest)
	}
	return out, err
}

// Note records what a look found and requests nothing: admission requests each
// analysis by itself, within the budget of the namespace.
func (p *Pipeline) Note(ctx context.Context, found gate.Looked, loc gate.Location) error {
	s := gate.Sighting{Digest: found.Manifest.Digest, Location: loc}
	if found.Read {
		s.Manifest = hashed(found.Manifest)
	}
	_, err := p.Records.Sight(ctx, s)
	return err
}

// hashed is a manifest as it is stored when it was just read; that is all that is ever
// stored about one.
func hashed(m gate.Manifest) *gate.Manifest {
	m.Hashed = true
	return &m
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
	_, err = p.Records.Sight(ctx, gate.Sighting{Digest: d, Manifest: hashed(m), Location: loc})
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
				err = p.Records.PutManifest(ctx, *hashed(m))
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
