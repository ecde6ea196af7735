package advisory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/digestgate/digestgate/gate"
)

// signature tells whether the operator's files may have changed, without
// reading them.
type signature struct{ database, metadata os.FileInfo }

// sign looks at the two files through symbolic links; ErrInvalid.
func sign(dir string) (signature, error) { return signFiles(dir, databaseFile) }

// signFiles is sign for a database of another name.
func signFiles(dir, database string) (signature, error) {
	var s signature
	for _, f := range []struct {
		name string
		info *os.FileInfo
	}{{database, &s.database}, {metadataFile, &s.metadata}} {
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

// writeNew makes a file that is not there yet, of what write puts into it, and has it on
// the disk. Errors: those of write; gate.ErrResource, gate.ErrInvalid.
func writeNew(path string, mode os.FileMode, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return resourceError("writing advisory data", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return resourceError("writing advisory data", err)
	}
	return nil
}

// transfer copies what src has into a file of [writeNew]. A failure of src is worded by
// broken; one of the disk is not, so that no source is blamed for it. Errors besides those
// of broken: gate.ErrResource, gate.ErrInvalid, gate.ErrTimeout.
func transfer(ctx context.Context, dst io.Writer, src io.Reader, broken func(error) error) (int64, error) {
	from := &reading{Reader: src}
	n, err := copyContext(ctx, dst, from)
	switch {
	case err == nil, errors.Is(err, gate.ErrTimeout):
		return n, err
	case from.err != nil:
		return n, broken(from.err)
	}
	return n, resourceError("writing advisory data", err)
}

// reading remembers that reading failed.
type reading struct {
	io.Reader
	err error
}

func (s *reading) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func copyFile(ctx context.Context, from, to string) error {
	unread := func(err error) error { return fmt.Errorf("copying advisory data: %w: %w", err, gate.ErrInvalid) }
	src, err := os.Open(from)
	if err != nil {
		return unread(err)
	}
	defer src.Close()
	return writeNew(to, 0o600, func(dst io.Writer) error {
		_, err := transfer(ctx, dst, src, unread)
		return err
	})
}

// writeManifest puts the manifest of a generation beside its files, complete or not at
// all, and has all of them on the disk.
func writeManifest(dir string, m Manifest) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".manifest-*") // mode 0600
	if err != nil {
		return resourceError("writing the manifest of advisory data", err)
	}
	_, err = tmp.Write(append(text, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, manifestFile))
	}
	if err != nil {
		return errors.Join(resourceError("writing the manifest of advisory data", err), os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

// syncDir has the names in a directory survive a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return resourceError("writing the directory of advisory data", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems cannot, and need not
		return resourceError("writing the directory of advisory data", err)
	}
	return nil
}

// spare is what is left free besides a generation: the store and the lists may be on
// the same volume.
const spare = 64 << 20

// room checks that a generation of so many bytes fits on the disk; gate.ErrResource.
func (c *copies) room(bytes int64) error {
	free := c.free
	if free == nil {
		free = freeBytes
	}
	have, known := free(c.root)
	if !known || have >= bytes+spare {
		return nil
	}
	return fmt.Errorf("advisory data needs %s in %q, and %s are to stay free beside it; there are %s: make room for %s, or give dataDir a larger volume: %w",
		gate.ByteSize(bytes), c.root, gate.ByteSize(spare), gate.ByteSize(max(have, 0)), gate.ByteSize(bytes+spare-have), gate.ErrResource)
}

// freeBytes is what this process may write below dir.
func freeBytes(dir string) (bytes int64, known bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
