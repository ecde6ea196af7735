package advisory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/composition"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// Supplied is one of the sources of which generations are composed.
type Supplied struct {
	source.Config
	// Mirrors bring its database. What they call a manifest names what they have now.
	Mirrors Mirrors
}

// part is a source with the generation that it has now, which is kept.
type part struct {
	Source
	db *Database // read when it is needed
}

// described is what the manifest says of a source with a database.
func described(c source.Config, content gate.Digest, updatedAt time.Time, from string) Source {
	kind := string(c.Kind())
	if kind == "" {
		kind = KindTrivyDB
	}
	return Source{
		Name: c.Name, Kind: kind, Digest: content, Priority: c.Priority, UpdatedAt: updatedAt.UTC(), From: from,
		Replaces: slices.Clone(c.Replaces), Licence: c.Licence, MaxAge: c.MaxAge,
	}
}

// named is the source with the name of a generation. A generation that was not composed is
// trivy-db's.
func (m Manifest) named(content gate.Digest, updatedAt time.Time, name string) (Source, bool) {
	if m.Composition == 0 {
		if m.Java != nil {
			content = m.withoutJava()
		}
		return Source{Name: gate.SourceTrivyDB, Kind: KindTrivyDB, Digest: content, UpdatedAt: updatedAt, From: m.origin()}, name == gate.SourceTrivyDB
	}
	for _, s := range m.Sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

// manifestOfParts is the manifest of a composition before it is made.
func manifestOfParts(parts []part) Manifest {
	m := Manifest{Composer: composerVersion, Composition: composition.Version}
	for _, p := range parts {
		m.Sources = append(m.Sources, p.Source)
	}
	return m
}

// sameInputs reports whether two compositions are made of the same sources by the same
// rules, so that the same bytes would come out.
func (m Manifest) sameInputs(o Manifest) bool {
	bare := func(m Manifest) Manifest {
		return Manifest{Composer: m.Composer, Composition: m.Composition, Sources: m.Sources}
	}
	return m.Composition > 0 && bare(m).Digest() == bare(o).Digest()
}

// contents are what has to be kept to compose a generation again, or, of a database with an
// index of Java archives, to compose it with other sources.
func (m Manifest) contents() (list []gate.Digest) {
	switch {
	case m.Composition == 0 && m.Java == nil:
		return nil
	case m.Composition == 0:
		return []gate.Digest{m.withoutJava()}
	}
	for _, s := range m.Sources {
		list = append(list, s.Digest)
	}
	return list
}

// sourceTimes are the times of the buckets of a composition: a bucket that several
// sources have is as old as the oldest of them. Details of vulnerabilities are as old as
// the source that decides first.
func (m Manifest) sourceTimes(of map[string]time.Time) {
	for i, s := range m.Sources {
		if s.Gave == nil {
			continue
		}
		if i == 0 {
			of[detailBucket] = s.UpdatedAt
		}
		for _, b := range s.Gave.Buckets {
			if at, ok := of[b]; !ok || s.UpdatedAt.Before(at) {
				of[b] = s.UpdatedAt
			}
		}
	}
}

// freshUntil is until when a bucket of a composition counts as fresh because its sources
// have a maxAge of their own; the zero time when they have none, and maxAge alone says it.
// newest is the time of the generation: sources of that time do not make a bucket older.
func (m Manifest) freshUntil(bucket string, newest time.Time, maxAge time.Duration) (until time.Time) {
	own := false
	for _, s := range m.Sources {
		if s.Gave == nil || !slices.Contains(s.Gave.Buckets, bucket) || s.UpdatedAt.Equal(newest) || !gate.AgeKnown(s.UpdatedAt) {
			continue
		}
		limit := maxAge
		if s.MaxAge > 0 {
			own, limit = true, s.MaxAge
		}
		if at := s.UpdatedAt.Add(limit); until.IsZero() || at.Before(until) {
			until = at
		}
	}
	if !own || slices.ContainsFunc(m.Held, func(h Held) bool { return h.Bucket == bucket }) {
		return time.Time{}
	}
	return until
}

// composeParts makes the generation of several sources in a directory that discard
// removes. The parts are read where they are kept. Errors: gate.ErrInvalid,
// gate.ErrResource, gate.ErrTimeout.
func (c *copies) composeParts(ctx context.Context, parts []part) (db *Database, discard func(), err error) {
	var bytes int64
	for i := range parts {
		p := &parts[i]
		if p.db == nil {
			if p.db, err = c.verify(ctx, p.Digest); err != nil {
				return nil, nil, fmt.Errorf("source %q: %w", p.Name, err)
			}
		}
		bytes += p.db.Summary.Bytes
	}
	dir, discard, err := c.unfinished(bytes)
	if err != nil {
		return nil, nil, err
	}
	c.at("compose")
	if db, err = composeInto(ctx, dir, parts); err != nil {
		discard()
		return nil, nil, err
	}
	return db, discard, nil
}

// composeInto makes the database of parts, which have been read, in a directory.
func composeInto(ctx context.Context, dir string, parts []part) (*Database, error) {
	m := manifestOfParts(parts)
	var list []composition.Source
	newest := gate.UnknownTime()
	for _, p := range parts {
		list = append(list, composition.Source{Name: p.Name, Dir: p.db.Dir, Replaces: p.Replaces})
		if p.UpdatedAt.After(newest) {
			newest = p.UpdatedAt
		}
		for _, h := range p.db.Manifest.Held {
			if !slices.ContainsFunc(m.Held, func(o Held) bool { return o.Bucket == h.Bucket }) {
				m.Held = append(m.Held, h)
			}
		}
	}
	var report composition.Report
	err := guarded(func() (err error) {
		report, err = composition.Compose(ctx, dir, list, sameValue)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("composing advisory data: %w: %w", gate.ErrTimeout, ctx.Err())
		}
		return nil, resourceError("composing advisory data", err)
	}
	if err := writeMetadata(dir, newest); err != nil {
		return nil, err
	}
	db, err := Inspect(ctx, dir, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("reading back what was composed: %w", err)
	}
	for i, t := range report.Sources {
		m.Sources[i].Gave = &Gave{Rows: t.Rows, Alike: t.Alike, Overruled: t.Overruled, Replaced: t.Replaced, Buckets: t.Buckets, Unused: t.Unused}
	}
	for _, d := range report.Disagreements {
		m.Disagreements = append(m.Disagreements, gate.AdvisoryDisagreement(d))
	}
	m.Database, m.Bytes = db.Content, db.Summary.Bytes
	db.Manifest, db.Content = m, m.Digest()
	return db, nil
}

// Input is a database that [Compose] reads.
type Input struct {
	source.Config
	Dir  string
	From string // see Source.From
}

// Compose puts the databases of several sources together into a directory, in the order
// in which they decide, as [Build] makes one: it is complete or not there, and the same
// inputs give the same bytes. Errors: gate.ErrInvalid, gate.ErrResource, gate.ErrTimeout.
func Compose(ctx context.Context, out string, inputs []Input, now time.Time) (*Database, error) {
	return publishAt(out, func(tmp string) (*Database, error) {
		var parts []part
		for _, in := range inputs {
			db, err := Inspect(ctx, in.Dir, now)
			if err != nil {
				return nil, fmt.Errorf("source %q: %w", in.Name, err)
			}
			db.adoptAges(in.Dir)
			parts = append(parts, part{described(in.Config, db.Content, db.UpdatedAt, in.From), db})
		}
		db, err := composeInto(ctx, tmp, parts)
		if err != nil {
			return nil, err
		}
		return db, writeManifest(tmp, db.Manifest)
	})
}
