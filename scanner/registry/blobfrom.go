package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// BlobFrom is [Client.Blob] for a caller that has the first from bytes already, on its disk
// say, and hashes the whole itself: nothing is hashed here. It resumes and ends as
// Blob does; gate.ErrIntegrity is only about the size. gate.ErrInvalid for a from that is
// not within the blob.
func (c *Client) BlobFrom(ctx context.Context, loc gate.Location, digest gate.Digest, size, from int64) (io.ReadCloser, error) {
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
	b.unhashed, b.offset, b.resumed = true, from, from
	if err := b.open(); err != nil {
		cancel()
		return nil, fmt.Errorf("reading blob %q of %q: %w", digest, loc, err)
	}
	return b, nil
}
