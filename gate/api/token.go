package api

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// Token is the admin token, the one token of the API in this version.
type Token struct {
	Path    string // its file
	Value   string
	Created bool // this process made it

	hash [sha256.Size]byte
}

// minToken is the shortest token accepted from a file: 16 characters are out of
// reach of guessing at the rates a server answers.
const minToken = 16

// NewToken is a token that cannot be guessed; the beginning lets a search for leaked
// secrets recognise it.
func NewToken() string { return "dg_" + rand.Text() }

// SharedToken is the admin token as processes on a shared store have it in common.
func SharedToken(path string) agree.Secret {
	return agree.Secret{
		Setting: agree.SettingAdminToken, Path: path, Instead: "set auth.adminTokenFile",
		Make: func() ([]byte, error) { return []byte(NewToken()), nil },
	}
}

// LoadToken reads the token file. With mayMake it makes one that is missing.
// Errors: ErrInvalid for one that is too short, those of the file.
func LoadToken(path string, mayMake bool) (Token, error) {
	raw, err := gate.ReadSmallFile(path)
	created := false
	if errors.Is(err, os.ErrNotExist) && mayMake {
		raw, created = []byte(NewToken()), true
		err = agree.WriteSecret(path, raw)
		if errors.Is(err, os.ErrExist) { // another process was faster; its token counts
			created = false
			raw, err = gate.ReadSmallFile(path)
		}
	}
	if err != nil {
		return Token{}, fmt.Errorf("reading the admin token: %w", err)
	}
	value, err := checkToken(path, raw)
	if err != nil {
		return Token{}, err
	}
	return Token{Path: path, Value: value, Created: created, hash: sha256.Sum256([]byte(value))}, nil
}

// CheckToken reads a token that is configured, for its errors alone; see
// [LoadToken].
func CheckToken(path string) error {
	raw, err := gate.ReadSmallFile(path)
	if err == nil {
		_, err = checkToken(path, raw)
	}
	return err
}

func checkToken(path string, raw []byte) (string, error) {
	value := string(bytes.TrimSpace(raw))
	if len(value) < minToken {
		return "", fmt.Errorf("the admin token in %q has %d characters, fewer than %d; make one with: openssl rand -hex 16: %w", path, len(value), minToken, gate.ErrInvalid)
	}
	return value, nil
}

// Matches compares in constant time; hashing first hides the length.
func (t Token) Matches(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], t.hash[:]) == 1
}
