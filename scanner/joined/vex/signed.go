package vex

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/gate"
)

// maxSignatures bounds the computations that an envelope can ask for.
const maxSignatures = 20

// Trust is by what a document is known to be the source's.
type Trust struct {
	Key      signature.Verifier // nil: the checksum says it
	Checksum gate.Digest        // of the whole file
}

// Open checks that a file is the source's, and reads it. With a key the file is an
// envelope (DSSE, as "cosign attest" makes it) or has a signature of its own beside it, in
// base64 (as "cosign sign-blob" makes it); detached is that, empty when there is none.
// gate.ErrInvalid: it is not signed or not by the key, has another checksum, or is not a
// document.
func (t Trust) Open(text, detached []byte, now time.Time) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, invalid("it has more than %d bytes", MaxDocument)
	}
	if t.Key == nil {
		sum := sha256.Sum256(text)
		if got := gate.Digest("sha256:" + hex.EncodeToString(sum[:])); got != t.Checksum {
			return nil, invalid("its checksum is %s and not %s, as configured; if the new document is right, write its checksum into the configuration", got, t.Checksum)
		}
		if isEnvelope(text) {
			return openEnvelope(text, nil, now)
		}
		return Parse(text, now)
	}
	if isEnvelope(text) {
		return openEnvelope(text, t.Key, now)
	}
	if len(bytes.TrimSpace(detached)) == 0 {
		return nil, invalid("it is not signed: it is not an envelope (DSSE), and there is no signature beside it; sign it with cosign sign-blob --key, and put the signature beside it with .sig behind its name")
	}
	sig, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(detached)))
	if err != nil {
		return nil, invalid("the signature beside it is not base64: %w", err)
	}
	if err := t.Key.VerifySignature(bytes.NewReader(sig), bytes.NewReader(text)); err != nil {
		return nil, invalid("the signature beside it is not by the configured key")
	}
	return Parse(text, now)
}

// Read reads a document, or what an envelope holds, without looking at signatures: to
// explain it.
// gate.ErrInvalid as for [Parse].
func Read(text []byte, now time.Time) (*Document, error) {
	if len(text) <= MaxDocument && isEnvelope(text) {
		return openEnvelope(text, nil, now)
	}
	return Parse(text, now)
}

// envelope is DSSE, https://github.com/secure-systems-lab/dsse.
type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     string `json:"payload"`
	Signatures  []struct {
		Sig string `json:"sig"`
	} `json:"signatures"`
}

func isEnvelope(text []byte) bool {
	var e envelope
	return json.Unmarshal(text, &e) == nil && e.PayloadType != "" && e.Payload != ""
}

// openEnvelope reads an attestation about images; a nil key has been replaced by a checksum.
func openEnvelope(text []byte, key signature.Verifier, now time.Time) (*Document, error) {
	var e envelope
	if err := unambiguous(text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, invalid("it is not an envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return nil, invalid("the payload of the envelope is not base64: %w", err)
	}
	if key != nil && !e.by(key, payload) {
		return nil, fmt.Errorf("none of the %d signatures of the envelope is by the configured key: %w: %w", len(e.Signatures), ErrOtherKey, gate.ErrInvalid)
	}
	doc, err := openStatement(payload, now)
	if err != nil && key != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnread)
	}
	return doc, err
}

// openStatement reads an in-toto statement about images.
func openStatement(payload []byte, now time.Time) (*Document, error) {
	if err := unambiguous(payload); err != nil {
		return nil, err
	}
	var statement struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &statement); err != nil || !strings.HasPrefix(statement.Type, "https://in-toto.io/Statement/") {
		return nil, invalid("the envelope does not hold an in-toto statement")
	}
	doc, err := Parse(statement.Predicate, now)
	if err != nil {
		return nil, err
	}
	var subjects []gate.Digest
	for _, s := range statement.Subject {
		if d := gate.Digest("sha256:" + strings.ToLower(s.Digest["sha256"])); d.Valid() {
			subjects = append(subjects, d)
		}
	}
	if len(subjects) == 0 {
		return nil, invalid("the envelope names no image by a sha256 digest")
	}
	return doc.only(subjects)
}

// by reports whether a key has signed the payload.
func (e envelope) by(key signature.Verifier, payload []byte) bool {
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(payload), payload)
	for _, s := range e.Signatures[:min(len(e.Signatures), maxSignatures)] {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err == nil && key.VerifySignature(bytes.NewReader(sig), bytes.NewReader(signed)) == nil {
			return true
		}
	}
	return false
}

// only keeps what is about the images that were signed for: a statement about a package
// holds in these images.
func (d *Document) only(subjects []gate.Digest) (*Document, error) {
	var kept []Statement
	for _, s := range d.Statements {
		switch {
		case s.Digest == "":
			for _, subject := range subjects {
				if len(kept) >= maxStatements {
					return nil, invalid("it has more than %d statements", maxStatements)
				}
				one := s
				one.Digest = subject
				kept = append(kept, one)
			}
		case slices.Contains(subjects, s.Digest):
			kept = append(kept, s)
		default:
			d.Refused[otherSubject]++
		}
	}
	d.Statements = kept
	return d, nil
}
