package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/digestgate/digestgate/gate"
)

// Resolve reads the manifest that ref (a digest or a tag) names, hashes it,
// classifies it and expands an index; see gate.Source. An image costs two
// requests (manifest and configuration), an index one and another for each index
// in it. What is returned follows from bytes that were hashed, whatever registry
// served them and whatever ref named them. gate.ErrRefInvalid for a repository, tag
// or digest that no registry can have.
func (c *Client) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	m, err := c.resolve(ctx, loc, ref)
	if err != nil {
		return gate.Manifest{}, fmt.Errorf("resolving %s: %w", shown(loc, ref), err)
	}
	return m, nil
}

func (c *Client) resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	s, err := c.session(loc)
	if err != nil {
		return gate.Manifest{}, err
	}
	if err := checkRef(ref); err != nil {
		return gate.Manifest{}, err
	}
	raw, err := s.readManifest(ctx, loc.Repository, ref)
	if err != nil {
		return gate.Manifest{}, err
	}
	d, err := parseDocument(raw.contentType, raw.body)
	if err != nil {
		return gate.Manifest{}, err
	}
	m := gate.Manifest{
		Digest: raw.digest, MediaType: gate.Printable(d.MediaType, 128), Kind: d.kind(),
		Size: d.layerBytes(), Subject: d.subject(),
	}
	switch m.Kind {
	case gate.KindIndex:
		err = c.expandIndex(ctx, s, loc.Repository, d, &m)
	case gate.KindImage:
		_, _, err = s.describeImage(ctx, loc.Repository, d, &m)
	}
	if err != nil {
		return gate.Manifest{}, err
	}
	return m, nil
}

// describeImage reads the configuration of an image and fills Platform and
// Unassessable. Where the manifest alone rules the image out, the configuration
// is read only to say what the image is for, and may be missing.
func (s *session) describeImage(ctx context.Context, repo string, d *document, m *gate.Manifest) (imageConfig, []byte, error) {
	m.Unassessable = d.whyUnassessable()
	raw, err := s.readConfig(ctx, repo, d.Config)
	if err != nil {
		if m.Unassessable != "" && ctx.Err() == nil {
			return imageConfig{}, nil, nil
		}
		return imageConfig{}, nil, err
	}
	cfg, why := parseConfig(raw, len(d.Layers))
	m.Platform = cfg.platform()
	if m.Unassessable == "" || m.Platform.OS != "linux" {
		m.Unassessable = why
	}
	return cfg, raw, nil
}

// readConfig reads a configuration blob whole.
func (s *session) readConfig(ctx context.Context, repo string, desc descriptor) ([]byte, error) {
	if desc.Size > MaxConfigBytes {
		return nil, unassessable("the image's configuration has %d bytes, the limit is %d", desc.Size, MaxConfigBytes)
	}
	small, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
	defer cancel()
	b, err := s.openBlob(small, configBody, repo, desc.Digest, desc.Size)
	if err == nil {
		defer b.Close()
		var raw []byte
		if raw, err = io.ReadAll(b); err == nil {
			return raw, nil
		}
	}
	if ctx.Err() == nil && small.Err() != nil {
		err = fmt.Errorf("%s: %w", advice(errSlow), &gate.Outage{Kind: gate.CauseUnreachable})
	}
	return nil, fmt.Errorf("reading the image's configuration: %w", err)
}

// Head asks which digest a tag names now; see gate.Source. Where the registry
// does not say it, or refuses HEAD, the manifest is read and hashed instead.
func (c *Client) Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	d, err := c.head(ctx, loc, tag)
	if err != nil {
		return "", fmt.Errorf("reading tag %s: %w", shown(loc, tag), err)
	}
	return d, nil
}

func (c *Client) head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	s, err := c.session(loc)
	if err != nil {
		return "", err
	}
	if err := checkRef(tag); err != nil {
		return "", err
	}
	d, _, err := s.head(ctx, loc.Repository, tag)
	return d, err
}
