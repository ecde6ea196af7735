package e2e

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
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

// imageRegistry is an OCI registry in this process.
type imageRegistry struct {
	host string // 127.0.0.1:port
}

func startRegistry(t *testing.T) *imageRegistry {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return &imageRegistry{host: strings.TrimPrefix(server.URL, "http://")}
}

// pushed is an image in the registry.
type pushed struct {
	Host, Repository, Tag, Digest string
}

// Ref is the reference by tag, as a developer writes it.
func (p pushed) Ref() string { return p.Host + "/" + p.Repository + ":" + p.Tag }

// push makes a small Debian 12 with a real package database and puts it into
// the registry. note makes images with the same packages differ.
func (r *imageRegistry) push(t *testing.T, repository, tag, curl, note string) pushed {
	t.Helper()
	image, err := debian(curl, note)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(r.host+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return pushed{Host: r.host, Repository: repository, Tag: tag, Digest: digest.String()}
}

func debian(curl, note string) (v1.Image, error) {
	layer, err := layerOf([][2]string{
		{"etc/os-release", osRelease},
		{"etc/debian_version", "12.1\n"},
		{"var/lib/dpkg/status", strings.ReplaceAll(dpkgStatus, "${CURL}", curl)},
		{"srv/note", note + "\n"},
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, withConfig(image))
}

// withConfig is the image's configuration with a platform and a user that is
// not root, which the shipped rules ask for.
func withConfig(image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		panic(err) // an image in memory has one
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Created = v1.Time{Time: time.Now().UTC().Truncate(time.Second)}
	config.Config.User = "65532:65532"
	config.Config.Cmd = []string{"/usr/bin/curl", "--version"}
	return config
}

// layerOf packs files (path, content) into a layer.
func layerOf(files [][2]string) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("packing %q: %w", f[0], err)
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			return nil, fmt.Errorf("packing %q: %w", f[0], err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing a layer: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	})
}
