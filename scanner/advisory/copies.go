package advisory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// copies keeps private copies of advisory data under dataDir/advisories, one
// directory for each content, named by the digest. What lies there is never
// changed, only removed, so that it may stay open and mapped into memory.
type copies struct{ root string }

// importPrefix begins the names of unfinished copies.
const importPrefix = ".import-"

// abandonedAfter is the age at which an unfinished copy belongs to a process
// that is gone; the largest database copies in seconds.
const abandonedAfter = time.Hour

// signature tells whether the operator's files may have changed, without
// reading them.
type signature struct{ database, metadata os.FileInfo }

// sign looks at the two files through symbolic links; ErrInvalid.
func sign(dir string) (signature, error) {
	var s signature
	for _, f := range []struct {
		name string
		info *os.FileInfo
	}{{databaseFile, &s.database}, {metadataFile, &s.metadata}} {
		info, err := os.Stat(filepath.Join(dir, f.name))
		if err != nil {
			return s, fmt.Errorf("looking at advisory data: %w: %w", err, gate.ErrInvalid)
		}
		if !info.Mode().IsRegular() {
			return s, fmt.Errorf("looking at advisory data: %q is not a regular file: %w", filepath.Join(dir, f.name), gate.ErrInvalid)
		}
		*f.info = info
	}
	return s, nil
}

func (s signature) equal(o signature) bool {
	same := func(a, b os.FileInfo) bool {
		return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	}
	return same(s.database, o.database) && same(s.metadata, o.metadata)
}

func (c copies) dir(content gate.Digest) string { return filepath.Join(c.root, content.Hex()) }

// take copies dir, checks the copy completely and returns it. The operator may
// replace or rewrite dir at any moment: what is checked and used is only the
// copy. A hard link would not do, because it shares the bytes with a writer
// that does not rename.
// Errors: gate.ErrInvalid (the data), gate.ErrResource (no space),
// gate.ErrConflict (dir changed meanwhile: try again), gate.ErrTimeout.
func (c copies) take(ctx context.Context, dir string, now time.Time) (*Database, error) {
	if err := os.MkdirAll(c.root, 0o700); err != nil {
		return nil, resourceError("making the directory for advisory data", err)
	}
	before, err := sign(dir)
	if err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(c.root, importPrefix)
	if err != nil {
		return nil, resourceError("making a directory for advisory data", err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing left to remove
	for _, name := range []string{databaseFile, metadataFile} {
		if err := copyFile(ctx, filepath.Join(dir, name), filepath.Join(tmp, name)); err != nil {
			return nil, err
		}
	}
	if after, err := sign(dir); err != nil || !before.equal(after) {
		return nil, fmt.Errorf("advisory data at %q changed while it was copied: %w", dir, gate.ErrConflict)
	}
	db, err := Inspect(ctx, tmp, now)
	if err != nil {
		return nil, err
	}
	return c.keep(ctx, db, now)
}

// keep gives a checked copy its final name. A copy of the same content that is
// there already stays if it is still sound: it may be in use.
func (c copies) keep(ctx context.Context, db *Database, now time.Time) (*Database, error) {
	final := c.dir(db.Content)
	if have, err := c.verify(ctx, db.Content, now); err == nil {
		return have, nil
	}
	// Unlinking leaves the mapping of a process that has it open intact.
	if err := os.RemoveAll(final); err != nil {
		return nil, resourceError("removing a damaged copy of advisory data", err)
	}
	if err := os.Rename(db.Dir, final); err != nil {
		return nil, resourceError("keeping advisory data", err)
	}
	kept := *db
	kept.Dir = final
	return &kept, nil
}

// verify checks a kept copy from its first byte to its last; ErrInvalid.
func (c copies) verify(ctx context.Context, content gate.Digest, now time.Time) (*Database, error) {
	if !content.Valid() {
		return nil, fmt.Errorf("advisory content %q is not a digest: %w", content, gate.ErrInvalid)
	}
	db, err := Inspect(ctx, c.dir(content), now)
	if err != nil {
		return nil, err
	}
	if db.Content != content {
		return nil, fmt.Errorf("the copy of advisory data %s has the content %s: %w", content.Short(), db.Content.Short(), gate.ErrInvalid)
	}
	return db, nil
}

// present reports whether the copy of content is still on the disk.
func (c copies) present(content gate.Digest) bool {
	info, err := os.Stat(filepath.Join(c.dir(content), databaseFile))
	return err == nil && info.Mode().IsRegular()
}

// prune removes all copies but the given ones, and abandoned unfinished ones.
func (c copies) prune(now time.Time, keep ...gate.Digest) error {
	entries, err := os.ReadDir(c.root)
	if err != nil {
		return fmt.Errorf("listing copies of advisory data: %w", err)
	}
	wanted := map[string]bool{}
	for _, d := range keep {
		wanted[d.Hex()] = true
	}
	var errs []error
	for _, e := range entries {
		switch name := e.Name(); {
		case wanted[name]:
			continue
		case strings.HasPrefix(name, importPrefix):
			if info, err := e.Info(); err != nil || now.Sub(info.ModTime()) < abandonedAfter {
				continue
			}
		case !gate.Digest("sha256:" + name).Valid():
			continue // not ours
		}
		if err := os.RemoveAll(filepath.Join(c.root, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func copyFile(ctx context.Context, from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying advisory data: %w: %w", err, gate.ErrInvalid)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return resourceError("copying advisory data", err)
	}
	defer dst.Close()
	if _, err := copyContext(ctx, dst, src); err != nil {
		if errors.Is(err, gate.ErrTimeout) {
			return err
		}
		return resourceError("copying advisory data", err)
	}
	if err := dst.Sync(); err != nil {
		return resourceError("copying advisory data", err)
	}
	return dst.Close()
}
