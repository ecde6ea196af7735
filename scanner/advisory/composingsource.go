package advisory

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// bring adds the part of a source: its newer data, or the part of the generation in force.
func (c *composing) bring(ctx context.Context, s Supplied, is *sourceState) error {
	was, had := c.part(s)
	keep := func() { _ = c.keep(s, sourceState{}) }
	settled := is.Settled
	if c.accepted || is.Refused && c.again || !is.Refused && (!had || !c.here(ctx, was.Digest)) {
		settled = ""
	}
	db, mark, err := c.fetch(ctx, s, settled, was, had)
	if mark != "" {
		is.Settled, is.Refused = mark, errors.Is(err, gate.ErrInvalid)
	}
	switch {
	case err != nil:
		keep()
		return err
	case db == nil && is.Refused:
		keep()
		return fmt.Errorf("%s: %w", is.Problem, gate.ErrInvalid)
	case db == nil:
		keep()
		return nil
	}
	c.changed = append(c.changed, s.Name)
	c.parts = append(c.parts, part{Source: described(s.Config, db.Content, db.UpdatedAt, db.Manifest.Sources[0].From), db: db})
	return nil
}

// here makes sure that a part of the generation in force is on this disk.
func (c *composing) here(ctx context.Context, content gate.Digest) bool {
	if c.r.Manager.copies.present(content) {
		return true
	}
	return c.r.fromPeers(ctx, content, 0) == nil
}

// fetch asks a source for its data and keeps it; nil without an error says that it has
// what is settled. mark is what it has now.
func (c *composing) fetch(ctx context.Context, s Supplied, settled gate.Digest, was Source, had bool) (db *Database, mark gate.Digest, err error) {
	m := c.r.Manager
	c.r.Progress(s.Where(), "asking", 0, 0)
	var former *Database
	var refused []BucketFinding
	d, err := s.Mirrors.Fetch(ctx, MirrorRequest{Settled: settled, Again: c.again, Accept: func(ctx context.Context, d Download) (err error) {
		mark = d.Manifest
		if db, err = Inspect(ctx, d.Dir, m.now()); err != nil {
			return err
		}
		if d.Repository != "" {
			db.Manifest.Sources[0].From = d.from()
		}
		db.adoptAges(d.Dir)
		if had && m.copies.present(was.Digest) {
			if former, err = m.copies.verify(ctx, was.Digest); err != nil && ctx.Err() != nil {
				return err
			}
		}
		whole := c.orders.accepts(c.now, string(db.Content), string(d.Manifest))
		j := Judge(db, former, Rules{Own: d.Own, Accepted: func(bucket string) bool { return whole || c.orders.accepts(c.now, bucket) }})
		if j.Whole != nil && !whole {
			return j.Whole
		}
		refused = j.Buckets
		return nil
	}})
	if err != nil || d == nil {
		return nil, mark, err
	}
	defer d.Discard()
	if len(refused) > 0 && former != nil {
		if db, err = compose(ctx, db, former, refused); err != nil {
			return nil, "", err
		}
		for _, h := range db.Manifest.Held {
			m.log.Warn("a part of the newer advisory data is refused, its former rows stay", "source", s.Name, "bucket", h.Bucket, "reason", h.Reason, "updatedAt", h.UpdatedAt)
		}
	}
	c.release = append(c.release, m.copies.hold(db.Manifest.Digest().Hex()))
	kept, err := m.copies.keep(ctx, db)
	if err != nil {
		return nil, "", err
	}
	return kept, d.Manifest, nil
}
