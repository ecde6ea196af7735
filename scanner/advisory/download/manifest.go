package download

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// manifestTypes are those of a manifest with one configuration and layers.
var manifestTypes = []string{
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
}

// descriptor names a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      gate.Digest       `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
}

// manifest is one as it was served.
type manifest struct {
	raw    []byte
	digest gate.Digest // of raw
	layers []descriptor
}

// readManifest parses what has the digest; gate.ErrInvalid.
func readManifest(raw []byte, digest gate.Digest) (manifest, error) {
	var m struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Layers        []descriptor      `json:"layers"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return manifest{}, fmt.Errorf("parsing the manifest: %w: %w", err, gate.ErrInvalid)
	}
	switch {
	case len(m.Manifests) > 0:
		return manifest{}, fmt.Errorf("it is an index of %d manifests and not the artifact itself; copy the artifact with a tool that does not convert it: %w", len(m.Manifests), gate.ErrInvalid)
	case m.SchemaVersion != 2, m.MediaType != "" && !slices.Contains(manifestTypes, m.MediaType):
		return manifest{}, fmt.Errorf("its manifest has the type %s and schema version %d: %w", gate.Quoted(m.MediaType, 100), m.SchemaVersion, gate.ErrInvalid)
	}
	return manifest{raw: raw, digest: digest, layers: m.Layers}, nil
}

// layer is the one layer of the artifact; gate.ErrInvalid.
func (m manifest) layer(a Artifact) (descriptor, error) {
	if len(m.layers) != 1 {
		return descriptor{}, fmt.Errorf("it has %d layers, want one, as %s has: %w", len(m.layers), a.Name, gate.ErrInvalid)
	}
	l := m.layers[0]
	switch {
	case l.MediaType != a.LayerType:
		return descriptor{}, fmt.Errorf("its layer has the media type %s, want %q; push it with that type: %w", gate.Quoted(l.MediaType, 100), a.LayerType, gate.ErrInvalid)
	case !l.Digest.Valid():
		return descriptor{}, fmt.Errorf("its layer has the digest %s: %w", gate.Quoted(string(l.Digest), 100), gate.ErrInvalid)
	case l.Size <= 0 || l.Size > a.MaxLayer:
		return descriptor{}, fmt.Errorf("its layer has %d bytes, want at most %s: %w", l.Size, gate.ByteSize(a.MaxLayer), gate.ErrInvalid)
	}
	return l, nil
}
