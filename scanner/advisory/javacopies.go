package advisory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// javaRecordFile is beside a kept index and says which it is.
const javaRecordFile = "index.json"

// writeJavaRecord writes it into a directory that is not complete yet.
func writeJavaRecord(dir string, s *JavaSource) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, javaRecordFile), text, 0o600)
	}
	if err != nil {
		return resourceError("writing what an index of Java archives is", err)
	}
	return syncDir(dir)
}

// keptJava is the kept index with a digest, nil when there is none.
func (c *copies) keptJava(index gate.Digest) *JavaSource {
	text, err := gate.ReadSmallFile(filepath.Join(c.javaDir(index), javaRecordFile))
	s := new(JavaSource)
	if err != nil || json.Unmarshal(text, s) != nil || s.Digest != index || !c.javaPresent(s) {
		return nil
	}
	return s
}

// takeJava copies the index in dir, checks the copy completely and keeps it. An index that
// is kept already is only read once. Errors: as for take.
func (c *copies) takeJava(ctx context.Context, dir string, now time.Time) (*JavaSource, error) {
	before, err := signFiles(dir, javaindex.File)
	if err != nil {
		return nil, err
	}
	meta, err := readMetadataOf(dir, now, javaSchemaVersion)
	if err != nil {
		return nil, err
	}
	sum, _, err := hashFile(ctx, filepath.Join(dir, javaindex.File))
	if err != nil {
		return nil, err
	}
	if s := c.keptJava(javaDigest(meta.UpdatedAt, sum)); s != nil {
		return s, nil
	}
	tmp, discard, err := c.unfinished(before.database.Size() + before.metadata.Size())
	if err != nil {
		return nil, err
	}
	defer discard()
	for _, name := range []string{javaindex.File, metadataFile} {
		if err := copyFile(ctx, filepath.Join(dir, name), filepath.Join(tmp, name)); err != nil {
			return nil, err
		}
	}
	if after, err := signFiles(dir, javaindex.File); err != nil || !before.equal(after) {
		return nil, fmt.Errorf("the index of Java archives at %q changed while it was copied: %w", dir, gate.ErrConflict)
	}
	return c.adoptJava(ctx, tmp, now, "", "")
}

// adoptJava checks an index that is complete below root and keeps it; of, unless "", is the
// digest that it must have.
func (c *copies) adoptJava(ctx context.Context, dir string, now time.Time, of gate.Digest, from string) (*JavaSource, error) {
	x, err := InspectJava(ctx, dir, now)
	if err != nil {
		return nil, err
	}
	s, err := javaSource(ctx, x)
	if err != nil {
		return nil, err
	}
	if s.From = from; of != "" && s.Digest != of {
		return nil, fmt.Errorf("the index of Java archives has the content %s and not %s: %w", s.Digest.Short(), of.Short(), gate.ErrInvalid)
	}
	return s, c.keepJava(dir, s)
}

// sameDatabase makes an unfinished generation out of a kept one that has the same database,
// with another index of Java archives or none: the database is not copied where the file
// system can give it a second name.
func (c *copies) sameDatabase(ctx context.Context, kept *Database, m Manifest) (db *Database, discard func(), err error) {
	dir, discard, err := c.unfinished(0)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{databaseFile, metadataFile} {
		from, to := filepath.Join(kept.Dir, name), filepath.Join(dir, name)
		if os.Link(from, to) == nil {
			continue
		}
		if err := c.room(kept.Summary.Bytes); err != nil {
			discard()
			return nil, nil, err
		}
		if err := copyFile(ctx, from, to); err != nil {
			discard()
			return nil, nil, err
		}
	}
	next := *kept
	next.Dir, next.Manifest, next.Content = dir, m, m.Digest()
	return &next, discard, nil
}

// fromKept makes the generation of a manifest out of another one that is kept here with the
// same database; ok is false when there is none.
func (c *copies) fromKept(ctx context.Context, m Manifest) (ok bool, err error) {
	for _, content := range c.kept() {
		text, has, err := readManifest(c.dir(content))
		if err != nil {
			continue
		}
		database := content
		if has {
			other, err := decodeManifest(text, content)
			if err != nil {
				continue
			}
			database = other.database()
		}
		if database != m.database() {
			continue
		}
		kept, err := c.verify(ctx, content)
		if errors.Is(err, gate.ErrInvalid) {
			continue
		}
		if err != nil {
			return false, err
		}
		db, discard, err := c.sameDatabase(ctx, kept, m)
		if err != nil {
			return false, err
		}
		defer discard()
		_, err = c.keep(ctx, db)
		return err == nil, err
	}
	return false, nil
}
