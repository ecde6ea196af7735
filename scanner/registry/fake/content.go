package fake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/digestgate/digestgate/gate"
)

// DigestOf is the digest of content.
func DigestOf(content []byte) gate.Digest {
	return gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
}

// PutBlob stores content under its digest, for every repository.
func (r *Registry) PutBlob(content []byte) (gate.Digest, error) {
	d := DigestOf(content)
	return d, r.PutBlobAs(d, content)
}

// PutBlobAs stores content under any digest, so that it can be a wrong one.
func (r *Registry) PutBlobAs(d gate.Digest, content []byte) error {
	h, err := v1.NewHash(string(d))
	if err != nil {
		return err
	}
	return r.blobs.Put(context.Background(), "", h, io.NopCloser(bytes.NewReader(content)))
}

// PutManifest stores a manifest under its digest and, if it is not empty, under
// tag. Children of an index must be there before it.
func (r *Registry) PutManifest(repo, tag, mediaType string, body []byte) (gate.Digest, error) {
	d := DigestOf(body)
	if tag == "" {
		tag = string(d)
	}
	return d, r.direct(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, body)
}

// Delete removes a manifest or tag.
func (r *Registry) Delete(repo, ref string) error {
	return r.direct(http.MethodDelete, "/v2/"+repo+"/manifests/"+ref, "", nil)
}

// direct asks the registry behind authentication, recorder and faults.
func (r *Registry) direct(method, path, contentType string, body []byte) error {
	req, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	a := answer{status: http.StatusOK, header: http.Header{}}
	r.inner.ServeHTTP(&a, req)
	if a.status >= 300 {
		return fmt.Errorf("%s %s: status %d: %s", method, path, a.status, a.body.Bytes())
	}
	return nil
}

// Push stores an image with all it consists of; tag may be "".
func (r *Registry) Push(repo, tag string, img v1.Image) (gate.Digest, error) {
	layers, err := img.Layers()
	if err != nil {
		return "", err
	}
	for _, l := range layers {
		rc, err := l.Compressed()
		if err != nil {
			return "", err
		}
		content, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			return "", err
		}
		if _, err := r.PutBlob(content); err != nil {
			return "", err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return "", err
	}
	if _, err := r.PutBlob(config); err != nil {
		return "", err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return "", err
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return "", err
	}
	return r.PutManifest(repo, tag, string(mediaType), manifest)
}

// PushIndex stores an index with its children; tag may be "".
func (r *Registry) PushIndex(repo, tag string, idx v1.ImageIndex) (gate.Digest, error) {
	m, err := idx.IndexManifest()
	if err != nil {
		return "", err
	}
	for _, desc := range m.Manifests {
		switch {
		case desc.MediaType.IsIndex():
			nested, err := idx.ImageIndex(desc.Digest)
			if err != nil {
				return "", err
			}
			if _, err := r.PushIndex(repo, "", nested); err != nil {
				return "", err
			}
		case desc.MediaType.IsImage():
			img, err := idx.Image(desc.Digest)
			if err != nil {
				return "", err
			}
			if _, err := r.Push(repo, "", img); err != nil {
				return "", err
			}
		}
	}
	body, err := idx.RawManifest()
	if err != nil {
		return "", err
	}
	mediaType, err := idx.MediaType()
	if err != nil {
		return "", err
	}
	return r.PutManifest(repo, tag, string(mediaType), body)
}

// Blob is one part of an artifact.
type Blob struct {
	MediaType   string
	Content     []byte
	Annotations map[string]string
}

// Artifact is a manifest of anything: a signature, an SBOM, a chart, or an
// image that no builder would make.
type Artifact struct {
	ArtifactType string
	Config       Blob // "" and nil: the empty JSON object of OCI 1.1
	Layers       []Blob
	Subject      gate.Digest
	Annotations  map[string]string
}

// PutArtifact stores an artifact; tag may be "".
func (r *Registry) PutArtifact(repo, tag string, a Artifact) (gate.Digest, error) {
	if a.Config.MediaType == "" {
		a.Config = Blob{MediaType: "application/vnd.oci.empty.v1+json", Content: []byte("{}")}
	}
	m := map[string]any{"schemaVersion": 2, "mediaType": types.OCIManifestSchema1}
	config, err := r.describe(a.Config)
	if err != nil {
		return "", err
	}
	layers := make([]any, len(a.Layers))
	for i, l := range a.Layers {
		if layers[i], err = r.describe(l); err != nil {
			return "", err
		}
	}
	m["config"], m["layers"] = config, layers
	if a.ArtifactType != "" {
		m["artifactType"] = a.ArtifactType
	}
	if a.Subject != "" {
		m["subject"] = map[string]any{"mediaType": types.OCIManifestSchema1, "digest": a.Subject, "size": 1}
	}
	if a.Annotations != nil {
		m["annotations"] = a.Annotations
	}
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	return r.PutManifest(repo, tag, string(types.OCIManifestSchema1), body)
}

func (r *Registry) describe(b Blob) (map[string]any, error) {
	d, err := r.PutBlob(b.Content)
	desc := map[string]any{"mediaType": b.MediaType, "digest": d, "size": len(b.Content)}
	if b.Annotations != nil {
		desc["annotations"] = b.Annotations
	}
	return desc, err
}
