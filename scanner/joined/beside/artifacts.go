package beside

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// descriptor is that of OCI.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Digest       gate.Digest       `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations"`
}

type index struct {
	Manifests []descriptor `json:"manifests"`
}

type manifest struct {
	ArtifactType string       `json:"artifactType"`
	Layers       []descriptor `json:"layers"`
	Subject      *descriptor  `json:"subject"`
}

// Media types: of cosign's attestations, and of a bundle of sigstore (in all its versions).
const (
	envelopeType = "application/vnd.dsse.envelope.v1+json"
	bundleType   = "application/vnd.dev.sigstore.bundle"
)

// isDocument reports whether a media type is that of a document without an envelope.
func isDocument(mediaType string) bool {
	t := strings.ToLower(mediaType)
	return strings.Contains(t, "openvex") || strings.Contains(t, "csaf") || strings.Contains(t, "vex+json") || strings.HasPrefix(t, "application/vnd.cyclonedx")
}

// all reads what refers to the image, and cosign's tag.
func (l *look) all() error {
	raw, more, err := l.Registry.Referrers(l.ctx, l.loc, l.image)
	if errors.Is(err, gate.ErrNotFound) {
		raw, _, err = l.Registry.RawManifest(l.ctx, l.loc, "sha256-"+l.image.Hex())
	}
	switch {
	case errors.Is(err, gate.ErrNotFound): // the registry keeps no list
	case err != nil:
		if err := l.failed(err); err != nil {
			return err
		}
	default:
		if more {
			l.omit(tooMany)
		}
		if err := l.list(raw); err != nil {
			return err
		}
	}
	raw, digest, err := l.Registry.RawManifest(l.ctx, l.loc, "sha256-"+l.image.Hex()+".att")
	switch {
	case errors.Is(err, gate.ErrNotFound):
		return nil
	case err != nil:
		return l.failed(err)
	case l.seen[digest]:
		return nil
	}
	return l.artifact(raw)
}

// list reads what a list names, as far as it may be documents.
func (l *look) list(raw []byte) error {
	var in index
	if json.Unmarshal(raw, &in) != nil {
		l.omit(unreadableM)
		return nil
	}
	for _, d := range in.Manifests {
		if !mayHold(d.ArtifactType) || l.seen[d.Digest] {
			continue
		}
		if l.artifacts++; l.artifacts > maxArtifacts {
			l.omit(tooMany)
			return nil
		}
		raw, digest, err := l.Registry.RawManifest(l.ctx, l.loc, string(d.Digest))
		switch {
		case errors.Is(err, gate.ErrNotFound):
			l.refuse(unreadableM) // deleted: a list is the registry's word
			continue
		case err != nil:
			if err := l.failed(err); err != nil {
				return err
			}
			continue
		}
		l.seen[digest] = true
		if err := l.artifact(raw); err != nil {
			return err
		}
	}
	return nil
}

// mayHold reports whether an artifact may have a document: "" is not known.
func mayHold(artifactType string) bool {
	return artifactType == "" || artifactType == envelopeType || strings.HasPrefix(artifactType, bundleType) || isDocument(artifactType) ||
		strings.HasPrefix(artifactType, "application/vnd.dev.cosign") || strings.HasPrefix(artifactType, "application/vnd.oci.")
}

// artifact judges the documents of one artifact. Its subject is the registry's word too:
// an envelope says itself which image it is about.
func (l *look) artifact(raw []byte) error {
	var m manifest
	if json.Unmarshal(raw, &m) != nil {
		l.refuse(unreadableM)
		return nil
	}
	for i, d := range m.Layers {
		if i >= maxArtifacts {
			l.omit(tooMany)
			return nil
		}
		enveloped := d.MediaType == envelopeType || strings.HasPrefix(d.MediaType, bundleType)
		switch {
		case !enveloped && (isDocument(d.MediaType) || isDocument(m.ArtifactType)):
			l.refuse(notSigned)
			continue
		case !enveloped || l.seen[d.Digest] || !predicate(d.Annotations["predicateType"]):
			continue
		}
		l.seen[d.Digest] = true
		text, ok, err := l.blob(d.Digest, d.Size)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if text = inside(text, d.MediaType); l.isVEX(text) {
			l.envelope(text, d.Digest)
		}
	}
	return nil
}

// inside is the envelope in a bundle of sigstore or by itself; nil for a bundle that has none
// (the signature of an image). The bytes decide and not their type: each are read once, and
// another artifact may give them a wrong type.
func inside(text []byte, mediaType string) []byte {
	var b struct {
		Envelope json.RawMessage `json:"dsseEnvelope"`
		Payload  string          `json:"payload"`
	}
	err := json.Unmarshal(text, &b)
	switch {
	case err == nil && len(b.Envelope) > 0:
		return b.Envelope
	case err == nil && b.Payload != "" || mediaType == envelopeType:
		return text
	}
	return nil
}

// isVEX reports whether an envelope may have a VEX document. Others, such as a provenance or
// an SBOM, are nothing that is refused; what cannot be read as an envelope is.
func (l *look) isVEX(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	var e struct {
		Payload string `json:"payload"`
	}
	var s struct {
		Type      string          `json:"predicateType"`
		Predicate json.RawMessage `json:"predicate"`
	}
	if json.Unmarshal(text, &e) != nil || e.Payload == "" {
		l.refuse(notSigned)
		return false
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil || json.Unmarshal(payload, &s) != nil {
		l.refuse(damaged)
		return false
	}
	if strings.HasPrefix(s.Type, "https://cyclonedx.org/") {
		var bom struct {
			Vulnerabilities []json.RawMessage `json:"vulnerabilities"`
		}
		return json.Unmarshal(s.Predicate, &bom) == nil && len(bom.Vulnerabilities) > 0 // an SBOM has none
	}
	return s.Type != "" && predicate(s.Type)
}

// predicate reports whether a type of predicates is that of a VEX document; "" may be.
func predicate(t string) bool {
	return t == "" || strings.HasPrefix(t, "https://openvex.dev/") || strings.HasPrefix(t, "https://cyclonedx.org/") ||
		strings.HasPrefix(t, "https://docs.oasis-open.org/csaf/") || strings.Contains(strings.ToLower(t), "csaf")
}
