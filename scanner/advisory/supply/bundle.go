package supply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
)

// bundle verifies and unpacks a file of "advisories export".
func (s *Supply) bundle(ctx context.Context, r advisory.MirrorRequest, d *advisory.Download) error {
	f, err := os.Open(s.config.Path)
	if err != nil {
		return fmt.Errorf("opening the bundle of source %q: %w: %w", s.config.Name, gate.ErrNotFound, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("reading the bundle of source %q: %w: %w", s.config.Name, gate.ErrInvalid, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if want := strings.ToLower(s.config.SHA256); want != "" && want != sum {
		return fmt.Errorf("the bundle %q has the checksum %s, want %s: %w", s.config.Path, sum, want, gate.ErrIntegrity)
	}
	open, under, err := s.opening()
	if err != nil {
		return err
	}
	if d.Manifest = markOf(sum, under); d.Manifest == r.Settled {
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the bundle of source %q: %w: %w", s.config.Name, gate.ErrInvalid, err)
	}
	h.Reset()
	if _, err = advisory.ImportSigned(ctx, io.TeeReader(f, h), d.Dir, s.now(), open); err != nil {
		return err
	}
	if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != sum {
		return fmt.Errorf("the bundle %q changed while it was read: %w", s.config.Path, gate.ErrConflict)
	}
	return nil
}

// opening is how a bundle is verified, nil without keys; under names the keys that are
// wanted now.
func (s *Supply) opening() (open func(envelope []byte) ([]byte, error), under string, err error) {
	if len(s.keys) == 0 {
		return nil, "", nil
	}
	h := sha256.New()
	for i, file := range s.keys {
		text, err := gate.ReadSmallFile(file)
		if err != nil {
			return nil, "", fmt.Errorf("keys[%d]: reading the public key %q: %w: %w", i, file, err, gate.ErrInvalid)
		}
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	keys, err := download.LoadKeys(s.keys)
	if err != nil {
		return nil, "", err
	}
	return func(envelope []byte) ([]byte, error) {
		content, _, err := keys.Open(envelope, advisory.BundleType)
		return content, err
	}, hex.EncodeToString(h.Sum(nil)), nil
}

// markOf names a bundle as it was verified: one that was taken unsigned, or under other
// keys, is verified again when the keys change.
func markOf(sum, under string) gate.Digest {
	if under == "" {
		return gate.Digest("sha256:" + sum)
	}
	h := sha256.Sum256([]byte("bundle " + sum + " keys " + under))
	return gate.Digest("sha256:" + hex.EncodeToString(h[:]))
}
