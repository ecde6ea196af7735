package download

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	cosign "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/digestgate/digestgate/gate"
)

// The format in which cosign 3 signs (cosign v2.6.5 has it too, pkg/oci/remote/write.go,
// WriteAttestationNewBundleFormat): an artifact that refers to the manifest, with a
// Sigstore bundle, in which an in-toto statement names it.
const (
	bundleType     = "application/vnd.dev.sigstore.bundle"
	statementType  = "https://in-toto.io/Statement/v1"
	referrersFile  = "referrers.json"
	maxBundleBytes = 1 << 20
)

// referrersTag is where the list of what refers to a manifest is kept by registries that do
// not answer it themselves (OCI distribution specification 1.1, referrers tag schema).
func referrersTag(d gate.Digest) string { return "sha256-" + d.Hex() }

// referred is the manifest that a tag of [referrersTag] is about.
func referred(tag string) (gate.Digest, bool) {
	hex, ok := strings.CutPrefix(tag, "sha256-")
	d := gate.Digest("sha256:" + hex)
	return d, ok && d.Valid()
}

// bundleSignature looks for a signature of the manifest in a bundle. Errors: those of
// verifySignature; errUnsigned when there is no bundle.
func (d *Downloader) bundleSignature(ctx context.Context, o Origin, of gate.Digest) (signed, error) {
	raw, err := o.Manifest(ctx, referrersTag(of))
	if errors.Is(err, gate.ErrNotFound) {
		return signed{}, errUnsigned
	}
	if err != nil {
		return signed{}, err
	}
	var index struct {
		Manifests []struct {
			Digest       gate.Digest `json:"digest"`
			ArtifactType string      `json:"artifactType"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return signed{}, fmt.Errorf("parsing the list of what refers to it: %w: %w", err, gate.ErrInvalid)
	}
	why := errUnsigned
	tried := 0
	for _, m := range index.Manifests {
		if !mayBeBundle(m.ArtifactType) || !m.Digest.Valid() {
			continue
		}
		if tried++; tried > maxSignatures {
			break
		}
		s, err := d.verifyBundle(ctx, o, of, m.Digest)
		if err == nil {
			s.files[referrersFile] = raw
			return s, nil
		}
		if why = doesNotCount(err); why == nil {
			return signed{}, err
		}
	}
	return signed{}, why
}

// doesNotCount is why a signature is passed over for the next one, as gate.ErrInvalid: it
// is not a good one, or what it names is not there. nil when it could not be known.
func doesNotCount(err error) error {
	switch {
	case errors.Is(err, gate.ErrInvalid):
		return err
	case errors.Is(err, gate.ErrNotFound):
		return fmt.Errorf("%w: %w", err, gate.ErrInvalid)
	}
	return nil
}

// mayBeBundle looks at how a registry lists an artifact. Some give the type of its
// configuration instead of its own, which for a bundle is an empty one.
func mayBeBundle(artifactType string) bool {
	switch artifactType {
	case "", "application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json":
		return true
	}
	return strings.HasPrefix(artifactType, bundleType)
}

// verifyBundle reads the artifact with one bundle and verifies it.
func (d *Downloader) verifyBundle(ctx context.Context, o Origin, of, artifact gate.Digest) (signed, error) {
	raw, err := o.Manifest(ctx, string(artifact))
	if err != nil {
		return signed{}, err
	}
	if digestOf(raw) != artifact {
		return signed{}, fmt.Errorf("manifest %q has another content: %w", artifact, gate.ErrIntegrity)
	}
	m, err := readManifest(raw, artifact)
	if err != nil {
		return signed{}, err
	}
	if len(m.layers) != 1 || !strings.HasPrefix(m.layers[0].MediaType, bundleType) {
		return signed{}, fmt.Errorf("the artifact does not hold one bundle: %w", gate.ErrInvalid)
	}
	l := m.layers[0]
	if !l.Digest.Valid() || l.Size <= 0 || l.Size > maxBundleBytes {
		return signed{}, fmt.Errorf("its bundle has %d bytes, want at most %d: %w", l.Size, maxBundleBytes, gate.ErrInvalid)
	}
	content, err := readBlob(ctx, o, l)
	if err != nil {
		return signed{}, err
	}
	by, err := d.verifyEnvelope(content, of)
	if err != nil {
		return signed{}, fmt.Errorf("its bundle: %w: %w", err, gate.ErrInvalid)
	}
	return signed{by: by, files: map[string][]byte{
		path.Join(blobsDir, artifact.Hex()): raw, path.Join(blobsDir, l.Digest.Hex()): content,
	}}, nil
}

// verifyEnvelope verifies the DSSE envelope of a bundle, and that what is signed names the
// manifest as the subject of a signature and of nothing else: an attestation about it, that
// it was scanned say, is another statement by the same key.
func (d *Downloader) verifyEnvelope(bundle []byte, of gate.Digest) (by string, err error) {
	var b struct {
		Envelope json.RawMessage `json:"dsseEnvelope"`
	}
	if err := strictJSON(bundle, &b); err != nil {
		return "", fmt.Errorf("it cannot be read: %w", err)
	}
	if len(b.Envelope) == 0 {
		return "", errors.New("it does not hold a signed statement")
	}
	content, by, err := openEnvelope(d.keys, b.Envelope, cosign.IntotoPayloadType)
	if err != nil {
		return "", err
	}
	return by, checkStatement(content, of)
}

func checkStatement(content []byte, of gate.Digest) error {
	var s struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := strictJSON(content, &s); err != nil {
		return fmt.Errorf("what it signs cannot be read: %w", err)
	}
	if s.Type != statementType || s.PredicateType != cosign.CosignSignPredicateType {
		return fmt.Errorf("what it signs has the types %s and %s", gate.Quoted(s.Type, 60), gate.Quoted(s.PredicateType, 60))
	}
	for _, subject := range s.Subject {
		if subject.Digest["sha256"] == of.Hex() {
			return nil
		}
	}
	return fmt.Errorf("what it signs is not this manifest, but %d others", len(s.Subject))
}

// sortedFiles are what a signature leaves to be kept, in a fixed order.
func (s signed) sortedFiles() []string {
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
