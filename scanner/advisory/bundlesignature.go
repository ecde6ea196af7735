package advisory

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
func (e Exported) putHead(archive *tar.Writer, db *Database, manifest []byte) error {
	head := bundleHead{Format: bundleFormat, Content: db.Content, UpdatedAt: db.UpdatedAt, MadeAt: e.Now.UTC().Truncate(time.Second), Bytes: db.Summary.Bytes}
	if e.Sign != nil {
		head.Format, head.Files = signedFormat, map[string]gate.Digest{manifestFile: digestOf(manifest)}
		for _, f := range e.files() {
			if f.name != metadataFile && f.name != javaMetadataName {
				continue
			}
			metadata, err := gate.ReadSmallFile(f.path)
			if err != nil {
				return err
			}
			head.Files[f.name] = digestOf(metadata)
		}
	}
	if head.Java = db.Manifest.Java; head.Java != nil {
		head.Format, head.Signed = javaFormat, e.Sign != nil
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err == nil {
		err = putFile(archive, bundleFile, text)
	}
	if err != nil || e.Sign == nil {
		return err
	}
	envelope, err := e.Sign(text)
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
	if !h.signed() {
		if open != nil {
			return fmt.Errorf("it is not signed, and advisories.keys wants that; export it where advisories.signing.keyFile is set: %w", gate.ErrInvalid)
		}
		return nil
	}
	names := []string{manifestFile, metadataFile}
	if h.Java != nil {
		names = append(names, javaMetadataName)
	}
	for _, name := range names {
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

// sameFiles compares the small files that were unpacked with what was signed.
func (h bundleHead) sameFiles(paths map[string]string) error {
	for name, want := range h.Files {
		path, ok := paths[name]
		if !ok && name == javaMetadataName {
			continue // it was not wanted
		}
		if !ok {
			return fmt.Errorf("%s is not a file of a bundle: %w", gate.Quoted(name, 100), gate.ErrInvalid)
		}
		content, err := gate.ReadSmallFile(path)
		if err != nil {
			return resourceError("reading "+name, err)
		}
		if digestOf(content) != want {
			return fmt.Errorf("%s is not the one that was signed: %w", gate.Quoted(name, 100), gate.ErrInvalid)
		}
	}
	return nil
}
