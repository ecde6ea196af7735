package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// BlobFrom is [Client.Blob] that continues: head are the first from bytes, which were read
// before and are hashed again, and the stream begins behind them. gate.ErrIntegrity when
// they are not the beginning of that blob, which shows at its end; an error of head ends it.
func (c *Client) BlobFrom(ctx context.Context, loc gate.Location, digest gate.Digest, size int64, head io.Reader, from int64) (io.ReadCloser, error) {
	s, err := c.session(loc)
	if err == nil {
		err = checkBlob(digest, size)
	}
	if err == nil && (from < 0 || from >= size) {
		err = fmt.Errorf("continuing at %d of %d bytes: %w", from, size, gate.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading blob %s of %s: %w", gate.Quoted(string(digest), 100), gate.Quoted(loc.String(), 200), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	b := s.newBlob(ctx, cancel, layerBody, loc.Repository, digest, size)
	n, err := io.Copy(b.hash, io.LimitReader(head, from))
	if err == nil && n != from {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("continuing blob %q of %q: %w: %w", digest, loc, err, gate.ErrResource)
	}
	b.offset, b.resumed = from, from
	if err := b.open(); err != nil {
		cancel()
		return nil, fmt.Errorf("reading blob %q of %q: %w", digest, loc, err)
	}
	return b, nil
}
