package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

// take brings what the manifest names from the origin into a directory: manifest,
// signature, layer, files, judgement, in this order, so that the cheap refusals come
// first.
func (d *Downloader) take(ctx context.Context, o Origin, of gate.Digest, own bool, accept func(context.Context, *Candidate) error) (*Candidate, error) {
	raw, err := o.Manifest(ctx, string(of))
	if err != nil {
		return nil, err
	}
	if digestOf(raw) != of {
		return nil, fmt.Errorf("the manifest that it serves for %s has the digest %s: %w", of.Short(), digestOf(raw).Short(), gate.ErrIntegrity)
	}
	m, err := readManifest(raw, of)
	if err != nil {
		return nil, err
	}
	l, err := m.layer(d.artifact)
	if err != nil {
		return nil, err
	}
	s, err := d.verifySignature(ctx, o, of)
	if err != nil {
		return nil, err
	}
	layer, err := d.fetchLayer(ctx, o, l)
	if err != nil {
		return nil, err
	}
	source := Source{
		Artifact: d.artifact.Name, Repository: o.Name(), Manifest: of, Layer: l.Digest, LayerBytes: l.Size,
		SignedBy: s.by, FetchedAt: d.now().UTC(), Own: own,
	}
	c, err := d.lay(ctx, o, m, s, layer, source)
	if err != nil {
		if errors.Is(err, gate.ErrInvalid) || errors.Is(err, gate.ErrResource) {
			_ = os.Remove(layer) // an archive that cannot be used, or the space is wanted back
		}
		return nil, err
	}
	d.tell(Progress{o.Name(), PhaseJudging, 0, 0})
	if accept != nil {
		if err := accept(ctx, c); err != nil {
			return nil, errors.Join(err, c.Discard())
		}
	}
	d.handed[c.Dir] = true
	return c, nil
}

// lay puts everything into a directory of its own. The layer moves there, or goes.
func (d *Downloader) lay(ctx context.Context, o Origin, m manifest, s signed, layer string, source Source) (c *Candidate, err error) {
	dir, err := os.MkdirTemp(d.dir, importPrefix+d.artifact.Name+"-")
	if err != nil {
		return nil, diskError("making a directory in", d.dir, err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	size := sizeOf(layer)
	err = d.unpack(ctx, layer, dir, func(done int64) {
		d.tell(Progress{o.Name(), PhaseUnpacking, done, size * d.artifact.Expansion})
	})
	if err != nil {
		return nil, err
	}
	if err := writeSynced(filepath.Join(dir, manifestFile), m.raw); err != nil {
		return nil, err
	}
	if err := d.layBlobs(dir, s, layer, source.Layer); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(dir, sourceFile), source); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return &Candidate{Dir: dir, Source: source}, nil
}

// layBlobs keeps what another process would ask of us.
func (d *Downloader) layBlobs(dir string, s signed, layer string, digest gate.Digest) error {
	if !d.keepLayer {
		if err := os.Remove(layer); err != nil {
			return diskError("removing", layer, err)
		}
		return nil
	}
	blobs := filepath.Join(dir, blobsDir)
	if err := os.Mkdir(blobs, 0o700); err != nil {
		return diskError("making", blobs, err)
	}
	for _, name := range s.sortedFiles() {
		if err := writeSynced(filepath.Join(dir, filepath.FromSlash(name)), s.files[name]); err != nil {
			return err
		}
	}
	if err := os.Rename(layer, filepath.Join(blobs, digest.Hex())); err != nil {
		return diskError("keeping", layer, err)
	}
	return syncDir(blobs)
}

// Discard removes the directory of a candidate that is not wanted.
func (c *Candidate) Discard() error {
	if err := os.RemoveAll(c.Dir); err != nil {
		return diskError("removing", c.Dir, err)
	}
	return nil
}

func digestOf(b []byte) gate.Digest {
	sum := sha256.Sum256(b)
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// strictJSON decodes one value, after which nothing follows.
func strictJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}
