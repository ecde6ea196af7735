package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/digestgate/digestgate/gate"
)

// Referrers reads the list of artifacts that refer to a manifest, an index of at most
// MaxManifestBytes, from a registry that keeps it (OCI distribution specification 1.1).
// It is the registry's word. gate.ErrNotFound: it keeps none, and a list may be at a tag.
// Other errors: those of gate.Source.
func (c *Client) Referrers(ctx context.Context, loc gate.Location, digest gate.Digest) ([]byte, error) {
	s, err := c.session(loc)
	if err == nil && !digest.Valid() {
		err = gate.ErrDigestInvalid
	}
	var body []byte
	if err == nil {
		err = s.retry(ctx, func() (err error) {
			body, err = s.referrers(ctx, loc.Repository, digest)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("listing what refers to %s: %w", shown(loc, string(digest)), err)
	}
	return body, nil
}

func (s *session) referrers(ctx context.Context, repo string, digest gate.Digest) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
	defer cancel()
	res, err := s.send(ctx, &call{repo: repo}, http.MethodGet, "referrers/"+string(digest), http.Header{"Accept": {"application/vnd.oci.image.index.v1+json"}}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer closeBody(res)
	body, _, size, err := readBounded(res)
	if err == nil && size > MaxManifestBytes {
		err = fmt.Errorf("the list has %d bytes, over the limit of %d: %w", size, MaxManifestBytes, gate.ErrIntegrity)
	}
	return body, err
}
