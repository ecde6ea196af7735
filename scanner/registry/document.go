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

// parseDocument reads a manifest strictly. contentType is the header of the
// answer. Errors: gate.ErrUnassessable for what no rule covers,
// gate.ErrIntegrity when header and content contradict each other.
func parseDocument(contentType string, body []byte) (*document, error) {
	keys, err := checkUnambiguous(body)
	if err != nil {
		return nil, unassessable("the manifest cannot be read: %w", err)
	}
	header := mediaTypeOf(contentType)
	if isSchema1(header) || keys["fsLayers"] {
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
	if err := d.settle(header, keys); err != nil {
		return nil, err
	}
	return &d, d.checkDescriptors()
}

// settle decides between manifest and index, by the content first.
func (d *document) settle(header string, keys map[string]bool) error {
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
	case !asManifest && (d.MediaType == typeOCIArtifact || d.MediaType == "" && header == typeOCIArtifact):
		d.artifact, byShape = true, typeOCIArtifact
	case !asManifest:
		return unassessable("the manifest is neither an image nor an index")
	}
	if d.MediaType != "" && isManifestType(header) && d.MediaType != header {
		return fmt.Errorf("the registry serves %q as %q: %w", gate.Printable(d.MediaType, 80), header, gate.ErrIntegrity)
	}
	if d.MediaType == "" {
		d.MediaType = byShape
		if isManifestType(header) {
			d.MediaType = header
		}
	}
	if isIndexType(d.MediaType) && !d.index || isImageType(d.MediaType) && (d.index || d.artifact) ||
		d.MediaType == typeOCIArtifact && !d.artifact {
		return unassessable("the manifest is ambiguous: its media type is %q, its fields say otherwise", d.MediaType)
	}
	return nil
}

// checkDescriptors refuses what could not be fetched or would not add up.
func (d *document) checkDescriptors() error {
	if d.artifact {
		return nil
	}
	if d.index {
		return checkAll(d.Manifests)
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
		return unassessable("the manifest names a digest that is none: %q", gate.Printable(string(d.Digest), 100))
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
