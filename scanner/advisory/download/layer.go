package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// partSuffix ends the name of a layer that is not complete. It outlives its process: the
// next one continues.
const partSuffix = ".part"

func (d *Downloader) partPath(layer gate.Digest) string {
	return filepath.Join(d.dir, d.artifact.Name+"-"+layer.Hex()+partSuffix)
}

// fetchLayer brings the layer to the disk and returns its file, whose bytes have the
// digest. What is there of an earlier try is continued, from whatever origin; if the whole
// turns out to be something else, the earlier bytes may be to blame, and it is read once
// more from the start.
// Errors: gate.ErrIntegrity, gate.ErrResource, those of [Origin].
func (d *Downloader) fetchLayer(ctx context.Context, o Origin, l descriptor) (string, error) {
	path := d.partPath(l.Digest)
	d.removeParts(path)
	have := sizeOf(path)
	if have > l.Size {
		have = 0
	}
	if err := d.space.enough(l.Size-have+l.Size*d.artifact.Expansion, d.artifact.Name); err != nil {
		return "", err
	}
	for again := have > 0; ; again = false {
		err := d.transfer(ctx, o, l, path, have)
		if err == nil {
			err = d.checkLayer(ctx, path, l)
		}
		switch {
		case err == nil:
			return path, nil
		case errors.Is(err, gate.ErrIntegrity) && again:
			have = 0
			continue
		case errors.Is(err, gate.ErrIntegrity), errors.Is(err, gate.ErrResource):
			_ = os.Remove(path) // the space is wanted back, and the bytes are of no use
		}
		return "", err
	}
}

// transfer writes what follows the first have bytes.
func (d *Downloader) transfer(ctx context.Context, o Origin, l descriptor, path string, have int64) error {
	if have == l.Size {
		return nil
	}
	body, err := o.Blob(ctx, l.Digest, l.Size, have)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return diskError("opening", path, err)
	}
	defer f.Close()
	if err := f.Truncate(have); err != nil {
		return diskError("writing", path, err)
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return diskError("writing", path, err)
	}
	w := &meter{out: f, path: path, space: d.space, done: have, tell: func(done int64) {
		d.tell(Progress{o.Name(), PhaseDownloading, done, l.Size})
	}}
	n, err := copyContext(ctx, w, io.LimitReader(body, l.Size-have+1))
	d.metrics.bytes.Add(float64(n))
	switch {
	case err != nil:
		return err
	case have+n != l.Size:
		return fmt.Errorf("the layer has another size than the %d bytes of the manifest: %w", l.Size, gate.ErrIntegrity)
	}
	if err := f.Sync(); err != nil {
		return diskError("writing", path, err)
	}
	return nil
}

// checkLayer reads the file from the disk: what is used are the bytes that were hashed,
// whichever process wrote them.
func (d *Downloader) checkLayer(ctx context.Context, path string, l descriptor) error {
	f, err := os.Open(path)
	if err != nil {
		return diskError("reading", path, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := copyContext(ctx, h, f)
	if err != nil {
		return diskError("reading", path, err)
	}
	if got := gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))); n != l.Size || got != l.Digest {
		return fmt.Errorf("the layer has %d bytes and the digest %s, want %d and %s: %w", n, got.Short(), l.Size, l.Digest.Short(), gate.ErrIntegrity)
	}
	return nil
}

// removeParts removes the unfinished layers of the artifact but one.
func (d *Downloader) removeParts(but string) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, d.artifact.Name+"-") && strings.HasSuffix(name, partSuffix) && filepath.Join(d.dir, name) != but {
			_ = os.Remove(filepath.Join(d.dir, name))
		}
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// copyContext is io.Copy that stops when ctx ends; gate.ErrTimeout then.
func copyContext(ctx context.Context, dst io.Writer, src io.Reader) (int64, error) {
	const step = 1 << 20 // copied between two looks at ctx: some milliseconds
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("%w: %w", gate.ErrTimeout, context.Cause(ctx))
		}
		k, err := io.CopyN(dst, src, step)
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
