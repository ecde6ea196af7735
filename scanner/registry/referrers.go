package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/digestgate/digestgate/gate"
)

// Referrers reads the list of artifacts that refer to a manifest, an index of at most
// MaxManifestBytes, from a registry that keeps it (OCI distribution specification 1.1).
// It is the registry's word. more is true when this is its first page and others follow,
// which are not read. gate.ErrNotFound: it keeps none, and a list may be at a tag.
// Other errors: those of gate.Source.
func (c *Client) Referrers(ctx context.Context, loc gate.Location, digest gate.Digest) (list []byte, more bool, err error) {
	s, err := c.session(loc)
	if err == nil && !digest.Valid() {
		err = gate.ErrDigestInvalid
	}
	if err == nil {
		err = s.retry(ctx, func() (err error) {
			list, more, err = s.referrers(ctx, loc.Repository, digest)
			return err
		})
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing what refers to %s: %w", shown(loc, string(digest)), err)
	}
	return list, more, nil
}

func (s *session) referrers(ctx context.Context, repo string, digest gate.Digest) (list []byte, more bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
	defer cancel()
	res, err := s.send(ctx, &call{repo: repo}, http.MethodGet, "referrers/"+string(digest), http.Header{"Accept": {"application/vnd.oci.image.index.v1+json"}}, http.StatusOK)
	if err != nil {
		return nil, false, err
	}
	defer closeBody(res)
	list, _, size, err := readBounded(res)
	if err == nil && size > MaxManifestBytes {
		err = fmt.Errorf("the list has %d bytes, over the limit of %d: %w", size, MaxManifestBytes, gate.ErrIntegrity)
	}
	next, unclear := nextQuery(res.Header)
	return list, next != nil || unclear != nil, err
}
