package advisory

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
)

// Imported is where a bundle goes.
type Imported struct {
	// Out is the directory to make of the database; see [Build]. JavaOut is that of the
	// index of Java archives, "" to leave it in the bundle. They are not the same.
	Out, JavaOut string
	// Open verifies an envelope and returns the content that was signed, of the type
	// [BundleType]. nil looks at no signature; otherwise a bundle without one is refused.
	Open func(envelope []byte) (content []byte, err error)
	Now  time.Time
}

// Import unpacks a bundle without its index of Java archives and looks at no signature; see
// [Imported.Read].
func Import(ctx context.Context, r io.Reader, out string, now time.Time) (*Database, error) {
	return Imported{Out: out, Now: now}.Read(ctx, r)
}

// ImportSigned unpacks a bundle without its index of Java archives; see [Imported.Read].
func ImportSigned(ctx context.Context, r io.Reader, out string, now time.Time, open func(envelope []byte) (content []byte, err error)) (*Database, error) {
	return Imported{Out: out, Now: now, Open: open}.Read(ctx, r)
}

// Read unpacks a bundle beside Out, checks every byte against the digest that it names, and
// puts the result at Out in one step, as [Build] does, after the index at JavaOut. Nothing
// of a bundle that is damaged, or larger than it says, is left. Manifest.Java is the index
// that the bundle holds, nil for none. Errors: gate.ErrInvalid (the bundle, or a directory
// holds something else), gate.ErrTooLarge, gate.ErrResource, gate.ErrTimeout.
func (i Imported) Read(ctx context.Context, r io.Reader) (*Database, error) {
	if i.JavaOut != "" && filepath.Clean(i.JavaOut) == filepath.Clean(i.Out) {
		return nil, fmt.Errorf("the database and the index of Java archives cannot both be in %q: %w", i.Out, gate.ErrInvalid)
	}
	return publishAt(i.Out, func(tmp string) (db *Database, err error) {
		if i.JavaOut == "" {
			return i.take(ctx, r, tmp, "")
		}
		err = publishIndex(i.JavaOut, func(java string) (put bool, err error) {
			db, err = i.take(ctx, r, tmp, java)
			return err == nil && db.Manifest.Java != nil, err
		})
		return db, err
	})
}

// take unpacks and checks a bundle; java is "" where the index is not wanted.
func (i Imported) take(ctx context.Context, r io.Reader, dir, java string) (*Database, error) {
	head, err := i.unpack(ctx, r, dir, java)
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	if head.UpdatedAt.After(i.Now.Add(maxFutureSkew)) {
		return nil, fmt.Errorf("the data of the bundle is of %s, which is in the future: %w", head.UpdatedAt.Format(time.RFC3339), gate.ErrInvalid)
	}
	db, err := inspectAs(ctx, dir, head.Content)
	if err != nil {
		return nil, err
	}
	if !sameIndex(db.Manifest.Java, head.Java) {
		return nil, fmt.Errorf("the bundle has another index of Java archives than its %s names: %w", manifestFile, gate.ErrInvalid)
	}
	if head.Java == nil || java == "" {
		return db, nil
	}
	x, err := InspectJava(ctx, java, i.Now)
	if err != nil {
		return nil, err
	}
	s, err := javaSource(ctx, x)
	if err == nil && s.Digest != head.Java.Digest {
		err = fmt.Errorf("the index of Java archives of the bundle has the content %s and not %s: %w", s.Digest.Short(), head.Java.Digest.Short(), gate.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// unpack writes the files of a bundle into dir, and those of its index into java. The
// names, their order and their kinds are fixed: nothing else is in one.
func (i Imported) unpack(ctx context.Context, r io.Reader, dir, java string) (head bundleHead, err error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return head, fmt.Errorf("it is not compressed with gzip: %w: %w", err, gate.ErrInvalid)
	}
	archive := tar.NewReader(zip)
	text, err := takeFile(archive, bundleFile, maxMetadataBytes)
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err != nil {
		return head, fmt.Errorf("%s: %w: %w", bundleFile, err, gate.ErrInvalid)
	}
	if err := head.check(); err != nil {
		return head, err
	}
	if err := head.verify(archive, text, i.Open); err != nil {
		return head, err
	}
	if err := head.room(dir, java); err != nil {
		return head, err
	}
	paths := map[string]string{}
	for _, f := range peerFiles {
		most := f.most
		if f.name == databaseFile {
			most = head.Bytes
		}
		paths[f.name] = filepath.Join(dir, f.name)
		if err := takeInto(ctx, archive, f.name, most, paths[f.name]); err != nil {
			return head, err
		}
	}
	if head.Java != nil && java != "" {
		paths[javaMetadataName] = filepath.Join(java, metadataFile)
		err = takeInto(ctx, archive, javaMetadataName, maxMetadataBytes, paths[javaMetadataName])
		if err == nil {
			err = takeInto(ctx, archive, javaindex.File, head.Java.Bytes, filepath.Join(java, javaindex.File))
		}
		if err != nil {
			return head, err
		}
	}
	if head.Java == nil || java != "" { // else the rest is not wanted
		if _, err := archive.Next(); !errors.Is(err, io.EOF) {
			return head, fmt.Errorf("it has other files than those of a generation: %w", gate.ErrInvalid)
		}
	}
	return head, head.sameFiles(paths)
}

// room asks for what is unpacked.
func (h bundleHead) room(dir, java string) error {
	needs := []struct {
		dir   string
		bytes int64
	}{{dir, h.Bytes}}
	if h.Java != nil && java != "" {
		needs[0].bytes += h.Java.Bytes // the two are on one disk, as far as is known
		needs = append(needs, struct {
			dir   string
			bytes int64
		}{java, h.Java.Bytes})
	}
	for _, n := range needs {
		if have, known := freeBytes(n.dir); known && have < n.bytes+spare {
			return fmt.Errorf("it needs %s in %q, and %s are free: %w", gate.ByteSize(n.bytes+spare), filepath.Dir(n.dir), gate.ByteSize(max(have, 0)), gate.ErrResource)
		}
	}
	return nil
}

// next is the next file of an archive, which must have the name and at most so many bytes.
func next(archive *tar.Reader, name string, most int64) error {
	h, err := archive.Next()
	switch {
	case err != nil:
		return fmt.Errorf("%s is missing: %w: %w", name, err, gate.ErrInvalid)
	case h.Name != name || h.Typeflag != tar.TypeReg:
		return fmt.Errorf("it has %s where %s is expected: %w", gate.Quoted(h.Name, 100), name, gate.ErrInvalid)
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
