package archive

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
)

// decompressor recognises what an archive is packed with, nil for nothing.
func decompressor(head []byte) func(io.Reader) (io.Reader, error) {
	switch compression(head) {
	case gzipped:
		return func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	case zstandard:
		return func(r io.Reader) (io.Reader, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}
	}
	return nil
}

type packing string

const (
	unpacked  packing = ""
	gzipped   packing = "gzip"
	zstandard packing = "zstd"
)

// compression tells from the first bytes how something is packed (RFC 1952, RFC 8878).
func compression(head []byte) packing {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzipped
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	}
	return unpacked
}

// foreign names a packing that is not read, "" for none.
func foreign(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("BZh")):
		return "packed with bzip2"
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "packed with xz"
	case bytes.HasPrefix(head, []byte("PK")):
		return "a zip archive"
	case len(head) == 0:
		return "empty"
	}
	return ""
}
