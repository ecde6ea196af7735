package advisory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// copies are the generations that are kept under dataDir/advisories, one directory for
// each content, named by its digest. What is in one is never changed, only removed, so
// that it may stay open and mapped into memory. A directory appears under its name when
// it is complete, checked and on the disk: a crash leaves an unfinished one at most,
// which has another name. Safe for concurrent use.
type copies struct {
	root string
	// free is how many bytes may be written below a directory; step is called before
	// each step that a crash may come between. Both are for tests; nil is the usual.
	free func(dir string) (bytes int64, known bool)
	step func(name string)

	mu   sync.Mutex
	held map[string]int // names that prune leaves: unfinished ones, and candidates
}

// importPrefix begins the names of unfinished copies.
const importPrefix = ".import-"

// abandonedAfter is the age at which an unfinished copy belongs to a process that is
// gone. One that downloads says every minute that it is there.
const abandonedAfter = time.Hour

func (c *copies) dir(content gate.Digest) string { return filepath.Join(c.root, content.Hex()) }

func (c *copies) at(step string) {
	if c.step != nil {
		c.step(step)
	}
}

// hold keeps a name below root from being pruned until release is called.
func (c *copies) hold(name string) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[string]int{}
	}
	c.held[name]++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held[name]--; c.held[name] == 0 {
			delete(c.held, name)
		}
	})
}

func (c *copies) isHeld(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[name] > 0
}

// unfinished makes a directory for a generation that is not complete yet, when there is
// room for bytes; discard removes it, unless it was kept under another name meanwhile.
// Errors: gate.ErrResource.
func (c *copies) unfinished(bytes int64) (dir string, discard func(), err error) {
	if err := os.MkdirAll(c.root, 0o700); err != nil {
		return "", nil, resourceError("making the directory for advisory data", err)
	}
	if err := c.room(bytes); err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(c.root, importPrefix)
	if err != nil {
		return "", nil, resourceError("making a directory for advisory data", err)
	}
	release := c.hold(filepath.Base(dir))
	return dir, func() { _ = os.RemoveAll(dir); release() }, nil
}

// take copies dir, checks the copy completely and returns it. The operator may
// replace or rewrite dir at any moment: what is checked and used is only the
// copy. A hard link would not do, because it shares the bytes with a writer
// that does not rename.
// Errors: gate.ErrInvalid (the data), gate.ErrResource (no space),
// gate.ErrConflict (dir changed meanwhile: try again), gate.ErrTimeout.
func (c *copies) take(ctx context.Context, dir string, now time.Time, java *JavaSource) (*Database, error) {
	before, err := sign(dir)
	if err != nil {
		return nil, err
	}
	tmp, discard, err := c.unfinished(before.database.Size() + before.metadata.Size())
	if err != nil {
		return nil, err
	}
	defer discard()
	if err := copySigned(ctx, dir, tmp, before, c.at); err != nil {
		return nil, err
	}
	c.at("check")
	db, err := Inspect(ctx, tmp, now)
	if err != nil {
		return nil, err
	}
	db.adopt(dir)
	db.join(java)
	return c.keep(ctx, db)
}

// keep gives a checked and complete directory below root its final name, which is the
// digest of its manifest. A copy of the same content that is there already stays if it
// is still sound: it may be in use.
func (c *copies) keep(ctx context.Context, db *Database) (*Database, error) {
	content := db.Manifest.Digest()
	if have, err := c.verify(ctx, content); err == nil {
		return have, c.renew(have, db.Manifest)
	}
	c.at("write manifest")
	if err := writeManifest(db.Dir, db.Manifest); err != nil {
		return nil, err
	}
	final := c.dir(content)
	c.at("remove damaged")
	// Unlinking leaves the mapping of a process that has it open intact.
	if err := os.RemoveAll(final); err != nil {
		return nil, resourceError("removing a damaged copy of advisory data", err)
	}
	c.at("rename")
	if err := os.Rename(db.Dir, final); err != nil {
		return nil, resourceError("keeping advisory data", err)
	}
	c.at("sync")
	if err := syncDir(c.root); err != nil {
		return nil, err
	}
	kept := *db
	kept.Dir, kept.Content = final, content
	return &kept, nil
}

// renew notes where a kept generation can be downloaded, when that was not known.
func (c *copies) renew(have *Database, m Manifest) error {
	if m.origin() == "" || have.Manifest.origin() == m.origin() {
		return nil
	}
	have.Manifest = m
	return writeManifest(have.Dir, m)
}

// verify checks a kept generation from its first byte to its last; ErrInvalid. Its time
// may be in the future by a clock that was put back: it was accepted before.
func (c *copies) verify(ctx context.Context, content gate.Digest) (*Database, error) {
	if !content.Valid() {
		return nil, fmt.Errorf("advisory content %q is not a digest: %w", content, gate.ErrInvalid)
	}
	db, err := inspectAs(ctx, c.dir(content), content)
	if err == nil && !c.javaPresent(db.Manifest.Java) {
		err = fmt.Errorf("the index of Java archives of advisory data %s is gone: %w", content.Short(), gate.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// inspectAs checks the files in dir as those of a generation with its manifest, or of a
// database without one.
func inspectAs(ctx context.Context, dir string, content gate.Digest) (*Database, error) {
	db, err := Inspect(ctx, dir, time.Time{})
	if err != nil {
		return nil, err
	}
	text, ok, err := readManifest(dir)
	if err == nil && ok {
		db.Manifest, err = decodeManifest(text, content)
	}
	if err != nil {
		return nil, err
	}
	if have := db.Content; have != db.Manifest.database() {
		return nil, fmt.Errorf("the files of advisory data %s have the content %s: %w", content.Short(), have.Short(), gate.ErrInvalid)
	}
	if db.Content = db.Manifest.Digest(); db.Content != content {
		return nil, fmt.Errorf("the copy of advisory data %s has the content %s: %w", content.Short(), db.Content.Short(), gate.ErrInvalid)
	}
	return db, nil
}

// present reports whether the copy of content is still on the disk.
func (c *copies) present(content gate.Digest) bool {
	if !content.Valid() {
		return false
	}
	info, err := os.Stat(filepath.Join(c.dir(content), databaseFile))
	return err == nil && info.Mode().IsRegular() && c.javaPresent(javaOf(c.dir(content)))
}

// kept lists the contents that are on the disk, complete.
func (c *copies) kept() []gate.Digest {
	entries, err := os.ReadDir(c.root)
	if err != nil {
		return nil // nothing was ever kept
	}
	var list []gate.Digest
	for _, e := range entries {
		if d := gate.Digest("sha256:" + e.Name()); d.Valid() && c.present(d) {
			list = append(list, d)
		}
	}
	return list
}

// prune removes every generation but the given ones and the candidates, and unfinished
// ones that nobody works on.
func (c *copies) prune(now time.Time, keep ...gate.Digest) error {
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
		case wanted[name], c.isHeld(name):
			continue
		case strings.HasPrefix(name, importPrefix):
			if info, err := e.Info(); err != nil || now.Sub(info.ModTime()) < abandonedAfter {
				continue
			}
		case !gate.Digest("sha256:" + name).Valid():
			continue // not ours
		}
		c.at("prune")
		if err := os.RemoveAll(filepath.Join(c.root, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Copy copies the database in a directory to out, where there is none, with the manifest
// beside it if there is one, and checks the copy completely. Errors: as for a directory at advisories.path.
func Copy(ctx context.Context, dir, out string, now time.Time) (*Database, error) {
	before, err := sign(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return nil, resourceError("making a directory for advisory data", err)
	}
	if err := (&copies{root: out}).room(before.database.Size()); err != nil {
		return nil, err
	}
	if text, ok, err := readManifest(dir); err != nil {
		return nil, err
	} else if ok {
		if err := os.WriteFile(filepath.Join(out, manifestFile), text, 0o600); err != nil {
			return nil, resourceError("copying the manifest of advisory data", err)
		}
	}
	if err := copySigned(ctx, dir, out, before, func(string) {}); err != nil {
		return nil, err
	}
	db, err := Inspect(ctx, out, now)
	if err == nil {
		db.adoptAges(out)
	}
	return db, err
}

// copySigned copies the two files of a directory that looked so before.
func copySigned(ctx context.Context, dir, to string, before signature, at func(step string)) error {
	for _, name := range []string{databaseFile, metadataFile} {
		at("copy " + name)
		if err := copyFile(ctx, filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	if after, err := sign(dir); err != nil || !before.equal(after) {
		return fmt.Errorf("advisory data at %q changed while it was copied: %w", dir, gate.ErrConflict)
	}
	return nil
}
