package analyzer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry"
)

// entry is one entry of a layer's archive.
type entry struct {
	name string
	mode int64 // 0: 0644
	kind byte  // 0: regular
	link string
	body string
	pax  map[string]string // extended attributes and the like
}

func file(name, body string) entry { return entry{name: name, body: body} }

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.body)), PAXRecords: e.pax}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func digestOf(b []byte) gate.Digest {
	sum := sha256.Sum256(b)
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// layer is one layer in both forms.
type layer struct {
	blob   []byte // as pulled
	diffID gate.Digest
}

func tarLayer(t testing.TB, entries ...entry) layer {
	raw := archive(t, entries...)
	return layer{gzipped(t, raw), digestOf(raw)}
}

// largeLayer is a layer that has a child of its own, because of a file in it.
func largeLayer(t testing.TB, entries ...entry) layer {
	raw := archive(t, append(entries, file("large", strings.Repeat("large", 1<<18)))...)
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer{buf.Bytes(), digestOf(raw)}
}

// tarLayers are the layers of an image, base first.
func tarLayers(t testing.TB, archives [][]entry) []layer {
	layers := make([]layer, 0, len(archives))
	for _, entries := range archives {
		layers = append(layers, tarLayer(t, entries...))
	}
	return layers
}

// source serves images from memory and counts what is asked for. Its zero
// value is empty; it is safe for concurrent use.
type source struct {
	mu     sync.Mutex
	images map[gate.Digest]registry.Image
	blobs  map[gate.Digest][]byte
	pulls  []gate.Digest
	// spoil, if set, replaces the stream of a blob.
	spoil func(ctx context.Context, d gate.Digest, r io.Reader) (io.ReadCloser, error)
}

// config is what the test images have; m overrides.
func config(layers []layer, m map[string]any) []byte {
	diffIDs := []string{}
	for _, l := range layers {
		diffIDs = append(diffIDs, string(l.diffID))
	}
	c := map[string]any{"os": "linux", "architecture": "amd64", "created": "2026-11-01T10:00:00Z",
		"config": map[string]any{"User": "1000", "Cmd": []string{"/app"}, "Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs}}
	for k, v := range m {
		c[k] = v
	}
	b, _ := json.Marshal(c)
	return b
}

func (s *source) add(layers []layer, override map[string]any) gate.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.images == nil {
		s.images, s.blobs = map[gate.Digest]registry.Image{}, map[gate.Digest][]byte{}
	}
	img := registry.Image{Config: config(layers, override), Platform: gate.Platform{OS: "linux", Architecture: "amd64"}}
	if os, ok := override["os"].(string); ok {
		img.Platform.OS = os
	}
	img.ConfigDigest = digestOf(img.Config)
	for _, l := range layers {
		d := digestOf(l.blob)
		s.blobs[d] = l.blob
		img.Layers = append(img.Layers, registry.Layer{Digest: d, DiffID: l.diffID, Size: int64(len(l.blob)), MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"})
		img.Size += int64(len(l.blob))
	}
	img.Manifest, _ = json.Marshal(map[string]any{"config": img.ConfigDigest, "layers": img.Layers})
	img.Digest = digestOf(img.Manifest)
	s.images[img.Digest] = img
	return img.Digest
}

func (s *source) Image(_ context.Context, _ gate.Location, d gate.Digest) (registry.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, ok := s.images[d]
	if !ok {
		return img, fmt.Errorf("reading image %s: %w", d.Short(), gate.ErrNotFound)
	}
	return img, nil
}

func (s *source) Blob(ctx context.Context, _ gate.Location, d gate.Digest, _ int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls = append(s.pulls, d)
	b := bytes.NewReader(s.blobs[d])
	if s.spoil != nil {
		return s.spoil(ctx, d, b)
	}
	return io.NopCloser(b), nil
}

func (s *source) pulled() []gate.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]gate.Digest{}, s.pulls...)
}

// edit changes an image behind its digest.
func (s *source) edit(d gate.Digest, f func(*registry.Image)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img := s.images[d]
	f(&img)
	s.images[d] = img
}
