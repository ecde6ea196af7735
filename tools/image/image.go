package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// about is what labels and annotations say of an image.
type about struct {
	version, revision string
	created           time.Time
}

const (
	source      = "https://github.com/digestgate/digestgate"
	title       = "digestgate"
	description = "The gate between container registries and Kubernetes"
	licenses    = "Apache-2.0"
	programsDir = "usr/local/bin/"
)

// programs are those of the image, the one that changes less often first: it is a layer
// that nodes need not pull again.
var programs = []string{"digestgate-analyzer", "digestgate"}

// labels are those of the configuration and, as annotations, of the manifests and the index
// (image-spec, annotations).
func (a about) labels() map[string]string {
	const prefix = "org.opencontainers.image."
	l := map[string]string{
		prefix + "title":         title,
		prefix + "description":   description,
		prefix + "source":        source,
		prefix + "url":           source,
		prefix + "documentation": source + "/tree/main/docs",
		prefix + "licenses":      licenses,
		prefix + "version":       a.version,
		prefix + "created":       a.created.Format(time.RFC3339),
		prefix + "base.name":     "scratch",
	}
	if a.revision != "" {
		l[prefix+"revision"] = a.revision
	}
	return l
}

// config is how the image runs.
func (a about) config() v1.Config {
	return v1.Config{
		User:         fmt.Sprintf("%d:%d", user, user),
		Env:          []string{"PATH=/usr/local/bin"},
		WorkingDir:   "/",
		Entrypoint:   []string{"/usr/local/bin/digestgate"},
		Cmd:          []string{"serve"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8443/tcp": {}, "9090/tcp": {}},
		Volumes:      map[string]struct{}{"/var/lib/digestgate": {}},
		Labels:       a.labels(),
	}
}

// platformImage is the image for one platform, with its SBOM.
type platformImage struct {
	platform v1.Platform
	image    v1.Image
	sbom     []byte
}

// buildPlatform makes the image for a platform such as linux/arm64.
func buildPlatform(name, dir string, base tree, packages []packageInfo, about about) (platformImage, error) {
	p, err := v1.ParsePlatform(name)
	if err != nil {
		return platformImage{}, err
	}
	if p.Architecture == "arm64" {
		p.Variant = "v8" // as Docker's platforms are written (image-spec, "Platform Variants")
	}
	trees, err := programTrees(name, dir)
	if err != nil {
		return platformImage{}, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	var adds []mutate.Addendum
	for i, t := range append([]tree{base}, trees...) {
		layer, err := t.layer()
		if err != nil {
			return platformImage{}, err
		}
		by := "base: Debian packages, users and directories"
		if i > 0 {
			by = "/" + programsDir + programs[i-1]
		}
		adds = append(adds, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: about.created}, CreatedBy: by}})
	}
	if img, err = mutate.Append(img, adds...); err != nil {
		return platformImage{}, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return platformImage{}, err
	}
	file = file.DeepCopy()
	file.Created, file.Config = v1.Time{Time: about.created}, about.config()
	file.OS, file.Architecture, file.Variant = p.OS, p.Architecture, p.Variant
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return platformImage{}, err
	}
	img = mutate.Annotations(img, about.labels()).(v1.Image)
	digest, err := img.Digest()
	if err != nil {
		return platformImage{}, err
	}
	sbom, err := newSBOM(about, *p, digest, trees, packages)
	return platformImage{*p, img, sbom}, err
}

// programTrees are the layers with the programs, in the order of [programs].
func programTrees(platform, dir string) ([]tree, error) {
	var list []tree
	for _, name := range programs {
		content, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(platform, "/", "-"), name))
		if err != nil {
			return nil, fmt.Errorf("%w; make image builds it", err)
		}
		if err := runsOn(content, platform); err != nil {
			return nil, fmt.Errorf("program %s: %w", name, err)
		}
		t := tree{}
		t.file(programsDir+name, 0o755, content)
		list = append(list, t.complete())
	}
	return list, nil
}

// layer is the tree as a layer of an image.
func (t tree) layer() (v1.Layer, error) {
	var b bytes.Buffer
	if err := t.writeTar(&b); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
