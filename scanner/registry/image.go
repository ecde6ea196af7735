package registry

import (
	"context"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// Image is one platform's image as its manifest and configuration describe it. Both
// documents have been checked against their digests; what they say is still the claim
// of the client that pushed them.
type Image struct {
	Digest    gate.Digest // of the manifest
	MediaType string
	Manifest  []byte // raw, as hashed
	// ConfigDigest names Config. Docker calls it the image ID.
	ConfigDigest gate.Digest
	Config       []byte // raw, as hashed
	Platform     gate.Platform
	Layers       []Layer
	Size         int64 // sum of the compressed layers, bytes
}

// Layer is one layer as the manifest describes it.
type Layer struct {
	Digest    gate.Digest // of the compressed bytes
	MediaType string      // one of the known types of file system layers
	Size      int64       // compressed, bytes
	// DiffID is what the configuration claims to be the digest of the
	// uncompressed bytes. Nobody has checked it yet.
	DiffID gate.Digest
}

// Image reads the manifest and the configuration of one platform's image, two requests.
// Errors: those of gate.Source; gate.ErrUnassessable when Resolve sets
// Manifest.Unassessable and when the digest is not an image at all.
func (c *Client) Image(ctx context.Context, loc gate.Location, digest gate.Digest) (Image, error) {
	img, err := c.image(ctx, loc, digest)
	if err != nil {
		return Image{}, fmt.Errorf("reading image %s: %w", shown(loc, string(digest)), err)
	}
	return img, nil
}

func (c *Client) image(ctx context.Context, loc gate.Location, digest gate.Digest) (Image, error) {
	s, err := c.session(loc)
	if err != nil {
		return Image{}, err
	}
	if !digest.Valid() {
		return Image{}, gate.ErrDigestInvalid
	}
	raw, err := s.readManifest(ctx, loc.Repository, string(digest))
	if err != nil {
		return Image{}, err
	}
	d, err := parseDocument(raw.contentType, raw.body)
	if err != nil {
		return Image{}, err
	}
	if k := d.kind(); k != gate.KindImage {
		return Image{}, unassessable("it is not an image, its kind is %q", k)
	}
	m := gate.Manifest{}
	cfg, rawConfig, err := s.describeImage(ctx, loc.Repository, d, &m)
	if err != nil {
		return Image{}, err
	}
	if m.Unassessable != "" {
		return Image{}, unassessable("%s", m.Unassessable)
	}
	img := Image{
		Digest: digest, MediaType: d.MediaType, Manifest: raw.body, ConfigDigest: d.Config.Digest, Config: rawConfig,
		Platform: m.Platform, Size: d.layerBytes(), Layers: make([]Layer, len(d.Layers)),
	}
	for i, l := range d.Layers {
		img.Layers[i] = Layer{Digest: l.Digest, MediaType: l.MediaType, Size: l.Size, DiffID: cfg.RootFS.DiffIDs[i]}
	}
	return img, nil
}

// RawManifest reads the manifest that ref names, at most MaxManifestBytes, and
// the digest that we computed of it. Nothing is known of the content but that
// the digest is its own (and the asked one, when ref is a digest).
func (c *Client) RawManifest(ctx context.Context, loc gate.Location, ref string) ([]byte, gate.Digest, error) {
	s, err := c.session(loc)
	if err == nil {
		err = checkRef(ref)
	}
	var raw rawManifest
	if err == nil {
		raw, err = s.readManifest(ctx, loc.Repository, ref)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading manifest %s: %w", shown(loc, ref), err)
	}
	return raw.body, raw.digest, nil
}
