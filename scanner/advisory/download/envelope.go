package download

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"github.com/digestgate/digestgate/gate"
)

// Keys are the public keys of advisories.keys. They are safe for concurrent use.
type Keys struct{ keys []key }

// LoadKeys reads the files of advisories.keys; gate.ErrInvalid.
func LoadKeys(files []string) (Keys, error) {
	keys, err := loadKeys(files)
	return Keys{keys}, err
}

// Open verifies a DSSE envelope with content of a type, and says which file has the key
// that made it. gate.ErrInvalid: none of the keys did, or it is of another type.
func (k Keys) Open(envelope []byte, payloadType string) (content []byte, by string, err error) {
	if content, by, err = openEnvelope(k.keys, envelope, payloadType); err != nil {
		err = fmt.Errorf("its signature: %w: %w", err, gate.ErrInvalid)
	}
	return content, by, err
}

// openEnvelope verifies a DSSE envelope.
func openEnvelope(keys []key, envelope []byte, payloadType string) (content []byte, by string, err error) {
	for _, k := range keys {
		var content []byte
		verifier := dsse.WrapVerifier(k.verifier, dsse.WithExpectedPayloadType(payloadType), dsse.WithDecodedPayload(&content))
		if verifier.VerifySignature(bytes.NewReader(envelope), nil) == nil {
			return content, k.file, nil
		}
	}
	return nil, "", errors.New("none of advisories.keys has made it")
}

// Signer signs with a private key. It is safe for concurrent use.
type Signer struct{ signer signature.Signer }

// LoadSigner reads a private key in PEM, as "cosign generate-key-pair" or openssl writes
// it. passwordFile has the password of an encrypted one; "" is none. gate.ErrInvalid.
func LoadSigner(keyFile, passwordFile string) (Signer, error) {
	raw, err := readSmall(keyFile, maxKeyBytes)
	if err != nil {
		return Signer{}, fmt.Errorf("reading the private key: %w: %w", err, gate.ErrInvalid)
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(raw, func(bool) ([]byte, error) {
		if passwordFile == "" {
			return nil, errors.New("it is encrypted, and advisories.signing.passwordFile is empty")
		}
		password, err := readSmall(passwordFile, maxKeyBytes)
		return []byte(strings.TrimRight(string(password), "\r\n")), err
	})
	if err == nil && private == nil {
		err = errors.New("it holds no private key")
	}
	if err != nil {
		return Signer{}, fmt.Errorf("reading the private key %s: %w: %w", gate.Quoted(keyFile, 200), err, gate.ErrInvalid)
	}
	signer, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return Signer{}, fmt.Errorf("reading the private key %s: %w: %w", gate.Quoted(keyFile, 200), err, gate.ErrInvalid)
	}
	return Signer{signer}, nil
}

// Envelope signs content of a type as a DSSE envelope.
func (s Signer) Envelope(content []byte, payloadType string) ([]byte, error) {
	return dsse.WrapSigner(s.signer, payloadType).SignMessage(bytes.NewReader(content))
}
