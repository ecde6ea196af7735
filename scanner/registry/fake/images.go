package fake

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/digestgate/digestgate/gate"
)

// epoch is the time in everything that is made here, so that digests repeat.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Tar makes an uncompressed layer of files (path to content; a path that ends
// with "/" is a directory), in the order of their names.
func Tar(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o755, ModTime: epoch, Typeflag: tar.TypeDir}
		if !strings.HasSuffix(name, "/") {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(files[name]))
		}
		// Writing to memory fails only for headers that cannot be encoded.
		if err := w.WriteHeader(h); err == nil && h.Size > 0 {
			_, _ = io.WriteString(w, files[name])
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// ImageOptions describe an image beside its layers.
type ImageOptions struct {
	Platform v1.Platform // "": linux/amd64
	Config   v1.Config
	// History has one entry for each layer, or is empty.
	History []v1.History
	// Docker makes it a Docker image instead of an OCI image.
	Docker bool
}

// NewImage makes an image of uncompressed layers (tar streams).
func NewImage(o ImageOptions, layers ...[]byte) (v1.Image, error) {
	if o.Platform.OS == "" {
		o.Platform = v1.Platform{OS: "linux", Architecture: "amd64", Variant: o.Platform.Variant}
	}
	layerType, manifestType, configType := types.OCILayer, types.OCIManifestSchema1, types.OCIConfigJSON
	if o.Docker {
		layerType, manifestType, configType = types.DockerLayer, types.DockerManifestSchema2, types.DockerConfigJSON
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, manifestType), configType)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		OS: o.Platform.OS, Architecture: o.Platform.Architecture, Variant: o.Platform.Variant, OSVersion: o.Platform.OSVersion,
		Created: v1.Time{Time: epoch}, Config: o.Config, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	for i, content := range layers {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}, tarball.WithMediaType(layerType))
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		add := mutate.Addendum{Layer: l, MediaType: layerType}
		if i < len(o.History) {
			add.History = o.History[i]
		}
		if img, err = mutate.Append(img, add); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return img, nil
}

// RandomImage makes an image of incompressible layers, one for each size; the
// same seed makes the same image.
func RandomImage(seed uint64, platform v1.Platform, sizes ...int) (v1.Image, error) {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	layers := make([][]byte, len(sizes))
	for i, n := range sizes {
		content := make([]byte, n)
		_, _ = source.Read(content) // never fails
		layers[i] = Tar(map[string]string{fmt.Sprintf("data/%d", i): string(content)})
	}
	return NewImage(ImageOptions{Platform: platform}, layers...)
}

// Child is one member of an index.
type Child struct {
	Add mutate.Appendable // v1.Image or v1.ImageIndex
	// Platform is put into the descriptor; nil leaves it out.
	Platform *v1.Platform
	// Annotations of the descriptor, as BuildKit gives them to attestations.
	Annotations map[string]string
}

// NewIndex makes an OCI index.
func NewIndex(children ...Child) v1.ImageIndex {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, c := range children {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: c.Add, Descriptor: v1.Descriptor{Platform: c.Platform, Annotations: c.Annotations}})
	}
	return idx
}

// CosignTag is the tag under which cosign stores something about a digest:
// suffix is "sig", "att" or "sbom".
func CosignTag(subject gate.Digest, suffix string) string {
	return "sha256-" + subject.Hex() + "." + suffix
}

// PushSignature stores a signature as cosign does (tag scheme, simple signing).
// Nothing verifies it: the signature itself is not one.
func (r *Registry) PushSignature(repo string, subject gate.Digest) (gate.Digest, error) {
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, subject)
	return r.PutArtifact(repo, CosignTag(subject, "sig"), Artifact{
		Config: Blob{MediaType: string(types.OCIConfigJSON), Content: []byte(`{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":{"type":"layers","diff_ids":["` + string(DigestOf([]byte(payload))) + `"]},"config":{}}`)},
		Layers: []Blob{{
			MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: []byte(payload),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": "bm90IGEgc2lnbmF0dXJl"},
		}},
	})
}

// PushChart stores a Helm chart as "helm push" does.
func (r *Registry) PushChart(repo, tag string) (gate.Digest, error) {
	return r.PutArtifact(repo, tag, Artifact{
		Config: Blob{MediaType: "application/vnd.cncf.helm.config.v1+json", Content: []byte(`{"apiVersion":"v2","name":"demo","version":"0.1.0"}`)},
		Layers: []Blob{{
			MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
			Content:   Tar(map[string]string{"demo/Chart.yaml": "name: demo\n"}),
		}},
	})
}
