package download

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// signer is a key pair whose public half is in a file.
type signer struct {
	signature.Signer
	file string
}

func newSigner(t *testing.T, private crypto.Signer) signer {
	t.Helper()
	s, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	return signer{s, file}
}

func ecdsaSigner(t *testing.T) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, k)
}

// payloadOf is what cosign signs.
func payloadOf(of gate.Digest, kind string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example.com/trivy-db"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, of, kind)
}

const cosignKind = "cosign container image signature"

// signatureOf is a layer as cosign writes it: signed is signed, and content stands there.
func signatureOf(t *testing.T, by signature.Signer, signed, content []byte) fake.Blob {
	t.Helper()
	sig, err := by.SignMessage(bytes.NewReader(signed))
	if err != nil {
		t.Fatal(err)
	}
	return fake.Blob{
		MediaType: "application/vnd.dev.cosign.simplesigning.v1+json", Content: content,
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)},
	}
}

func sign(t *testing.T, r *fake.Registry, of gate.Digest, layers ...fake.Blob) {
	t.Helper()
	if _, err := r.PutArtifact("trivy-db", fake.CosignTag(of, "sig"), fake.Artifact{Layers: layers}); err != nil {
		t.Fatal(err)
	}
}

// bundleOf is a statement as cosign 3 signs it.
func bundleOf(t *testing.T, by signature.Signer, statement []byte) fake.Blob {
	t.Helper()
	envelope, err := dsse.WrapSigner(by, "application/vnd.in-toto+json").SignMessage(bytes.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	return fake.Blob{MediaType: bundleType + ".v0.3+json", Content: fmt.Appendf(nil,
		`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":%s}`, envelope)}
}

// refer puts an artifact with a bundle that refers to a manifest.
func refer(t *testing.T, r *fake.Registry, of gate.Digest, bundle fake.Blob) {
	t.Helper()
	if _, err := r.PutArtifact("trivy-db", "", fake.Artifact{ArtifactType: bundleType + ".v0.3+json", Subject: of, Layers: []fake.Blob{bundle}}); err != nil {
		t.Fatal(err)
	}
}

func TestSignature(t *testing.T) {
	ours, others := ecdsaSigner(t), ecdsaSigner(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edSigner, rsaSigner := newSigner(t, ed), newSigner(t, rsaKey)
	keys := []string{ours.file, edSigner.file, rsaSigner.file}
	layer := data(t, 1, 1000)
	other := fake.DigestOf([]byte("another manifest"))
	blob := func(by signer, of gate.Digest, kind string) func(gate.Digest) []fake.Blob {
		return func(self gate.Digest) []fake.Blob {
			if of == "" {
				of = self
			}
			p := payloadOf(of, kind)
			return []fake.Blob{signatureOf(t, by, p, p)}
		}
	}
	const statement, predicate = "https://in-toto.io/Statement/v1", "https://sigstore.dev/cosign/sign/v1"
	bundle := func(by signer, of gate.Digest, statement, predicate string) func(gate.Digest) []fake.Blob {
		return func(self gate.Digest) []fake.Blob {
			if of != "" {
				self = of
			}
			return []fake.Blob{bundleOf(t, by, fmt.Appendf(nil, `{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, statement, self.Hex(), predicate))}
		}
	}
	for name, c := range map[string]struct {
		signatures func(self gate.Digest) []fake.Blob
		by         string // "": refused
		want       string
	}{
		"unsigned":      {nil, "", "not signed"},
		"ecdsa":         {blob(ours, "", cosignKind), ours.file, ""},
		"ed25519":       {blob(edSigner, "", cosignKind), edSigner.file, ""},
		"rsa":           {blob(rsaSigner, "", cosignKind), rsaSigner.file, ""},
		"another_key":   {blob(others, "", cosignKind), "", "none of advisories.keys"},
		"another_thing": {blob(ours, other, cosignKind), "", "not this manifest"},
		"another_kind":  {blob(ours, "", "atomic container signature"), "", "has the type"},
		"changed_payload": {func(self gate.Digest) []fake.Blob {
			return []fake.Blob{signatureOf(t, ours, payloadOf(other, cosignKind), payloadOf(self, cosignKind))}
		}, "", "none of advisories.keys"},
		"no_signature_in_it": {func(self gate.Digest) []fake.Blob {
			b := signatureOf(t, ours, payloadOf(self, cosignKind), payloadOf(self, cosignKind))
			b.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "bm90IG9uZQ=="}
			return []fake.Blob{b}
		}, "", "none of advisories.keys"},
		"no_base64": {func(self gate.Digest) []fake.Blob {
			b := signatureOf(t, ours, payloadOf(self, cosignKind), payloadOf(self, cosignKind))
			b.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "%%"}
			return []fake.Blob{b}
		}, "", "does not hold a signature"},
		"another_type": {func(self gate.Digest) []fake.Blob {
			b := signatureOf(t, ours, payloadOf(self, cosignKind), payloadOf(self, cosignKind))
			b.MediaType = "application/octet-stream"
			return []fake.Blob{b}
		}, "", "none of the type"},
		"huge_payload": {func(self gate.Digest) []fake.Blob {
			p := append(payloadOf(self, cosignKind), bytes.Repeat([]byte(" "), 70<<10)...)
			return []fake.Blob{signatureOf(t, ours, p, p)}
		}, "", "at most"},
		"json_behind": {func(self gate.Digest) []fake.Blob {
			p := append(payloadOf(self, cosignKind), "{}"...)
			return []fake.Blob{signatureOf(t, ours, p, p)}
		}, "", "cannot be read"},
		"second_counts": {func(self gate.Digest) []fake.Blob {
			return append(blob(others, "", cosignKind)(self), blob(ours, self, cosignKind)(self)...)
		}, ours.file, ""},
		"bundle":                 {bundle(ours, "", statement, predicate), ours.file, ""},
		"bundle_of_another_key":  {bundle(others, "", statement, predicate), "", "none of advisories.keys"},
		"bundle_of_another":      {bundle(ours, other, statement, predicate), "", "not this manifest"},
		"bundle_that_says_other": {bundle(ours, "", statement, "https://cosign.sigstore.dev/attestation/vuln/v1"), "", "has the types"},
		"bundle_of_other_type":   {bundle(ours, "", "https://in-toto.io/Statement/v9", predicate), "", "has the types"},
		"bundle_without_envelope": {func(gate.Digest) []fake.Blob {
			return []fake.Blob{{MediaType: bundleType + ".v0.3+json", Content: []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`)}}
		}, "", "signed statement"},
		"bundle_is_huge": {func(gate.Digest) []fake.Blob {
			return []fake.Blob{{MediaType: bundleType + ".v0.3+json", Content: make([]byte, maxBundleBytes+1)}}
		}, "", "at most"},
		"bundle_second_counts": {func(self gate.Digest) []fake.Blob {
			return append(bundle(others, self, statement, predicate)(self), bundle(ours, self, statement, predicate)(self)...)
		}, ours.file, ""},
		"too_many": {func(self gate.Digest) (list []fake.Blob) {
			for range maxSignatures {
				list = append(list, blob(others, self, cosignKind)(self)...)
			}
			return append(list, blob(ours, self, cosignKind)(self)...)
		}, "", "none of its 51"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, fake.Options{})
			of := put(t, r, "2", layer)
			if strings.Contains(name, "bundle") {
				for _, b := range c.signatures(of) {
					refer(t, r, of, b)
				}
			} else if c.signatures != nil {
				sign(t, r, of, c.signatures(of)...)
			}
			d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Keys: keys, KeepLayer: true})
			got, err := d.Fetch(t.Context(), Request{})
			if c.by != "" {
				if err != nil || got.SignedBy != c.by {
					t.Fatalf("got %v, %v, want it signed by %q", got, err, c.by)
				}
				takenAgain(t, got, ours.file, c.by)
				return
			}
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %q", got, err, c.want)
			}
			if n := r.Count("GET", string(fake.DigestOf(layer))); n != 0 {
				t.Errorf("the layer was downloaded %d times before the signature was known to be good", n)
			}
		})
	}
}

// takenAgain: what was kept proves its signature to another process with the key.
func takenAgain(t *testing.T, c *Candidate, key, by string) {
	t.Helper()
	origin, _, err := Kept(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newDownloader(t, Options{Keys: []string{key}}).Take(t.Context(), origin, c.Manifest, nil)
	if key == by && (err != nil || got.SignedBy != by) {
		t.Errorf("taken by another process: got %v, %v", got, err)
	}
	if key != by && !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("taken by a process with another key: got %v, %v", got, err)
	}
}

// TestSignature_away: that signatures cannot be read is not that there are none.
func TestSignature_away(t *testing.T) {
	ours := ecdsaSigner(t)
	r := start(t, fake.Options{})
	put(t, r, "2", data(t, 1, 1000))
	r.Fail(fake.Fault{Path: "/v2/trivy-db/manifests/*.sig", Status: 429})
	d := newDownloader(t, Options{Repositories: []Repository{at(r)}, Keys: []string{ours.file}})
	if _, err := d.Fetch(t.Context(), Request{}); !errors.Is(err, gate.ErrRegistryUnavailable) || errors.Is(err, gate.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestCheckKeys(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	k := ecdsaSigner(t)
	good, err := os.ReadFile(k.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckKeys([]string{k.file}); err != nil {
		t.Errorf("a good key: %v", err)
	}
	bad := []string{
		filepath.Join(dir, "absent"), file("empty", ""), file("text", "hello"), file("two", string(good)+string(good)),
		file("private", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))),
		file("damaged", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))),
		file("large", strings.Repeat("x", 70<<10)),
	}
	err = CheckKeys(bad)
	if !errors.Is(err, gate.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	for i, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasPrefix(line, fmt.Sprintf("keys[%d]: ", i)) {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if _, err := New(Options{Artifact: Database(), Dir: dir, Keys: bad[:1]}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("New: got %v", err)
	}
}
