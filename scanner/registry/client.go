package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Limits on what a registry may send. They are part of what makes an image
// unassessable, so they are constants and not configuration.
const (
	// MaxManifestBytes bounds a manifest or index; registries refuse larger
	// ones on push (OCI distribution specification, "at least 4 megabytes").
	MaxManifestBytes = 4 << 20
	// MaxConfigBytes bounds an image configuration.
	MaxConfigBytes = 4 << 20
	// MaxLayers bounds the layers of one image. Container runtimes stop at
	// 127 for overlay mounts; a thousand leaves room for odd formats.
	MaxLayers = 1000
	// MaxDescriptors bounds an index with everything nested in it.
	MaxDescriptors = 200
	// MaxNesting is how deep indexes may contain indexes.
	MaxNesting = 2
)

// Options configure a Client.
type Options struct {
	Registries []Config
	// Platforms are the configured platforms (scan.platforms); an index's
	// children are judged when one of them matches.
	Platforms []gate.Platform
	Log       *slog.Logger     // nil discards
	Now       func() time.Time // nil is time.Now
}

// Client reads from the configured registries. It is safe for concurrent use.
type Client struct{}

// New makes a client. It reads the files that the configurations name;
// gate.ErrInvalid.
func New(opts Options) (*Client, error) { return nil, errors.New("in preparation") }

// Resolve implements gate.Source.
func (c *Client) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	return gate.Manifest{}, errors.New("in preparation")
}

// Head implements gate.Source.
func (c *Client) Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	return "", errors.New("in preparation")
}

// Image is one platform's image as its manifest and configuration describe it.
// Both documents have been checked against their digests.
type Image struct {
	Digest    gate.Digest
	MediaType string
	Manifest  []byte // raw
	Config    []byte // raw
	Platform  gate.Platform
	Layers    []Layer
	Size      int64 // sum of the compressed layers, bytes
}

// Layer is one layer as the manifest describes it.
type Layer struct {
	Digest    gate.Digest // of the compressed bytes
	MediaType string
	Size      int64 // compressed, bytes
	// DiffID is what the configuration claims to be the digest of the
	// uncompressed bytes. Nobody has checked it yet.
	DiffID gate.Digest
}

// Image reads the manifest and the configuration of one platform's image.
// Errors: those of gate.Source; gate.ErrUnassessable when Resolve would have
// set Manifest.Unassessable or the digest is no image at all.
func (c *Client) Image(ctx context.Context, loc gate.Location, digest gate.Digest) (Image, error) {
	return Image{}, errors.New("in preparation")
}

// Blob streams a blob of size bytes (as its descriptor says). The reader
// resumes broken transfers by itself and returns gate.ErrIntegrity instead of
// io.EOF when the bytes are not those of the digest; whoever stops before io.EOF
// has read unchecked bytes. ctx covers the whole stream. Close it always.
func (c *Client) Blob(ctx context.Context, loc gate.Location, digest gate.Digest, size int64) (io.ReadCloser, error) {
	return nil, errors.New("in preparation")
}

// Close releases idle connections.
func (c *Client) Close() error { return nil }
