package registry

import (
	"fmt"
	"slices"
	"strings"

	cosign "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/digestgate/digestgate/gate"
)

// Media types that decide what an artifact is.
const (
	typeDockerConfig = "application/vnd.docker.container.image.v1+json"
	typeOCIConfig    = "application/vnd.oci.image.config.v1+json"
	typeHelmConfig   = "application/vnd.cncf.helm.config.v1+json"

	annotationPredicate       = "in-toto.io/predicate-type"   // BuildKit, on the layer
	annotationBundleContent   = "dev.sigstore.bundle.content" // cosign 3, on the manifest
	annotationBundlePredicate = "dev.sigstore.bundle.predicateType"
	bundlePrefix              = "application/vnd.dev.sigstore.bundle"
)

// signatureTypes, attestationTypes and sbomTypes are matched against artifact
// types, configuration types and layer types alike.
var (
	signatureTypes = []string{
		cosign.SimpleSigningMediaType,
		"application/vnd.dev.cosign.artifact.sig.v1+json", // cosign, COSIGN_EXPERIMENTAL referrers
		"application/vnd.cncf.notary.signature",           // notation
	}
	attestationTypes = []string{
		cosign.DssePayloadType,
		cosign.IntotoPayloadType,
		"application/vnd.in-toto.bundle",
		"application/vnd.dev.cosign.artifact.att.v1+json",
	}
	sbomTypes = []string{
		cosign.SPDXMediaType, cosign.SPDXJSONMediaType, "application/spdx+json", "application/spdx",
		cosign.CycloneDXJSONMediaType, cosign.CycloneDXXMLMediaType, "application/vnd.cyclonedx",
		cosign.SyftMediaType,
		"application/vnd.dev.cosign.artifact.sbom.v1+json",
		"application/vnd.goharbor.harbor.sbom.v1", // Harbor's own accessory
	}
)

// sbomPredicates mark an in-toto statement that is an SBOM and nothing else.
var sbomPredicates = []string{"https://spdx.dev/Document", "https://cyclonedx.org/bom"}

// layerTypes are the media types of a root file system's layers that can be
// analysed.
var layerTypes = []string{
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
}

// foreignTypes are layers that may be distributed from elsewhere.
var foreignTypes = []string{
	"application/vnd.docker.image.rootfs.foreign.diff.tar",
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
	"application/vnd.oci.image.layer.nondistributable.v1.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}

// isFileSystemLayer reports whether a media type is that of a layer of a root
// file system, in whatever wrapping: what has one is an image. It is containerd's
// rule (core/images/mediatypes.go, IsLayerType) without its "+" extensions.
func isFileSystemLayer(t string) bool {
	base, _, _ := strings.Cut(t, "+")
	return strings.HasPrefix(t, "application/vnd.oci.image.layer.") || slices.Contains(layerTypes, base) || slices.Contains(foreignTypes, base)
}

func isImageConfig(t string) bool { return t == typeDockerConfig || t == typeOCIConfig }

// kind says what a manifest is. A file system layer makes it an image whatever
// else it claims to be, and whatever its configuration is called: a node would run
// it. containerd and skopeo take "application/octet-stream" and "text/html" for
// configurations, Docker has them in a list (distribution/registry.go,
// defaultImageTypes), CRI-O does not look at the type of a Docker manifest.
func (d *document) kind() gate.ManifestKind {
	switch {
	case d.index:
		return gate.KindIndex
	case d.artifact:
		return kindOfType(d.ArtifactType, gate.KindArtifact)
	}
	if slices.ContainsFunc(d.Layers, func(l descriptor) bool { return isFileSystemLayer(l.MediaType) }) {
		return gate.KindImage
	}
	if k := d.accessoryKind(); k != gate.KindUnknown {
		return k
	}
	switch {
	case isImageConfig(d.Config.MediaType) && d.ArtifactType == "":
		return gate.KindImage
	case d.Config.MediaType == typeHelmConfig || d.ArtifactType == typeHelmConfig:
		return gate.KindChart
	}
	return gate.KindArtifact
}

// accessoryKind recognises signatures, attestations and SBOMs: by artifact
// type (or configuration type, its older place), else by what every layer is.
func (d *document) accessoryKind() gate.ManifestKind {
	for _, t := range []string{d.ArtifactType, d.Config.MediaType} {
		if strings.HasPrefix(t, bundlePrefix) {
			return d.bundleKind()
		}
		if k := kindOfType(t, gate.KindUnknown); k != gate.KindUnknown {
			return k
		}
	}
	kind := gate.KindUnknown
	for i, l := range d.Layers {
		k := l.accessoryKind()
		if strings.HasPrefix(l.MediaType, bundlePrefix) {
			k = d.bundleKind()
		}
		switch {
		case k == gate.KindUnknown:
			return gate.KindUnknown
		case i == 0:
			kind = k
		case k != kind:
			kind = gate.KindAttestation // an SBOM beside its provenance
		}
	}
	return kind
}

// bundleKind tells what a Sigstore bundle holds. Without the annotations of
// cosign it is taken for an attestation, which claims more.
func (d *document) bundleKind() gate.ManifestKind {
	if d.Annotations[annotationBundleContent] == "message-signature" ||
		d.Annotations[annotationBundlePredicate] == cosign.CosignSignPredicateType {
		return gate.KindSignature
	}
	return gate.KindAttestation
}

func (l descriptor) accessoryKind() gate.ManifestKind {
	k := kindOfType(l.MediaType, gate.KindUnknown)
	if k != gate.KindAttestation {
		return k
	}
	// An unsigned statement of BuildKit that only carries an SBOM.
	p := l.Annotations[annotationPredicate]
	if l.MediaType == cosign.IntotoPayloadType && slices.Contains(sbomPredicates, p) {
		return gate.KindSBOM
	}
	return k
}

func kindOfType(t string, otherwise gate.ManifestKind) gate.ManifestKind {
	t = mediaTypeOf(t)
	switch {
	case slices.Contains(signatureTypes, t):
		return gate.KindSignature
	case slices.Contains(attestationTypes, t):
		return gate.KindAttestation
	case slices.Contains(sbomTypes, t):
		return gate.KindSBOM
	case t == typeHelmConfig:
		return gate.KindChart
	}
	return otherwise
}

// whyUnassessable says why an image can never be analysed, as far as the
// manifest alone tells; "" when it can.
func (d *document) whyUnassessable() string {
	if len(d.Layers) == 0 {
		return "the image has no layers"
	}
	if len(d.Layers) > MaxLayers {
		return fmt.Sprintf("the image has %d layers, the limit is %d", len(d.Layers), MaxLayers)
	}
	if d.Config.Size > MaxConfigBytes {
		return fmt.Sprintf("the image's configuration has %d bytes, the limit is %d", d.Config.Size, MaxConfigBytes)
	}
	for i, l := range d.Layers {
		t := gate.Printable(l.MediaType, 100)
		switch {
		case strings.HasSuffix(l.MediaType, "+encrypted"):
			return fmt.Sprintf("layer %d is encrypted (%s)", i, t)
		case slices.Contains(foreignTypes, l.MediaType) || len(l.URLs) > 0:
			return fmt.Sprintf("layer %d is foreign: it names other places to be fetched from, which is never done (%s)", i, t)
		case !slices.Contains(layerTypes, l.MediaType):
			return fmt.Sprintf("layer %d has the unknown type %s", i, gate.Quoted(l.MediaType, 100))
		}
	}
	return ""
}

// layerBytes is the sum of the compressed layers.
func (d *document) layerBytes() int64 {
	var n int64
	for _, l := range d.Layers {
		n += l.Size
	}
	return n
}
