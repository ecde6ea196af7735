package advisory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// putInForce composes the parts if they are others than those in force.
func (c *composing) putInForce(ctx context.Context) error {
	m := c.r.Manager
	if len(c.parts) == 1 && c.parts[0].Name == gate.SourceTrivyDB {
		if c.any && c.former.Composition == 0 && c.parts[0].Digest == c.former.withoutJava() {
			return nil
		}
		db, err := m.copies.verify(ctx, c.parts[0].Digest)
		if err != nil {
			return err
		}
		java := c.java()
		if java == nil {
			return c.activate(ctx, db)
		}
		next := db.Manifest
		next.Java = java
		db, discard, err := m.copies.sameDatabase(ctx, db, next) // the part itself stays
		if err != nil {
			return err
		}
		defer discard()
		return c.keepAndActivate(ctx, db)
	}
	if c.any && c.former.sameInputs(manifestOfParts(c.parts)) {
		return nil
	}
	if c.held() {
		c.forget()
		return nil // as the person who went back wants it
	}
	if err := c.read(ctx); err != nil {
		return err
	}
	c.r.Progress("", "composing", 0, 0)
	db, discard, err := m.copies.composeParts(ctx, c.parts)
	if err != nil {
		return err
	}
	defer discard()
	return c.keepAndActivate(ctx, db)
}

// java is the index of Java archives in force, which stays until there is a newer one; nil
// for none.
func (c *composing) java() *JavaSource {
	if java := c.former.Java; c.any && java != nil && c.r.Manager.copies.javaPresent(java) {
		return java
	}
	return nil
}

func (c *composing) keepAndActivate(ctx context.Context, db *Database) error {
	db.join(c.java())
	copies := c.r.Manager.copies
	c.release = append(c.release, copies.hold(db.Content.Hex()))
	kept, err := copies.keep(ctx, db)
	if err != nil {
		return err
	}
	if kept.Manifest.Composition > 0 {
		c.say(kept)
	}
	return c.activate(ctx, kept)
}

// read checks the parts that are to be composed. One that is damaged or gone is removed
// and fetched again.
func (c *composing) read(ctx context.Context) (err error) {
	m := c.r.Manager
	for i := range c.parts {
		p := &c.parts[i]
		if p.db != nil {
			continue
		}
		if c.here(ctx, p.Digest) {
			c.release = append(c.release, m.copies.hold(p.Digest.Hex()))
			p.db, err = m.copies.verify(ctx, p.Digest)
		} else {
			err = fmt.Errorf("no process keeps it: %w", gate.ErrNotFound)
		}
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, gate.ErrInvalid) {
				_ = os.RemoveAll(m.copies.dir(p.Digest)) // what stays is found damaged again
			}
			c.changed = append(c.changed, p.Name)
			return fmt.Errorf("the data of source %q that is in force cannot be read, it is fetched again: %w: %w", p.Name, err, gate.ErrConflict)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// held reports whether a person went back from data that these parts are not newer than.
func (c *composing) held() bool {
	back := c.orders.RolledBack
	if back == nil {
		return false
	}
	for _, p := range c.parts {
		if p.UpdatedAt.After(back.UpdatedAt) || c.orders.accepts(c.now, string(p.Digest)) {
			return false
		}
	}
	return true
}

// say logs what was composed, and what of it a person should know.
func (c *composing) say(db *Database) {
	for _, s := range db.Manifest.Sources {
		g := s.Gave
		c.r.Log.Info("advisory data was composed", "source", s.Name, "priority", s.Priority, "updatedAt", s.UpdatedAt, "rows", g.Rows,
			"overruled", g.Overruled, "replaced", g.Replaced)
		if len(g.Unused) > 0 {
			c.r.Log.Warn("rows of a source cannot be united with those of another and are not used", "source", s.Name, "buckets", gate.Printable(strings.Join(g.Unused, ", "), 300))
		}
	}
}

func (c *composing) activate(ctx context.Context, db *Database) error {
	c.outcome.offered = &gate.OfferedAdvisories{Content: db.Content, UpdatedAt: db.UpdatedAt}
	_, c.outcome.offered.Buckets = db.Manifest.views()
	return c.r.activate(ctx, db, c.active, c.any, strings.Join(c.changed, ", "))
}
