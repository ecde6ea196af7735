package advisory

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// A bundle carries a generation to an installation that reaches no repository: a tar of
// bundle.json, which names what it holds, and then the files, compressed with gzip.

// bundleFile is the first file of a bundle.
const bundleFile = "bundle.json"

// The layouts of a bundle: that of a signed one has signatureFile after bundleFile; that
// with an index of Java archives has its two files at the end, and says by itself whether
// it is signed.
const (
	bundleFormat = 1
	signedFormat = 2
	javaFormat   = 3
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
	// Signed and Java are of javaFormat.
	Signed bool        `json:"signed,omitempty"`
	Java   *JavaSource `json:"java,omitempty"`
}

func (h bundleHead) signed() bool {
	return h.Format == signedFormat || h.Format == javaFormat && h.Signed
}

// check refuses what no bundle says; gate.ErrInvalid.
func (h bundleHead) check() error {
	switch {
	case h.Format < bundleFormat || h.Format > javaFormat:
		return fmt.Errorf("it has format %d, this version reads %d to %d: %w", h.Format, bundleFormat, javaFormat, gate.ErrInvalid)
	case !h.Content.Valid() || h.Bytes <= 0 || h.Bytes > maxDatabaseBytes:
		return fmt.Errorf("%s names no content, or %d bytes: %w", bundleFile, h.Bytes, gate.ErrInvalid)
	case (h.Format == javaFormat) != (h.Java != nil), h.Java != nil && (!h.Java.Digest.Valid() || h.Java.Bytes <= 0 || h.Java.Bytes > maxJavaBytes):
		return fmt.Errorf("%s does not describe the index of Java archives that it has: %w", bundleFile, gate.ErrInvalid)
	}
	return nil
}

// maxJavaBytes bounds an index of Java archives, as scanner/advisory/download does.
const maxJavaBytes = 16 << 30

// Exported is what a bundle is made of.
type Exported struct {
	// Dir is a kept generation, or a directory of an operator.
	Dir string
	// Java is a directory with an index of Java archives that goes with it; "" for none.
	Java string
	// Sign makes an envelope of content of the type [BundleType]; nil signs nothing.
	Sign func(content []byte) (envelope []byte, err error)
	Now  time.Time
}

// Export writes the generation in dir to w as a bundle without an index of Java archives
// and without a signature; see [Exported.Write].
func Export(ctx context.Context, dir string, w io.Writer, now time.Time) (*Database, error) {
	return Exported{Dir: dir, Now: now}.Write(ctx, w)
}

// ExportSigned is Export with a signature.
func ExportSigned(ctx context.Context, dir string, w io.Writer, now time.Time, sign func(content []byte) (envelope []byte, err error)) (*Database, error) {
	return Exported{Dir: dir, Now: now, Sign: sign}.Write(ctx, w)
}

// Write writes a bundle, after checking completely what goes into it. Errors:
// gate.ErrInvalid (the data), gate.ErrResource (the file cannot be written),
// gate.ErrTimeout.
func (e Exported) Write(ctx context.Context, w io.Writer) (*Database, error) {
	db, err := e.inspect(ctx)
	if err != nil {
		return nil, err
	}
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	text, err := db.Manifest.encode()
	if err == nil {
		err = e.putHead(archive, db, text)
	}
	if err == nil {
		err = putFile(archive, manifestFile, text)
	}
	for _, f := range e.files() {
		if err == nil {
			err = putFrom(ctx, archive, f.name, f.path)
		}
	}
	if err = errors.Join(err, archive.Close(), zip.Close()); err != nil {
		return nil, resourceError("writing the bundle", err)
	}
	return db, nil
}

// inspect reads what goes into the bundle.
func (e Exported) inspect(ctx context.Context) (*Database, error) {
	db, err := Inspect(ctx, e.Dir, e.Now)
	if err != nil {
		return nil, err
	}
	text, ok, err := readManifest(e.Dir)
	if err == nil && ok {
		if db.Manifest, err = decodeManifest(text, ""); err == nil && db.Manifest.database() != db.Content {
			err = fmt.Errorf("the files in %q are not those of its %s: %w", e.Dir, manifestFile, gate.ErrInvalid)
		}
	}
	if err != nil {
		return nil, err
	}
	if e.Java == "" {
		db.join(nil)
		return db, nil
	}
	x, err := InspectJava(ctx, e.Java, e.Now)
	if err != nil {
		return nil, err
	}
	java, err := javaSource(ctx, x)
	if err != nil {
		return nil, err
	}
	if named := db.Manifest.Java; named != nil && named.Digest == java.Digest {
		java.From = named.From
	}
	db.join(java)
	return db, nil
}

// bundled is a file of a bundle, with where it is on the disk.
type bundled struct{ name, path string }

// files are those that follow the manifest.
func (e Exported) files() []bundled {
	list := []bundled{{metadataFile, filepath.Join(e.Dir, metadataFile)}, {databaseFile, filepath.Join(e.Dir, databaseFile)}}
	if e.Java != "" {
		list = append(list, bundled{javaMetadataName, filepath.Join(e.Java, metadataFile)}, bundled{javaindex.File, filepath.Join(e.Java, javaindex.File)})
	}
	return list
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

// NewestKept is the directory of the newest generation that a server keeps in dataDir, of
// two with the same database that with the newer index of Java archives.
// gate.ErrNotFound: it keeps none.
func NewestKept(dataDir string) (string, error) {
	c := copies{root: filepath.Join(dataDir, "advisories")}
	var newest time.Time
	var java *JavaSource
	dir := ""
	for _, content := range c.kept() {
		meta, err := readMetadata(c.dir(content), time.Time{})
		with := javaOf(c.dir(content))
		if err == nil && (dir == "" || meta.UpdatedAt.After(newest) || meta.UpdatedAt.Equal(newest) && newerIndex(with, java)) {
			dir, newest, java = c.dir(content), meta.UpdatedAt, with
		}
	}
	if dir == "" {
		return "", fmt.Errorf("there is no advisory data in %q; name a directory with --path: %w", c.root, gate.ErrNotFound)
	}
	return dir, nil
}
