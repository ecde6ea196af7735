package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry"
)

// Origin is a place that artifacts come from: a mirror, another process, a bundle. What it
// says is checked against digests by its caller. Implementations are safe for concurrent
// use.
type Origin interface {
	// Name is the place in messages, without credentials.
	Name() string
	// Manifest reads the manifest that ref names: a digest, or one of the tags at which
	// signatures are kept, "sha256-HEX.sig" and "sha256-HEX" (which is also what the
	// registry lists as referring to HEX); at most registry.MaxManifestBytes. Errors: gate.ErrNotFound
	// when there is none, gate.ErrRegistryUnavailable and others of gate.Source when it
	// cannot be known.
	Manifest(ctx context.Context, ref string) ([]byte, error)
	// Blob streams the bytes of a blob of this size from offset from on. The caller
	// closes it. Errors: those of Manifest.
	Blob(ctx context.Context, digest gate.Digest, size, from int64) (io.ReadCloser, error)
}

// mirrorOrigin is a repository of a registry.
type mirrorOrigin struct {
	repository Repository
	ref        reference
	client     *registry.Client
	// secure and plain are the same place over https and, where insecure permits it, over
	// http.
	secure, plain gate.Location
	speaksHTTP    atomic.Bool
}

// Name implements [Origin].
func (o *mirrorOrigin) Name() string { return o.repository.Repository }

// Manifest implements [Origin].
func (o *mirrorOrigin) Manifest(ctx context.Context, ref string) (raw []byte, err error) {
	if of, ok := referred(ref); ok {
		return o.referrers(ctx, of, ref)
	}
	err = o.at(func(loc gate.Location) error {
		raw, _, err = o.client.RawManifest(ctx, loc, ref)
		return err
	})
	return raw, err
}

// referrers is what the registry lists, or the list at the tag where it cannot.
func (o *mirrorOrigin) referrers(ctx context.Context, of gate.Digest, tag string) (raw []byte, err error) {
	err = o.at(func(loc gate.Location) error {
		raw, _, err = o.client.Referrers(ctx, loc, of)
		if err == nil || ctx.Err() != nil {
			return err
		}
		listed := err
		raw, _, err = o.client.RawManifest(ctx, loc, tag)
		if errors.Is(err, gate.ErrNotFound) && !errors.Is(listed, gate.ErrNotFound) {
			return listed // whether there is one is not known
		}
		return err
	})
	return raw, err
}

// Blob implements [Origin].
func (o *mirrorOrigin) Blob(ctx context.Context, digest gate.Digest, size, from int64) (body io.ReadCloser, err error) {
	err = o.at(func(loc gate.Location) error {
		body, err = o.client.BlobFrom(ctx, loc, digest, size, from)
		return err
	})
	return body, err
}

// offered is the manifest that the configured reference names now.
func (o *mirrorOrigin) offered(ctx context.Context) (d gate.Digest, err error) {
	if d = gate.Digest(o.ref.ref); d.Valid() {
		return d, nil
	}
	err = o.at(func(loc gate.Location) error {
		d, err = o.client.Head(ctx, loc, o.ref.ref)
		return err
	})
	return d, err
}

// at asks over https, and over http once that has turned out to be what the host speaks
// and insecure is set.
func (o *mirrorOrigin) at(ask func(gate.Location) error) error {
	if o.speaksHTTP.Load() {
		return ask(o.plain)
	}
	err := ask(o.secure)
	if o.repository.Insecure && errors.Is(err, http.ErrSchemeMismatch) {
		o.speaksHTTP.Store(true)
		return ask(o.plain)
	}
	return err
}

// blobsDir holds, in a kept directory, what an [Origin] serves as blobs.
const blobsDir = "blobs"

// kept is a directory that a download has left.
type kept struct {
	dir    string
	source Source
}

// Kept is a directory that a [Candidate] became, with the layer that KeepLayer left, as
// the origin for another process or a bundle; gate.ErrInvalid when it is none.
func Kept(dir string) (Origin, Source, error) {
	s, err := readSource(dir)
	if err != nil {
		return nil, Source{}, err
	}
	return kept{dir, s}, s, nil
}

// Name implements [Origin].
func (k kept) Name() string { return k.dir }

// Manifest implements [Origin].
func (k kept) Manifest(_ context.Context, ref string) ([]byte, error) {
	var name string
	switch d := gate.Digest(ref); {
	case d == k.source.Manifest:
		name = manifestFile
	case d.Valid():
		name = filepath.Join(blobsDir, d.Hex())
	case ref == signatureTag(k.source.Manifest):
		name = signatureFile
	case ref == referrersTag(k.source.Manifest):
		name = referrersFile
	default:
		return nil, fmt.Errorf("%s: it is not kept: %w", gate.Quoted(ref, 100), gate.ErrNotFound)
	}
	raw, err := readSmall(filepath.Join(k.dir, name), registry.MaxManifestBytes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%q is not kept: %w", name, gate.ErrNotFound)
	}
	return raw, err
}

// Blob implements [Origin].
func (k kept) Blob(_ context.Context, digest gate.Digest, _, from int64) (io.ReadCloser, error) {
	if !digest.Valid() {
		return nil, fmt.Errorf("blob %s: %w", gate.Quoted(string(digest), 100), gate.ErrNotFound)
	}
	f, err := os.Open(filepath.Join(k.dir, blobsDir, digest.Hex()))
	if err != nil {
		return nil, fmt.Errorf("blob %q is not kept: %w: %w", digest, err, gate.ErrNotFound)
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("blob %q: %w: %w", digest, err, gate.ErrResource)
	}
	return f, nil
}

// readSmall reads a file of at most limit bytes; os.ErrNotExist, or gate.ErrInvalid.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gate.ErrInvalid)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%q has more than %d bytes", path, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gate.ErrInvalid)
	}
	return b, nil
}
