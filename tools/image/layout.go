package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	sbomType  = "application/vnd.cyclonedx+json"
	emptyType = "application/vnd.oci.empty.v1+json"
	refName   = "org.opencontainers.image.ref.name"
)

// result is what is written.
type result struct {
	about     about
	platforms []platformImage
}

// index is the index over the platforms.
func (r result) index() v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range r.platforms {
		platform := p.platform
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: p.image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return mutate.Annotations(index, r.about.labels()).(v1.ImageIndex)
}

// artifact is the manifest by which an SBOM refers to an image (image-spec, "Guidelines for
// Artifact Usage").
type artifact struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       v1.Descriptor     `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// nothing is the configuration of an artifact (image-spec, "Guidance for an Empty
// Descriptor").
const nothing = "{}"

// attach writes the SBOM of an image into a layout, with a manifest that refers to the
// image. The index of the layout names it, where tools look for what refers to an image.
func (p platformImage) attach(path layout.Path, a about) error {
	subject, err := partial.Descriptor(p.image)
	if err != nil {
		return err
	}
	m := artifact{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: sbomType,
		Subject:     v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{"org.opencontainers.image.created": a.created.Format(time.RFC3339)},
	}
	if m.Config, err = blob(path, emptyType, []byte(nothing)); err != nil {
		return err
	}
	sbom, err := blob(path, sbomType, p.sbom)
	if err != nil {
		return err
	}
	m.Layers = []v1.Descriptor{sbom}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d, err := blob(path, types.OCIManifestSchema1, raw)
	if err != nil {
		return err
	}
	d.ArtifactType = sbomType
	return path.AppendDescriptor(d)
}

// blob writes a blob into a layout.
func blob(path layout.Path, mediaType types.MediaType, raw []byte) (v1.Descriptor, error) {
	h, n, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: mediaType, Digest: h, Size: n}, path.WriteBlob(h, io.NopCloser(bytes.NewReader(raw)))
}

// write writes the layout, an archive of it with all platforms, an archive for each
// platform that docker load takes, and the SBOMs. It returns the digest of the index.
func (r result) write(dir string) (v1.Hash, error) {
	index := r.index()
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	at := filepath.Join(dir, "layout")
	if err := os.RemoveAll(at); err != nil {
		return v1.Hash{}, err
	}
	path, err := layout.Write(at, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: r.about.version})); err != nil {
		return v1.Hash{}, fmt.Errorf("writing the layout: %w", err)
	}
	for _, p := range r.platforms {
		if err := r.writePlatform(dir, path, p); err != nil {
			return v1.Hash{}, fmt.Errorf("writing the image for %s: %w", p.platform, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "digest"), []byte(digest.String()+"\n"), 0o644); err != nil {
		return v1.Hash{}, err
	}
	return digest, archive(at, filepath.Join(dir, "digestgate-oci.tar"))
}

func (r result) writePlatform(dir string, path layout.Path, p platformImage) error {
	if err := p.attach(path, r.about); err != nil {
		return err
	}
	base := filepath.Join(dir, "digestgate-"+p.platform.OS+"-"+p.platform.Architecture)
	if err := os.WriteFile(base+".cdx.json", p.sbom, 0o644); err != nil {
		return err
	}
	tag, err := name.NewTag("digestgate:" + tagOf(r.about.version))
	if err != nil {
		return err
	}
	return tarball.WriteToFile(base+".tar", tag, p.image)
}

// tagOf is a version as a tag, which has no plus sign (distribution-spec, "Pulling
// manifests").
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "-") }

// archive packs a directory: sorted, with one time and one owner.
func archive(dir, file string) (err error) {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	archive := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		within, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(within), ModTime: layerTime, Mode: 0o644, Format: tar.FormatUSTAR}
		if d.IsDir() {
			h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, h.Name+"/"
			return archive.WriteHeader(h)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		if err := archive.WriteHeader(h); err != nil {
			return err
		}
		_, err = io.Copy(archive, f)
		return err
	})
	return errors.Join(err, archive.Close())
}
