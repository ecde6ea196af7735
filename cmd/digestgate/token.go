package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

// adminToken is the one token of the API in this version.
type adminToken struct {
	hash [sha256.Size]byte
	// path is its file; created says that this process made it.
	path    string
	value   string
	created bool
}

// minToken is the shortest token accepted from a file: 16 characters are out of
// reach of guessing at the rates a server answers.
const minToken = 16

// tokenPath is the file of the admin token.
func (c Config) tokenPath() string {
	if c.Auth.AdminTokenFile != "" {
		return c.Auth.AdminTokenFile
	}
	return filepath.Join(c.DataDir, "admin-token")
}

// loadToken reads the configured token file, or the one in the data directory,
// which it makes on the first start.
func loadToken(c Config) (adminToken, error) {
	path := c.tokenPath()
	raw, err := gate.ReadSmallFile(path)
	created := false
	if errors.Is(err, os.ErrNotExist) && c.Auth.AdminTokenFile == "" {
		raw, created = []byte(newToken()), true
		err = writeSecret(path, raw)
		if errors.Is(err, os.ErrExist) { // another process was faster; its token counts
			created = false
			raw, err = gate.ReadSmallFile(path)
		}
	}
	if err != nil {
		return adminToken{}, fmt.Errorf("reading the admin token: %w", err)
	}
	value, err := checkToken(path, raw)
	if err != nil {
		return adminToken{}, err
	}
	return adminToken{hash: sha256.Sum256([]byte(value)), path: path, value: value, created: created}, nil
}

// readToken reads a token that is configured.
func readToken(path string) (string, error) {
	raw, err := gate.ReadSmallFile(path)
	if err != nil {
		return "", err
	}
	return checkToken(path, raw)
}

func checkToken(path string, raw []byte) (string, error) {
	value := string(bytes.TrimSpace(raw))
	if len(value) < minToken {
		return "", fmt.Errorf("the admin token in %q has %d characters, fewer than %d; make one with: openssl rand -hex 16: %w", path, len(value), minToken, gate.ErrInvalid)
	}
	return value, nil
}

// writeSecret makes a file that only its owner reads, complete or not at all,
// and does not replace one that another process made meanwhile.
func writeSecret(path string, content []byte) error {
	tmp, err := newSecret(filepath.Dir(path), content)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	return os.Link(tmp, path)
}

// newSecret makes a file beside the one that it is to become.
func newSecret(dir string, content []byte) (path string, err error) {
	tmp, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = tmp.Write(append(bytes.Clone(content), '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(tmp.Name()))
	}
	return tmp.Name(), nil
}

// matches compares in constant time; hashing first hides the length.
func (t adminToken) matches(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], t.hash[:]) == 1
}
