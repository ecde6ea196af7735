package download

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxEntries bounds the entries of an archive; it has two files, and tools add
	// directories.
	maxEntries = 16
	// maxRatio bounds how much larger the files are than the layer, beyond ratioSlack:
	// Trivy's databases are ten times as large, a new one with much free space fifty
	// times. gzip can make a thousand.
	maxRatio   = 100
	ratioSlack = 64 << 20
	// maxTrailer is what may follow the last entry: the archive's end and its padding.
	maxTrailer = 1 << 20
)

// unpack writes the artifact's files, and nothing else, into dir, and syncs them.
// Errors: gate.ErrInvalid (the archive), gate.ErrResource, gate.ErrTimeout.
func (d *Downloader) unpack(ctx context.Context, layer, dir string, tell func(done int64)) error {
	f, err := os.Open(layer)
	if err != nil {
		return diskError("reading", layer, err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("the layer is not gzip: %w: %w", err, gate.ErrInvalid)
	}
	defer z.Close()
	u := &unpacking{d: d, dir: dir, tell: tell, left: sizeOf(layer)*maxRatio + ratioSlack, wanted: map[string]int64{}}
	for _, w := range d.artifact.Files {
		u.wanted[w.Name] = w.Max
	}
	// What decompresses beyond all limits is no more than this, whatever it is.
	bounded := io.LimitReader(z, u.left+maxTrailer)
	if err := u.entries(ctx, tar.NewReader(bounded)); err != nil {
		return err
	}
	n, err := copyContext(ctx, io.Discard, io.LimitReader(bounded, maxTrailer+1))
	switch {
	case errors.Is(err, gate.ErrTimeout):
		return err
	case err != nil:
		return archiveError(err)
	case n > maxTrailer:
		return archiveError(errors.New("more follows its end than padding"))
	}
	return syncDir(dir)
}

// unpacking is one archive.
type unpacking struct {
	d      *Downloader
	dir    string
	tell   func(done int64)
	left   int64            // bytes that may still be written
	done   int64            // bytes that were
	wanted map[string]int64 // files that have not come, and their limits
}

func (u *unpacking) entries(ctx context.Context, archive *tar.Reader) error {
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return archiveError(err)
		}
		if n >= maxEntries {
			return archiveError(fmt.Errorf("it has more than %d entries", maxEntries))
		}
		if h.Typeflag == tar.TypeDir && filepath.Clean(h.Name) == "." {
			continue
		}
		if err := u.entry(ctx, archive, h); err != nil {
			return err
		}
	}
	if len(u.wanted) > 0 {
		return archiveError(fmt.Errorf("it has no %s", strings.Join(slices.Sorted(maps.Keys(u.wanted)), " and no ")))
	}
	return nil
}

func (u *unpacking) entry(ctx context.Context, archive io.Reader, h *tar.Header) error {
	name := strings.TrimPrefix(h.Name, "./")
	limit, wanted := u.wanted[name]
	switch {
	case !wanted:
		return archiveError(fmt.Errorf("it holds %s, which does not belong there, or twice", gate.Quoted(h.Name, 100)))
	case h.Typeflag != tar.TypeReg || isSparse(h):
		return archiveError(fmt.Errorf("%q is not a plain file (type %q)", name, h.Typeflag))
	case h.Size > limit:
		return archiveError(fmt.Errorf("%q has %s, want at most %s", name, gate.ByteSize(h.Size), gate.ByteSize(limit)))
	case h.Size > u.left:
		return archiveError(fmt.Errorf("%q has %s, more than %d times the size of the layer", name, gate.ByteSize(h.Size), maxRatio))
	}
	delete(u.wanted, name)
	u.left -= h.Size
	path := filepath.Join(u.dir, name)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskError("writing", path, err)
	}
	defer f.Close()
	before := u.done
	w := &meter{out: f, path: path, space: u.d.space, tell: func(done int64) { u.tell(before + done) }}
	n, err := copyContext(ctx, w, archive)
	u.done += n
	switch {
	case errors.Is(err, gate.ErrTimeout), errors.Is(err, gate.ErrResource):
		return err
	case err != nil:
		return archiveError(fmt.Errorf("%q: %w", name, err))
	}
	if err := f.Sync(); err != nil {
		return diskError("writing", path, err)
	}
	if err := f.Close(); err != nil {
		return diskError("writing", path, err)
	}
	return nil
}

// isSparse recognises a file with holes: a header of some bytes makes any size of them.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func archiveError(err error) error {
	return fmt.Errorf("reading the layer's archive: %w: %w", err, gate.ErrInvalid)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return diskError("syncing", dir, err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return diskError("syncing", dir, err)
	}
	return nil
}
