//go:build goexperiment.jsonv2

package child

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
)

// maxZstdWindow bounds the memory of the decompressor: 128 MiB is the window of
// "zstd --ultra -22", the largest that tools make without being asked for more.
const maxZstdWindow = 128 << 20

// layerStream is the uncompressed layer: it hashes, counts and limits what is
// read from it. The kind of compression is told by the first bytes; media types
// are claims.
type layerStream struct {
	r     io.Reader
	close func()
	hash  hash.Hash
	size  int64
	limit int64 // 0: none
}

func newLayerStream(compressed io.Reader, limit int64) (*layerStream, error) {
	in := bufio.NewReaderSize(compressed, 1<<16)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the layer: %w", err)
	}
	s := &layerStream{r: in, close: func() {}, hash: sha256.New(), limit: limit}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, corrupt("the layer is not a valid gzip: %w", err)
		}
		s.r = z
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		// The second form is a skippable frame, with which zstd:chunked may start.
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, corrupt("the layer is not a valid zstd: %w", err)
		}
		s.r, s.close = z, z.Close
	}
	return s, nil
}

func (s *layerStream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	if s.limit > 0 && s.size > s.limit {
		return 0, tooLarge("the layer unpacks to more than %s", gate.ByteSize(s.limit))
	}
	if err != nil && err != io.EOF {
		err = corrupt("unpacking the layer: %w", err)
	}
	return n, err
}

// diffID is the digest of what was read; all of it must have been.
func (s *layerStream) diffID() gate.Digest {
	return gate.Digest("sha256:" + hex.EncodeToString(s.hash.Sum(nil)))
}
