package sender

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The versions of curl in Debian 12 before and after CVE-2023-38545 was fixed
// in 7.88.1-10+deb12u4 (DSA 5523).
const (
	curlVulnerable = "7.88.1-10+deb12u1"
	curlFixed      = "7.88.1-10+deb12u14"
)

//go:embed testdata/image/os-release
var osRelease string

//go:embed testdata/image/dpkg-status
var dpkgStatus string

func (d *distribution) ref(t *testing.T, repository, tag string) name.Reference {
	t.Helper()
	ref, err := name.NewTag(d.host+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// push puts an image into the registry and returns its digest.
func (d *distribution) push(t *testing.T, repository, tag string, image v1.Image) string {
	t.Helper()
	if err := remote.Write(d.ref(t, repository, tag), image); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, image)
}

// pushIndex puts an index of one image for each platform into the registry.
func (d *distribution) pushIndex(t *testing.T, repository, tag string, images map[string]v1.Image) string {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for arch, image := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	if err := remote.WriteIndex(d.ref(t, repository, tag), index); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, index)
}

// sign pushes what `cosign sign` pushes for a digest: an image manifest with
// one layer of type simplesigning, under the tag sha256-HEX.sig.
func (d *distribution) sign(t *testing.T, repository, digest string) string {
	t.Helper()
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`,
		d.host+"/"+repository, digest)
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer([]byte(payload), "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": "bm90IGEgcmVhbCBvbmU="},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d.push(t, repository, strings.Replace(digest, ":", "-", 1)+".sig", image)
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// debian is a small Debian 12 with a real package database. note makes images
// with the same packages differ.
func debian(t *testing.T, arch, curl, note string) v1.Image {
	t.Helper()
	layer := layerOf(t, [][2]string{
		{"etc/os-release", osRelease},
		{"etc/debian_version", "12.1\n"},
		{"var/lib/dpkg/status", strings.ReplaceAll(dpkgStatus, "${CURL}", curl)},
		{"srv/note", note + "\n"},
	})
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config.User = "65532:65532" // the shipped rules ask for it
	config.Config.Cmd = []string{"/usr/bin/curl", "--version"}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// layerOf packs files (path, content) into a layer.
func layerOf(t *testing.T, files [][2]string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}
