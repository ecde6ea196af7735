package catalog

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/digestgate/digestgate/gate"
)

// damaged reports whether an error says that the file cannot be what was written.
func damaged(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}

// replace puts an empty file in the place of one that is damaged, unless that was done
// already: opened is how many there were when the damage was met. What it held is in
// the store, and the next Step reads it from there. Step must not be at work.
func (c *Catalog) replace(ctx context.Context, opened int64, reason error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.using.Lock()
	defer c.using.Unlock()
	if c.opened.Load() != opened {
		return nil
	}
	if !c.broken {
		c.log.Warn("the catalog is damaged, building it from the beginning", "reason", reason)
	}
	c.pen.drop()
	_ = c.db().Close() // nothing in it is kept
	db, err := makeAgain(context.WithoutCancel(ctx), c.path)
	c.broken = err != nil
	if err != nil {
		return err
	}
	c.unexamined.Store(false)
	c.trusted = false
	c.use(db)
	return nil
}

// renew replaces a damaged file and fills the new one, as far as time allows: then the
// lists show what there is.
func (c *Catalog) renew(ctx context.Context, opened int64, reason error) error {
	c.stepping.Lock()
	err := c.replace(ctx, opened, reason)
	c.stepping.Unlock()
	if err == nil {
		c.Fresh().catchUp(ctx)
	}
	return err
}

// examine reads a whole file that was there at the start, once and beside everything
// else: at 100,000 images that takes seconds. Damage that a list or a write meets first
// is found by that.
func (c *Catalog) examine() {
	if !c.unexamined.CompareAndSwap(true, false) {
		return
	}
	c.examining.Go(func() {
		opened := c.opened.Load()
		// A page that was damaged on disk would fail every later list.
		var check string // who replaces the file does not wait for it
		err := c.db().QueryRowContext(c.life, "PRAGMA quick_check(1)").Scan(&check)
		switch {
		case err == nil && check != "ok":
			err = fmt.Errorf("the file is damaged: %s", gate.Printable(check, 200))
		case !damaged(err):
			err = nil // it could not be read at the moment
		}
		if err == nil || c.life.Err() != nil {
			return
		}
		c.stepping.Lock()
		defer c.stepping.Unlock()
		if err := c.replace(c.life, opened, err); err != nil {
			c.log.Error("the catalog is damaged and cannot be built again", "error", err)
		}
	})
}
