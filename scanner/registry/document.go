package registry

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/digestgate/digestgate/gate"
)

// Media types of manifests.
const (
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeOCIManifest    = specs.MediaTypeImageManifest
	typeOCIIndex       = specs.MediaTypeImageIndex
	typeOCIArtifact    = "application/vnd.oci.artifact.manifest.v1+json" // OCI 1.1 release candidates
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// document is a manifest or index as read; which of the two it is says index.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`

	// index and artifact say which form the document has; neither: a manifest.
	index, artifact bool
	typed           bool // MediaType is its own word
}

// descriptor is one reference to content.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       gate.Digest       `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	ArtifactType string            `json:"artifactType"`
	Platform     *specs.Platform   `json:"platform"`
}

// maxBlobBytes is a sanity limit for sizes in descriptors (32 TiB), so that sums
// of all descriptors of a manifest cannot overflow.
const maxBlobBytes = 1 << 45

// parseDocument reads a manifest strictly. What it is follows from its bytes
// alone. contentType is the header of the answer, the registry's word, which may
// contradict them and no more. Errors: gate.ErrUnassessable for bytes that no rule
// covers, gate.ErrIntegrity when the header contradicts.
func parseDocument(contentType string, body []byte) (*document, error) {
	keys, err := checkUnambiguous(body)
	if err != nil {
		return nil, unassessable("the manifest cannot be read: %w", err)
	}
	if keys["fsLayers"] {
		return nil, unassessable("it is a Docker schema 1 manifest; push the image again with a current tool")
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		// Unmarshal's text quotes the document.
		return nil, unassessable("the manifest cannot be read: a field has the wrong type")
	}
	if d.SchemaVersion == 1 {
		return nil, unassessable("it is a Docker schema 1 manifest; push the image again with a current tool")
	}
	if err := d.settle(keys); err != nil {
		return nil, err
	}
	if err := d.checkDescriptors(); err != nil {
		return nil, err
	}
	return &d, d.checkHeader(mediaTypeOf(contentType))
}

// settle decides between manifest and index.
func (d *document) settle(keys map[string]bool) error {
	asManifest := keys["config"] || keys["layers"]
	asIndex := keys["manifests"]
	if asManifest && asIndex || keys["blobs"] && (asManifest || asIndex) {
		return unassessable("the manifest is ambiguous: it has the fields of an image and of an index")
	}
	d.index, d.artifact = asIndex, keys["blobs"]
	byShape := typeOCIManifest
	switch {
	case asIndex:
		byShape = typeOCIIndex
	case d.artifact:
		byShape = typeOCIArtifact
	case !asManifest && d.MediaType == typeOCIArtifact:
		d.artifact, byShape = true, typeOCIArtifact
	case !asManifest:
		return unassessable("the manifest is neither an image nor an index")
	}
	d.typed = d.MediaType != ""
	if !d.typed {
		d.MediaType = byShape
	}
	if isIndexType(d.MediaType) && !d.index || isImageType(d.MediaType) && (d.index || d.artifact) ||
		d.MediaType == typeOCIArtifact && !d.artifact {
		return unassessable("the manifest is ambiguous: its media type is %q, its fields say otherwise", d.MediaType)
	}
	return nil
}

// checkHeader refuses a registry's word that contradicts the content. Nodes differ
// in which of the two they go by, so that nobody can say what they would run from
// there; another registry may serve the same bytes properly.
func (d *document) checkHeader(header string) error {
	wrong := isSchema1(header)
	switch {
	case isManifestType(header) && d.typed:
		wrong = header != d.MediaType
	case isManifestType(header):
		wrong = isIndexType(header) != d.index || (header == typeOCIArtifact) != d.artifact
	}
	if wrong {
		text := fmt.Sprintf("the registry serves %s as %q; its Content-Type must be that of the manifest", gate.Quoted(d.MediaType, 80), header)
		return &wordedError{text, gate.ErrIntegrity}
	}
	return nil
}

// checkDescriptors refuses what could not be fetched or would not add up. The
// children of an index are no part of it, and what is wrong with one that no node
// chooses does not matter; see expansion.
func (d *document) checkDescriptors() error {
	if d.artifact || d.index {
		return nil
	}
	if err := d.Config.check(); err != nil {
		return err
	}
	return checkAll(d.Layers)
}

func checkAll(list []descriptor) error {
	for _, d := range list {
		if err := d.check(); err != nil {
			return err
		}
	}
	return nil
}

func (d descriptor) check() error {
	if !d.Digest.Valid() {
		return unassessable("the manifest names something that is not a digest: %s", gate.Quoted(string(d.Digest), 100))
	}
	if d.Size < 0 || d.Size > maxBlobBytes {
		return unassessable("the manifest gives %s a size of %d bytes", d.Digest.Short(), d.Size)
	}
	return nil
}

// subject is what an accessory says it is about.
func (d *document) subject() gate.Digest {
	if d.Subject != nil && d.Subject.Digest.Valid() {
		return d.Subject.Digest
	}
	return ""
}

// unassessable words an error that wraps gate.ErrUnassessable.
func unassessable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrUnassessable)
}

// mediaTypeOf is the media type of a Content-Type header without parameters.
func mediaTypeOf(contentType string) string {
	if t, _, err := mime.ParseMediaType(contentType); err == nil {
		return t
	}
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func isSchema1(contentType string) bool {
	t := mediaTypeOf(contentType)
	return t == typeSchema1 || t == typeSchema1Signed
}

func isIndexType(t string) bool { return t == typeDockerIndex || t == typeOCIIndex }
func isImageType(t string) bool { return t == typeDockerManifest || t == typeOCIManifest }

func isManifestType(t string) bool {
	return isIndexType(t) || isImageType(t) || t == typeOCIArtifact
}
