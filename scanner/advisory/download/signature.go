package download

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	cosign "github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/digestgate/digestgate/gate"
)

// What cosign writes (cosign v2, specs/SIGNATURE_SPEC.md).
const signatureAnnotation = "dev.cosignproject.cosign/signature"

// Limits on what stands for a signature: each is a few hundred bytes, and each costs a
// computation (CVE-2023-46737 was endless of them).
const (
	maxSignatures    = 50
	maxPayloadBytes  = 64 << 10
	maxKeyBytes      = 64 << 10
	maxSignatureText = 8 << 10
)

// key is one of advisories.keys.
type key struct {
	file     string
	verifier signature.Verifier
}

// loadKeys reads files with one public key each, in PEM; gate.ErrInvalid.
func loadKeys(files []string) ([]key, error) {
	var keys []key
	for i, file := range files {
		k, err := loadKey(file)
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: reading the public key %q: %w: %w", i, file, err, gate.ErrInvalid)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func loadKey(file string) (key, error) {
	raw, err := readSmall(file, maxKeyBytes)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return key{}, err
	}
	block, rest := pem.Decode(raw)
	switch {
	case block == nil:
		return key{}, errors.New("it is not PEM")
	case len(bytes.TrimSpace(rest)) > 0:
		return key{}, errors.New("it holds more than one key; name a file for each")
	case block.Type != string(cryptoutils.PublicKeyPEMType):
		return key{}, fmt.Errorf("it holds a %s, want a %s", gate.Printable(block.Type, 40), cryptoutils.PublicKeyPEMType)
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
	if err != nil {
		return key{}, err
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return key{}, err
	}
	return key{file, verifier}, nil
}

// Verifier reads a file with one public key, in PEM, as those of advisories.keys;
// gate.ErrInvalid.
func Verifier(file string) (signature.Verifier, error) {
	k, err := loadKey(file)
	if err != nil {
		return nil, fmt.Errorf("reading the public key %q: %w: %w", file, err, gate.ErrInvalid)
	}
	return k.verifier, nil
}

// CheckKeys reads the files of advisories.keys as [New] does; each line of the error
// starts with the key, such as "keys[0]", and wraps gate.ErrInvalid.
func CheckKeys(files []string) error {
	var errs []error
	for i := range files {
		if _, err := loadKey(files[i]); err != nil {
			errs = append(errs, fmt.Errorf("keys[%d]: reading the public key %q: %w: %w", i, files[i], err, gate.ErrInvalid))
		}
	}
	return errors.Join(errs...)
}

// signatureTag is the tag at which cosign keeps the signatures of a manifest.
func signatureTag(d gate.Digest) string { return "sha256-" + d.Hex() + ".sig" }

// signed is a signature that one of our keys has made.
type signed struct {
	by    string            // file of the key
	files map[string][]byte // what another process would read of it, by the name to keep it under
}

// errUnsigned: there is no signature, in whatever format.
var errUnsigned = fmt.Errorf("it is not signed, and advisories.keys wants that; sign it with cosign sign --key: %w", gate.ErrInvalid)

// verifySignature looks for a signature of the manifest by one of the keys; the zero value
// when there are no keys. What is signed is the payload, which names the manifest.
// Errors: gate.ErrInvalid (there is none that counts), those of [Origin].
func (d *Downloader) verifySignature(ctx context.Context, o Origin, of gate.Digest) (signed, error) {
	if len(d.keys) == 0 {
		return signed{}, nil
	}
	s, simple := d.simpleSignature(ctx, o, of)
	if simple == nil {
		return s, nil
	}
	if !errors.Is(simple, gate.ErrInvalid) {
		return signed{}, fmt.Errorf("reading its signatures: %w", simple)
	}
	s, bundled := d.bundleSignature(ctx, o, of)
	switch {
	case bundled == nil:
		return s, nil
	case !errors.Is(bundled, gate.ErrInvalid):
		return signed{}, fmt.Errorf("reading its signatures: %w", bundled)
	case errors.Is(bundled, errUnsigned):
		return signed{}, simple
	}
	return signed{}, bundled
}

// simpleSignature looks for one beside the manifest, as cosign has signed since its first
// version; errUnsigned when there is none.
func (d *Downloader) simpleSignature(ctx context.Context, o Origin, of gate.Digest) (signed, error) {
	raw, err := o.Manifest(ctx, signatureTag(of))
	if errors.Is(err, gate.ErrNotFound) {
		return signed{}, errUnsigned
	}
	if err != nil {
		return signed{}, err
	}
	m, err := readManifest(raw, "")
	if err != nil {
		return signed{}, err
	}
	why := errors.New("there is none of the type " + cosign.SimpleSigningMediaType)
	for _, l := range m.layers[:min(len(m.layers), maxSignatures)] {
		if l.MediaType != cosign.SimpleSigningMediaType {
			continue
		}
		s, err := d.verifyOne(ctx, o, of, l)
		if err == nil {
			s.files[signatureFile] = raw
			return s, nil
		}
		if why = doesNotCount(err); why == nil {
			return signed{}, err
		}
	}
	return signed{}, fmt.Errorf("none of its %d signatures counts; the last: %w: %w", len(m.layers), why, gate.ErrInvalid)
}

func (d *Downloader) verifyOne(ctx context.Context, o Origin, of gate.Digest, l descriptor) (signed, error) {
	invalid := func(format string, args ...any) (signed, error) {
		return signed{}, fmt.Errorf("%w: %w", fmt.Errorf(format, args...), gate.ErrInvalid)
	}
	text := l.Annotations[signatureAnnotation]
	sig, err := base64.StdEncoding.DecodeString(text)
	switch {
	case text == "" || err != nil || len(text) > maxSignatureText:
		return invalid("its annotation %s does not hold a signature", signatureAnnotation)
	case !l.Digest.Valid() || l.Size <= 0 || l.Size > maxPayloadBytes:
		return invalid("what it signs has %d bytes, want at most %d", l.Size, maxPayloadBytes)
	}
	content, err := readBlob(ctx, o, l)
	if err != nil {
		return signed{}, err
	}
	by := ""
	for _, k := range d.keys {
		if k.verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(content)) == nil {
			by = k.file
			break
		}
	}
	if by == "" {
		return invalid("none of advisories.keys has made it")
	}
	var p payload.SimpleContainerImage
	if err := strictJSON(content, &p); err != nil {
		return invalid("what it signs cannot be read: %w", err)
	}
	switch {
	case p.Critical.Type != payload.CosignSignatureType:
		return invalid("what it signs has the type %s", gate.Quoted(p.Critical.Type, 60))
	case p.Critical.Image.DockerManifestDigest != string(of):
		return invalid("what it signs is %s, and not this manifest", gate.Quoted(p.Critical.Image.DockerManifestDigest, 80))
	}
	return signed{by: by, files: map[string][]byte{path.Join(blobsDir, l.Digest.Hex()): content}}, nil
}

// readBlob reads a small blob and checks it against its digest.
func readBlob(ctx context.Context, o Origin, l descriptor) ([]byte, error) {
	body, err := o.Blob(ctx, l.Digest, l.Size, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, l.Size+1))
	if err != nil {
		return nil, err
	}
	if digestOf(b) != l.Digest {
		return nil, fmt.Errorf("blob %q has another content: %w", l.Digest, gate.ErrIntegrity)
	}
	return b, nil
}
