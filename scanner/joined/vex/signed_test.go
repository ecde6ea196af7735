package vex

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/gate"
)

type signer struct{ signature.SignerVerifier }

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signature.LoadSignerVerifier(key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signer{s}
}

func (s signer) sign(t *testing.T, text string) string {
	t.Helper()
	sig, err := s.SignMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// envelope is what cosign attest makes.
func (s signer) envelope(t *testing.T, predicate string, subjects ...gate.Digest) string {
	t.Helper()
	var list []string
	for _, d := range subjects {
		list = append(list, `{"name": "app", "digest": {"sha256": "`+d.Hex()+`"}}`)
	}
	payload := `{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [` + strings.Join(list, ",") + `], "predicate": ` + predicate + `}`
	const kind = "application/vnd.in-toto+json"
	sig := s.sign(t, fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload))
	return `{"payloadType": "` + kind + `", "payload": "` + base64.StdEncoding.EncodeToString([]byte(payload)) + `", "signatures": [{"keyid": "", "sig": "` + sig + `"}]}`
}

// TestWhoseDocument: one that its source has not signed, or that is not the one that the
// operator chose, does not count.
func TestWhoseDocument(t *testing.T) {
	doc := openvexDoc(openvexStatement("CVE-2026-0001", notAffected, product("pkg:oci/app@"+string(image), libssl)) + "," +
		openvexStatement("CVE-2026-0002", notAffected, product("pkg:oci/app@"+string(another), libssl)) + "," +
		openvexStatement("CVE-2026-0003", notAffected, product(libssl)))
	ours, theirs := newSigner(t), newSigner(t)
	sum := sha256.Sum256([]byte(doc))
	checksum := gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
	for _, c := range []struct {
		name        string
		trust       Trust
		text, sig   string
		statements  int
		refusedSome bool
		want        string
	}{
		{"checksum", Trust{Checksum: checksum}, doc, "", 3, false, ""},
		{"another_checksum", Trust{Checksum: checksum}, doc + " ", "", 0, false, "checksum"},
		{"signed_beside", Trust{Key: ours}, doc, ours.sign(t, doc) + "\n", 3, false, ""},
		{"signed_by_another", Trust{Key: ours}, doc, theirs.sign(t, doc), 0, false, "not by the configured key"},
		{"signature_of_another", Trust{Key: ours}, doc, ours.sign(t, doc+" "), 0, false, "not by the configured key"},
		{"not_signed", Trust{Key: ours}, doc, "", 0, false, "not signed"},
		{"no_signature", Trust{Key: ours}, doc, "???", 0, false, "not base64"},
		{"envelope", Trust{Key: ours}, ours.envelope(t, doc, image), "", 2, true, ""},
		{"envelope_by_another", Trust{Key: ours}, theirs.envelope(t, doc, image), "", 0, false, "none of the 1 signatures"},
		{"envelope_without_image", Trust{Key: ours}, ours.envelope(t, doc), "", 0, false, "names no image"},
		{"envelope_changed", Trust{Key: ours}, strings.Replace(ours.envelope(t, doc, image), `"payload": "`, `"payload": "AAAA`, 1), "", 0, false, "none of the 1 signatures"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.trust.Open([]byte(c.text), []byte(c.sig), now)
			if c.want != "" {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an invalid one with %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Statements) != c.statements || (got.Refused[otherSubject] > 0) != c.refusedSome {
				t.Errorf("got %d statements, refused %v", len(got.Statements), got.Refused)
			}
		})
	}
	// A statement about a package, in an envelope about an image, is about that image.
	got, err := Trust{Key: ours}.Open([]byte(ours.envelope(t, doc, another)), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.Statements {
		if s.Digest != another {
			t.Errorf("%v is about %q", s.IDs, s.Digest)
		}
	}
	if !bytes.Contains([]byte(fmt.Sprint(got.Statements)), []byte("CVE-2026-0003")) {
		t.Error("the statement about a package is lost")
	}
}
