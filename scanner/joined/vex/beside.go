package vex

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/digestgate/digestgate/gate"
)

// ErrOtherKey is a document that is signed by another key than is asked about, or not at
// all.
var ErrOtherKey = errors.New("it is not signed by that key")

// ErrUnread is a document that the key has signed, and that cannot be read: what it states,
// and takes back, is not known.
var ErrUnread = errors.New("it is signed by that key, and cannot be read")

// maxBeside bounds what is kept of a document about one image.
const maxBeside = 256 << 10

// Fingerprint identifies a key, wherever its file is.
func Fingerprint(key signature.Verifier) (string, error) {
	public, err := key.PublicKey()
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("reading the key: %w: %w", err, gate.ErrInvalid)
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Attested reads an envelope about an image that a key has signed, and keeps what it says
// of this image. Errors: ErrOtherKey, ErrUnread, gate.ErrInvalid.
func Attested(envelope []byte, key signature.Verifier, image gate.Digest, now time.Time) (*Document, error) {
	if key == nil { // it would verify nothing
		return nil, invalid("the key is missing: %w", ErrOtherKey)
	}
	if len(envelope) > MaxDocument || !isEnvelope(envelope) {
		return nil, invalid("it is not an envelope (DSSE)")
	}
	doc, err := openEnvelope(envelope, key, now)
	if err != nil {
		return nil, err
	}
	doc.Statements = slices.DeleteFunc(doc.Statements, func(s Statement) bool {
		if s.Digest != image {
			doc.Refused[otherSubject]++
		}
		return s.Digest != image
	})
	return doc, nil
}

// Keep is a document as it is kept with an image. gate.ErrInvalid: it is too large.
func Keep(doc *Document) (string, error) {
	text, err := json.Marshal(doc)
	if err == nil && len(text) > maxBeside {
		err = invalid("it has %d bytes of statements about the image, more than %d", len(text), maxBeside)
	}
	return string(text), err
}

// Kept reads what Keep has made. gate.ErrInvalid: it is damaged.
func Kept(text string) (*Document, error) {
	doc := new(Document)
	if err := json.Unmarshal([]byte(text), doc); err != nil {
		return nil, invalid("a document that is kept with an image is damaged: %w", err)
	}
	return doc, nil
}

// TakesBack is what a document says that does not hide; nil for nothing. It stays known
// when the document is away: a registry that lists an old document and not the one that
// takes it back must not hide anything.
func (d *Document) TakesBack() *Document {
	out := *d
	out.Statements = slices.DeleteFunc(slices.Clone(d.Statements), func(s Statement) bool { return s.hides() })
	if len(out.Statements) == 0 {
		return nil
	}
	return &out
}

// Beside is what documents beside an image state, read for [Index.Hides].
type Beside struct{ byID map[string][]besideWord }

// besideWord is a statement of a document beside an image.
type besideWord struct {
	source, trusted string
	document        *Document
	statement       *Statement
	component       purl
	application     purl // of a component inside
}

// ReadBeside reads what was found beside an image; nil for nothing. A document that is
// damaged says nothing.
func ReadBeside(b *gate.BesideVEX) *Beside {
	if b == nil || len(b.Documents) == 0 {
		return nil
	}
	out := &Beside{byID: map[string][]besideWord{}}
	for i := range b.Documents {
		d := &b.Documents[i]
		doc, err := Kept(d.Statements)
		if err != nil {
			continue
		}
		for j := range doc.Statements {
			s := &doc.Statements[j]
			w := besideWord{source: d.Source, trusted: d.Trusted, document: doc, statement: s}
			w.component, _ = parsePURL(s.Component)
			if in := s.Inside; in != nil {
				w.component, _ = parsePURL(in.Component)
				w.application, _ = parsePURL(in.Application)
			}
			for _, id := range s.IDs {
				out.byID[id] = append(out.byID[id], w)
			}
		}
	}
	return out
}
