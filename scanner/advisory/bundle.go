package advisory

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// A bundle carries a generation to an installation that reaches no repository: a tar of
// bundle.json, which names what it holds, and then the files, compressed with gzip.

// bundleFile is the first file of a bundle.
const bundleFile = "bundle.json"

// The layouts of a bundle: that of a signed one has signatureFile after bundleFile.
const (
	bundleFormat = 1
	signedFormat = 2
)

// bundleHead says what a bundle holds.
type bundleHead struct {
	Format    int         `json:"format"`
	Content   gate.Digest `json:"content"`
	UpdatedAt time.Time   `json:"updatedAt"`
	MadeAt    time.Time   `json:"madeAt"`
	Bytes     int64       `json:"bytes"` // of trivy.db
	// Files are the digests of the small files of a signed bundle. Content covers trivy.db
	// and not all that these say.
	Files map[string]gate.Digest `json:"files,omitempty"`
}

// Export writes the generation in dir, a kept one or a directory of an operator, to w as a
// bundle, after checking it completely. Errors: gate.ErrInvalid (the data), gate.ErrResource
// (the file cannot be written), gate.ErrTimeout.
func Export(ctx context.Context, dir string, w io.Writer, now time.Time) (*Database, error) {
	return ExportSigned(ctx, dir, w, now, nil)
}

// ExportSigned is Export with a signature: sign makes an envelope of content of the type
// [BundleType]; nil signs nothing.
func ExportSigned(ctx context.Context, dir string, w io.Writer, now time.Time, sign func(content []byte) (envelope []byte, err error)) (*Database, error) {
	db, err := Inspect(ctx, dir, now)
	if err != nil {
		return nil, err
	}
	text, ok, err := readManifest(dir)
	if err == nil && ok {
		if db.Manifest, err = decodeManifest(text, ""); err == nil && db.Manifest.database() != db.Content {
			err = fmt.Errorf("the files in %q are not those of its %s: %w", dir, manifestFile, gate.ErrInvalid)
		}
	}
	if err != nil {
		return nil, err
	}
	db.join(nil) // an index of Java archives is not in the bundle
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	if text, err = db.Manifest.encode(); err == nil {
		err = putHead(archive, db, dir, text, now, sign)
	}
	if err == nil {
		err = putFile(archive, manifestFile, text)
	}
	for _, name := range []string{metadataFile, databaseFile} {
		if err == nil {
			err = putFrom(ctx, archive, name, filepath.Join(dir, name))
		}
	}
	if err = errors.Join(err, archive.Close(), zip.Close()); err != nil {
		return nil, resourceError("writing the bundle", err)
	}
	return db, nil
}

func putFile(archive *tar.Writer, name string, content []byte) error {
	err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = archive.Write(content)
	}
	return err
}

func putFrom(ctx context.Context, archive *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = copyContext(ctx, archive, f)
	return err
}

// Import unpacks a bundle beside out, checks every byte against the digest that it names,
// and puts the result at out in one step, as [Build] does. Nothing of a bundle that is
// damaged, or larger than it says, is left. Errors: gate.ErrInvalid (the bundle, or out
// holds something else), gate.ErrTooLarge, gate.ErrResource, gate.ErrTimeout.
func Import(ctx context.Context, r io.Reader, out string, now time.Time) (*Database, error) {
	return ImportSigned(ctx, r, out, now, nil)
}

// ImportSigned is Import of what open accepts the signature of: it verifies an envelope and
// returns the content that was signed, of the type [BundleType]. nil looks at no signature;
// otherwise a bundle without one is refused.
func ImportSigned(ctx context.Context, r io.Reader, out string, now time.Time, open func(envelope []byte) (content []byte, err error)) (*Database, error) {
	return publishAt(out, func(tmp string) (*Database, error) {
		head, err := unpackBundle(ctx, r, tmp, open)
		if err != nil {
			return nil, fmt.Errorf("reading the bundle: %w", err)
		}
		if head.UpdatedAt.After(now.Add(maxFutureSkew)) {
			return nil, fmt.Errorf("the data of the bundle is of %s, which is in the future: %w", head.UpdatedAt.Format(time.RFC3339), gate.ErrInvalid)
		}
		return inspectAs(ctx, tmp, head.Content)
	})
}

// unpackBundle writes the files of a bundle into dir. The names, their order and their
// kinds are fixed: nothing else is in one.
func unpackBundle(ctx context.Context, r io.Reader, dir string, open func([]byte) ([]byte, error)) (head bundleHead, err error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return head, fmt.Errorf("it is not compressed with gzip: %w: %w", err, gate.ErrInvalid)
	}
	archive := tar.NewReader(zip)
	text, err := takeFile(archive, bundleFile, maxMetadataBytes)
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	switch {
	case err != nil:
		return head, fmt.Errorf("%s: %w: %w", bundleFile, err, gate.ErrInvalid)
	case head.Format != bundleFormat && head.Format != signedFormat:
		return head, fmt.Errorf("it has format %d, this version reads %d and %d: %w", head.Format, bundleFormat, signedFormat, gate.ErrInvalid)
	case !head.Content.Valid() || head.Bytes <= 0 || head.Bytes > maxDatabaseBytes:
		return head, fmt.Errorf("%s names no content, or %d bytes: %w", bundleFile, head.Bytes, gate.ErrInvalid)
	}
	if err := head.verify(archive, text, open); err != nil {
		return head, err
	}
	if have, known := freeBytes(dir); known && have < head.Bytes+spare {
		return head, fmt.Errorf("it needs %s in %q, and %s are free: %w", gate.ByteSize(head.Bytes+spare), filepath.Dir(dir), gate.ByteSize(max(have, 0)), gate.ErrResource)
	}
	for _, f := range peerFiles {
		most := f.most
		if f.name == databaseFile {
			most = head.Bytes
		}
		if err := takeInto(ctx, archive, f.name, most, filepath.Join(dir, f.name)); err != nil {
			return head, err
		}
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return head, fmt.Errorf("it holds more than the files of a generation: %w", gate.ErrInvalid)
	}
	for name, want := range head.Files {
		content, err := gate.ReadSmallFile(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			return head, resourceError("reading "+filepath.Base(name), err)
		}
		if digestOf(content) != want {
			return head, fmt.Errorf("%s is not the one that was signed: %w", gate.Quoted(name, 100), gate.ErrInvalid)
		}
	}
	return head, nil
}

// next is the next file of an archive, which must have the name and at most so many bytes.
func next(archive *tar.Reader, name string, most int64) error {
	h, err := archive.Next()
	switch {
	case err != nil:
		return fmt.Errorf("%s is missing: %w: %w", name, err, gate.ErrInvalid)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return fmt.Errorf("it holds %s where %s belongs: %w", gate.Quoted(h.Name, 100), name, gate.ErrInvalid)
	case h.Size > most:
		return fmt.Errorf("%s has %s, more than %s: %w", name, gate.ByteSize(h.Size), gate.ByteSize(most), gate.ErrTooLarge)
	}
	return nil
}

func takeFile(archive *tar.Reader, name string, most int64) ([]byte, error) {
	if err := next(archive, name, most); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(archive, most))
}

func takeInto(ctx context.Context, archive *tar.Reader, name string, most int64, path string) error {
	if err := next(archive, name, most); err != nil {
		return err
	}
	return writeNew(path, 0o644, func(f io.Writer) error {
		_, err := transfer(ctx, f, archive, func(err error) error { return resourceError("reading "+name, err) })
		return err
	})
}

// NewestKept is the directory of the newest generation that a server keeps in dataDir.
// gate.ErrNotFound: it keeps none.
func NewestKept(dataDir string) (string, error) {
	c := copies{root: filepath.Join(dataDir, "advisories")}
	var newest time.Time
	dir := ""
	for _, content := range c.kept() {
		meta, err := readMetadata(c.dir(content), time.Time{})
		if err == nil && (dir == "" || meta.UpdatedAt.After(newest)) {
			dir, newest = c.dir(content), meta.UpdatedAt
		}
	}
	if dir == "" {
		return "", fmt.Errorf("there is no advisory data in %q; name a directory with --path: %w", c.root, gate.ErrNotFound)
	}
	return dir, nil
}
