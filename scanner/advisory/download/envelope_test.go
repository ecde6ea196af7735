package download

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/digestgate/digestgate/gate"
)

// TestEnvelope: what a private key signs, as openssl or cosign writes it, is opened by its
// public key, and by no other; nor is content of another type.
func TestEnvelope(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	plain := write("plain.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	pub := write("plain.pub", public)
	locked, lockedPublic, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), func(bool) ([]byte, error) { return []byte("secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	cosignKey, cosignPub := write("cosign.key", locked), write("cosign.pub", lockedPublic)
	password, wrong := write("password", []byte("secret\n")), write("wrong", []byte("other"))

	for name, c := range map[string]struct{ key, password, public, kind, want string }{
		"plain":             {plain, "", pub, "a/b", ""},
		"cosign":            {cosignKey, password, cosignPub, "a/b", ""},
		"another key":       {plain, "", cosignPub, "a/b", "none of advisories.keys has made it"},
		"another type":      {plain, "", pub, "a/c", "none of advisories.keys has made it"},
		"no password":       {cosignKey, "", cosignPub, "a/b", "advisories.signing.passwordFile is empty"},
		"wrong password":    {cosignKey, wrong, cosignPub, "a/b", "reading the private key"},
		"a public key":      {pub, "", pub, "a/b", "reading the private key"},
		"not there":         {filepath.Join(dir, "x"), "", pub, "a/b", "reading the private key"},
		"password not text": {cosignKey, dir, cosignPub, "a/b", "reading the private key"},
	} {
		t.Run(name, func(t *testing.T) {
			err := func() error {
				s, err := LoadSigner(c.key, c.password)
				if err != nil {
					return err
				}
				envelope, err := s.Envelope([]byte("content"), "a/b")
				if err != nil {
					t.Fatal(err)
				}
				keys, err := LoadKeys([]string{c.public})
				if err != nil {
					t.Fatal(err)
				}
				content, by, err := keys.Open(envelope, c.kind)
				if err == nil && (string(content) != "content" || by != c.public) {
					t.Errorf("opened %q by %q", content, by)
				}
				if _, _, err := keys.Open([]byte("{}"), c.kind); !errors.Is(err, gate.ErrInvalid) {
					t.Errorf("an empty envelope: %v", err)
				}
				return err
			}()
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
