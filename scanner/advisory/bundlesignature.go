package advisory

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// signatureFile is a DSSE envelope whose content is bundleFile.
	signatureFile = "bundle.sig"
	// BundleType is the type of that content.
	BundleType = "application/vnd.digestgate.advisories.bundle.v1+json"
	// maxEnvelopeBytes bounds it: some signatures, and bundleFile in base64.
	maxEnvelopeBytes = 256 << 10
)

// putHead writes what the bundle holds, and the signature of that.
func putHead(archive *tar.Writer, db *Database, dir string, manifest []byte, now time.Time, sign func([]byte) ([]byte, error)) error {
	head := bundleHead{Format: bundleFormat, Content: db.Content, UpdatedAt: db.UpdatedAt, MadeAt: now.UTC().Truncate(time.Second), Bytes: db.Summary.Bytes}
	if sign != nil {
		metadata, err := gate.ReadSmallFile(filepath.Join(dir, metadataFile))
		if err != nil {
			return err
		}
		head.Format = signedFormat
		head.Files = map[string]gate.Digest{manifestFile: digestOf(manifest), metadataFile: digestOf(metadata)}
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err == nil {
		err = putFile(archive, bundleFile, text)
	}
	if err != nil || sign == nil {
		return err
	}
	envelope, err := sign(text)
	if err != nil {
		return fmt.Errorf("signing the bundle: %w: %w", err, gate.ErrInvalid)
	}
	return putFile(archive, signatureFile, envelope)
}

func digestOf(b []byte) gate.Digest {
	sum := sha256.Sum256(b)
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// verify reads the signature of a bundle whose head is text, and has open verify it.
func (h bundleHead) verify(archive *tar.Reader, text []byte, open func([]byte) ([]byte, error)) error {
	if h.Format != signedFormat {
		if open != nil {
			return fmt.Errorf("it is not signed, and advisories.keys wants that; export it where advisories.signing.keyFile is set: %w", gate.ErrInvalid)
		}
		return nil
	}
	for _, name := range []string{manifestFile, metadataFile} {
		if !h.Files[name].Valid() {
			return fmt.Errorf("%s does not name the digest of %s: %w", bundleFile, name, gate.ErrInvalid)
		}
	}
	envelope, err := takeFile(archive, signatureFile, maxEnvelopeBytes)
	if err != nil || open == nil {
		return err
	}
	signed, err := open(envelope)
	if err != nil {
		return err
	}
	if !bytes.Equal(signed, text) {
		return fmt.Errorf("what was signed is not its %s: %w", bundleFile, gate.ErrInvalid)
	}
	return nil
}
