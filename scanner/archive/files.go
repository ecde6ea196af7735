package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// files are the files of an archive by their clean names.
type files interface {
	// has reports whether there is a file of that name.
	has(name string) bool
	// open returns a file and its size; fs.ErrNotExist.
	open(name string) (io.ReadCloser, int64, error)
	// Close releases the archive.
	Close() error
}

func openFiles(ctx context.Context, path string, stdin io.Reader, o Options) (files, error) {
	if path == "-" {
		f, err := spool(ctx, stdin, o, "standard input")
		if err != nil {
			return nil, err
		}
		return openTar(ctx, f, o, f.drop)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, invalid("it cannot be read: %v", cause(err))
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, invalid("it cannot be read: %v", cause(err))
		}
		return directory{root}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, invalid("it cannot be read: %v", cause(err))
	}
	if !info.Mode().IsRegular() { // a pipe of the shell: read it once
		defer f.Close()
		s, err := spool(ctx, f, o, "it")
		if err != nil {
			return nil, err
		}
		return openTar(ctx, s, o, s.drop)
	}
	return openTar(ctx, &spooled{File: f}, o, f.Close)
}

// directory is an archive that is unpacked already. Links out of it lead nowhere.
type directory struct{ root *os.Root }

func (d directory) has(name string) bool {
	info, err := d.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (d directory) open(name string) (io.ReadCloser, int64, error) {
	f, err := d.root.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fs.ErrNotExist
		}
		return nil, 0, cause(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d directory) Close() error { return d.root.Close() }

// tarFiles is a tar archive of which it is known where each file is.
type tarFiles struct {
	file  *spooled
	spans map[string]span
	links map[string]string
	close func() error
	cut   bool // it lacks the zeros that end a tar archive
}

type span struct{ offset, size int64 }

// maxTarFiles bounds the index of an archive; 1,000 images of 1,000 layers have
// fewer files.
const maxTarFiles = 4_000_000

// openTar unpacks a compressed archive and finds its files. close is called when it
// fails, too.
func openTar(ctx context.Context, f *spooled, o Options, closing func() error) (_ files, err error) {
	t := &tarFiles{file: f, spans: map[string]span{}, links: map[string]string{}, close: closing}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it cannot be read: %w", cause(err))
	}
	head = head[:n]
	if unpack := decompressor(head); unpack != nil {
		plain, err := t.unpack(ctx, unpack, o)
		if err != nil {
			return nil, err
		}
		f = plain
	} else if other := foreign(head); other != "" {
		return nil, invalid("it is %s; plain tar archives and those in gzip or zstd can be read", other)
	}
	return t, t.scan(ctx, f)
}

// unpack replaces the file by what it holds.
func (t *tarFiles) unpack(ctx context.Context, reader func(io.Reader) (io.Reader, error), o Options) (*spooled, error) {
	r, err := reader(io.NewSectionReader(t.file, 0, 1<<62))
	if err != nil {
		return nil, invalid("it cannot be unpacked: %v", err)
	}
	plain, err := spool(ctx, r, o, "unpacked, it")
	if err != nil {
		return nil, err
	}
	before := t.close
	t.file, t.close = plain, plain.drop
	return plain, before()
}

// scan finds the files. The last of a name counts, as when it is unpacked.
func (t *tarFiles) scan(ctx context.Context, f *spooled) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	reader := tar.NewReader(f) // reads no further than it must
	for n := 0; ; n++ {
		h, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return t.ended(f)
		case err != nil && n == 0:
			return invalid("it is not a tar archive")
		case err != nil:
			return invalid("it ends in the middle, or is damaged: %v", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case n == maxTarFiles:
			return invalid("it has more than %d files", maxTarFiles)
		}
		name := clean(h.Name)
		delete(t.links, name)
		delete(t.spans, name)
		switch h.Typeflag {
		case tar.TypeReg:
			if sparse(h) {
				return invalid("file %s in it is stored with holes; write the archive without --sparse", gate.Quoted(h.Name, 200))
			}
			offset, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			t.spans[name] = span{offset, h.Size}
		case tar.TypeSymlink: // docker save before 25, for a layer that two images have
			t.links[name] = clean(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			t.links[name] = clean(h.Linkname)
		}
	}
}

// ended notes whether the archive has its end: one that was cut off between two files,
// or in the padding after one, otherwise reads like a complete one.
func (t *tarFiles) ended(f *spooled) error {
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	last := make([]byte, 512)
	n, err := f.ReadAt(last, max(0, end-int64(len(last))))
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("it cannot be read: %w", cause(err))
	}
	t.cut = n < len(last) || len(bytes.Trim(last, "\x00")) > 0
	return nil
}

func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// maxLinks is how many links one file may be behind.
const maxLinks = 8

func (t *tarFiles) find(name string) (span, bool) {
	name = clean(name)
	for range maxLinks {
		to, ok := t.links[name]
		if !ok {
			break
		}
		name = to
	}
	s, ok := t.spans[name]
	return s, ok
}

func (t *tarFiles) has(name string) bool { _, ok := t.find(name); return ok }

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	s, ok := t.find(name)
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(io.NewSectionReader(t.file, s.offset, s.size)), s.size, nil
}

func (t *tarFiles) Close() error { return t.close() }

// spooled is a file that is read at any place.
type spooled struct{ *os.File }

// drop closes and removes a temporary file.
func (s *spooled) drop() error { return errors.Join(s.Close(), os.Remove(s.Name())) }

// spool writes a stream into a temporary file.
func spool(ctx context.Context, r io.Reader, o Options, what string) (_ *spooled, err error) {
	f, err := os.CreateTemp(o.TempDir, "archive-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	s := &spooled{f}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.drop())
		}
	}()
	n, err := io.Copy(f, io.LimitReader(stoppable{ctx, r}, o.MaxBytes+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, invalid("%s cannot be read to its end: %v", what, cause(err))
	case n > o.MaxBytes:
		return nil, fmt.Errorf("%s is larger than scan.maxImageBytes (%s): %w", what, gate.ByteSize(o.MaxBytes), gate.ErrTooLarge)
	}
	return s, nil
}

// stoppable ends a stream with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
