package advisory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// JavaSource is the index of Java archives of a generation. Its bytes are kept beside the
// generations, once for all that name it.
type JavaSource struct {
	// Digest is of the schema, the time and the bytes of the index.
	Digest    gate.Digest `json:"digest"`
	UpdatedAt time.Time   `json:"updatedAt"`
	// From is as in [Source]. Bytes, and the rows, are what the next index is compared
	// with. They are no part of the content.
	From      string `json:"from,omitempty"`
	Bytes     int64  `json:"bytes"`
	Artifacts int64  `json:"artifacts"`
	Indices   int64  `json:"indices"`
}

// javaDirName is the directory below that of the generations with the indices of Java
// archives, each under its digest.
const javaDirName = "java"

func (c *copies) javaDir(index gate.Digest) string {
	return filepath.Join(c.root, javaDirName, index.Hex())
}

// javaPresent reports whether the index is on the disk, complete.
func (c *copies) javaPresent(s *JavaSource) bool {
	if s == nil {
		return true
	}
	if !s.Digest.Valid() {
		return false
	}
	info, err := os.Stat(filepath.Join(c.javaDir(s.Digest), javaindex.File))
	return err == nil && info.Mode().IsRegular() && info.Size() == s.Bytes
}

// JavaDir is where the index of Java archives of the generation in dir is; ok is false when
// it has none. gate.ErrInvalid: its manifest cannot be read, or the index is gone.
func JavaDir(dir string) (java string, ok bool, err error) {
	text, ok, err := readManifest(dir)
	if err != nil || !ok {
		return "", false, err
	}
	m, err := decodeManifest(text, "")
	if err != nil || m.Java == nil {
		return "", false, err
	}
	c := &copies{root: filepath.Dir(dir)}
	if !c.javaPresent(m.Java) {
		return "", false, fmt.Errorf("the index of Java archives %s of the advisory data in %q is gone: %w", m.Java.Digest.Short(), dir, gate.ErrInvalid)
	}
	return c.javaDir(m.Java.Digest), true, nil
}

// javaSource reads a checked directory once more and names its content.
func javaSource(ctx context.Context, x *JavaIndex) (*JavaSource, error) {
	sum, size, err := hashFile(ctx, filepath.Join(x.Dir, javaindex.File))
	if err != nil {
		return nil, err
	}
	return &JavaSource{Digest: javaDigest(x.UpdatedAt, sum), UpdatedAt: x.UpdatedAt, Bytes: size, Artifacts: x.Artifacts, Indices: x.Indices}, nil
}

// javaDigest names an index: its bytes and the time that it states.
func javaDigest(updatedAt time.Time, index [sha256.Size]byte) gate.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "digestgate java index\nschema %d\nupdated %s\n%s %x\n", javaSchemaVersion, updatedAt.UTC().Format(time.RFC3339Nano), javaindex.File, index)
	return gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// keepJava gives a checked and complete directory below root its final name. An index that
// is there already stays: it may be in use.
func (c *copies) keepJava(dir string, s *JavaSource) error {
	final := c.javaDir(s.Digest)
	if c.javaPresent(s) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return resourceError("making the directory for indices of Java archives", err)
	}
	if err := writeJavaRecord(dir, s); err != nil {
		return err
	}
	c.at("remove damaged index")
	if err := os.RemoveAll(final); err != nil {
		return resourceError("removing a damaged index of Java archives", err)
	}
	c.at("rename index")
	if err := os.Rename(dir, final); err != nil {
		return resourceError("keeping an index of Java archives", err)
	}
	return syncDir(filepath.Dir(final))
}

// pruneJava removes the indices that no kept generation has, nor those of keep.
func (c *copies) pruneJava(keep ...*JavaSource) error {
	entries, err := os.ReadDir(filepath.Join(c.root, javaDirName))
	if err != nil {
		return nil //nolint:nilerr // none was ever kept
	}
	wanted := map[string]bool{}
	for _, s := range keep {
		if s != nil {
			wanted[s.Digest.Hex()] = true
		}
	}
	generations, err := os.ReadDir(c.root)
	if err != nil {
		return fmt.Errorf("listing copies of advisory data: %w", err)
	}
	for _, e := range generations {
		if s := javaOf(filepath.Join(c.root, e.Name())); s != nil {
			wanted[s.Digest.Hex()] = true
		}
	}
	for _, e := range entries {
		if wanted[e.Name()] || c.isHeld(javaDirName+"/"+e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.root, javaDirName, e.Name())); err != nil {
			return fmt.Errorf("removing an index of Java archives: %w", err)
		}
	}
	return nil
}

// javaOf is the index that the generation in dir names, nil for none.
func javaOf(dir string) *JavaSource {
	text, ok, err := readManifest(dir)
	if err != nil || !ok {
		return nil
	}
	m, err := decodeManifest(text, "")
	if err != nil {
		return nil
	}
	return m.Java
}

// outOfJavaBand says why an index is too far from the one in force; nil for none. Where
// nothing is in force, own indices may have any size, and others what Trivy's had for years.
func outOfJavaBand(next, former *JavaSource, own bool) error {
	why := ""
	switch {
	case former == nil && own:
	case former == nil && next.Indices < minimumIndices:
		why = fmt.Sprintf("it knows %d archives, Trivy's index has more than %d: if it is an index of your own, say so with own: true at the repository", next.Indices, minimumIndices)
	case former == nil:
	case next.UpdatedAt.Before(former.UpdatedAt):
		why = fmt.Sprintf("it is of %s, older than the index in force of %s", next.UpdatedAt.Format(time.RFC3339), former.UpdatedAt.Format(time.RFC3339))
	default:
		why = cmp.Or(outOfBand("archives", int(former.Indices), int(next.Indices)), outOfBand("names", int(former.Artifacts), int(next.Artifacts)))
	}
	if why == "" {
		return nil
	}
	return fmt.Errorf("%s: %w", why, gate.ErrInvalid)
}

// minimumIndices is far below what Trivy's index has: Maven Central has had more archives
// since 2018.
const minimumIndices = 1_000_000
