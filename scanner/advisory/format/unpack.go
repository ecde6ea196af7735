package format

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"

	"github.com/digestgate/digestgate/gate"
)

// windowBytes bounds what a file may make a decompressor keep: xz -9 needs 64 MiB, zstd
// --long 128 MiB.
const windowBytes = 128 << 20

// Unpack returns what a file holds, decompressed if it is packed with gzip, xz, zstd or
// bzip2, which its first bytes tell, and refuses to read more of it than the limits allow.
// Close releases memory; the file remains the caller's. Errors of Read wrap
// gate.ErrTooLarge for a limit and gate.ErrInvalid for damage.
func Unpack(r io.Reader, l Limits) (io.ReadCloser, error) {
	l = l.Or()
	packed := &counter{r: r}
	head := bufio.NewReader(packed)
	magic, err := head.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading: %w: %w", err, gate.ErrInvalid)
	}
	err = nil
	u := &unpacked{limits: l, packed: packed, close: func() {}}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		u.kind = "gzip"
		u.r, err = gzip.NewReader(head)
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		u.kind = "xz"
		// xi2/xz and not ulikunitz/xz: that one allocates what a header asks for, up to 4 GiB.
		u.r, err = xz.NewReader(head, windowBytes)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		u.kind = "zstd"
		var d *zstd.Decoder
		d, err = zstd.NewReader(head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowBytes), zstd.WithDecoderLowmem(true))
		if err == nil {
			u.r, u.close = d, d.Close
		}
	case bytes.HasPrefix(magic, []byte("BZh")):
		u.kind, u.r = "bzip2", bzip2.NewReader(head)
	default:
		u.r = head
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w: %w", u.kind, err, gate.ErrInvalid)
	}
	return u, nil
}

// unpacked counts what comes out of a decompressor.
type unpacked struct {
	r      io.Reader
	kind   string // "" for a file that is not packed
	limits Limits
	packed *counter
	n      int64
	close  func()
}

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	switch {
	case u.n > u.limits.Bytes:
		return 0, fmt.Errorf("the file has more than %s: %w", gate.ByteSize(u.limits.Bytes), gate.ErrTooLarge)
	case u.kind != "" && u.n > ratioSlack && u.n/u.limits.Ratio > u.packed.n:
		return 0, fmt.Errorf("the %s file unpacks to more than %d times its size: %w", u.kind, u.limits.Ratio, gate.ErrTooLarge)
	case err != nil && !errors.Is(err, io.EOF) && u.kind != "":
		return n, fmt.Errorf("unpacking %s: %w: %w", u.kind, err, gate.ErrInvalid)
	case err != nil && !errors.Is(err, io.EOF):
		return n, fmt.Errorf("reading: %w: %w", err, gate.ErrInvalid)
	}
	return n, err
}

// Close implements io.Closer.
func (u *unpacked) Close() error {
	u.close()
	return nil
}

// counter counts what is read of a file.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
