package agree

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/digestgate/digestgate/gate"
)

// Secret is a secret that all processes on a shared store have in common. The store
// keeps it sealed with the store's MAC key: reading the store must not be enough to
// get it.
type Secret struct {
	Setting string
	Path    string                 // where this process keeps it
	Make    func() ([]byte, error) // when neither the store nor Path has one
	Instead string                 // what to configure to do without
}

// Secrets are the settings that hold secrets: what a copy of a store leaves out where
// the keys of the target do not open it.
func Secrets() []string { return []string{SettingAdminToken, SettingAuthority} }

// Share brings the secret of the data directory and that of the store together
// before it is used: the first process of an installation puts its own into the
// store, all others write that one into their own file. It reports whether the
// file held another one before. keys are those of the store, the one that seals
// first; during a rotation there are two.
//
// Errors: ErrInvalid when none of the keys opens what is stored, ErrConflict when
// other processes were faster every time, those of the store and of the file.
func (s Secret) Share(ctx context.Context, settings Settings, keys [][]byte) (replaced bool, err error) {
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
		return false, err
	}
	for range settingTries {
		stored, version, err := settings.Setting(ctx, s.Setting)
		if errors.Is(err, gate.ErrNotFound) {
			if err := s.offer(ctx, settings, keys); !errors.Is(err, gate.ErrConflict) {
				return false, err
			}
			continue // another process was faster
		}
		if err != nil {
			return false, err
		}
		for i, key := range keys {
			secret, err := unseal(s.Setting, key, stored)
			if err != nil {
				continue
			}
			if i > 0 { // keys are being rotated; another process may have sealed it again
				if err := s.put(ctx, settings, keys[0], secret, version); err != nil && !errors.Is(err, gate.ErrConflict) {
					return false, err
				}
			}
			return replaceSecret(s.Path, secret)
		}
		return false, fmt.Errorf("setting %q in the store was sealed with another key: give every process the same store.macKeyFile, or %s: %w", s.Setting, s.Instead, gate.ErrInvalid)
	}
	return false, fmt.Errorf("sharing %q: %d races lost: %w", s.Setting, settingTries, gate.ErrConflict)
}

// Opens reports whether one of the keys opens what is stored in a setting of
// [Secrets].
func Opens(setting string, keys [][]byte, stored []byte) bool {
	for _, key := range keys {
		if _, err := unseal(setting, key, stored); err == nil {
			return true
		}
	}
	return false
}

// offer puts the secret of the data directory, or a new one, into the store.
func (s Secret) offer(ctx context.Context, settings Settings, keys [][]byte) error {
	secret, err := os.ReadFile(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		secret, err = s.Make()
	}
	if err != nil {
		return err
	}
	secret = bytes.TrimSpace(secret)
	if err := s.put(ctx, settings, keys[0], secret, 0); err != nil {
		return err
	}
	_, err = replaceSecret(s.Path, secret)
	return err
}

func (s Secret) put(ctx context.Context, settings Settings, key, secret []byte, version int64) error {
	sealed, err := seal(s.Setting, key, secret)
	if err != nil {
		return err
	}
	_, err = settings.PutSetting(ctx, s.Setting, sealed, version)
	return err
}

// sealing is AES-256-GCM under a key of its own for each secret, derived from
// the MAC key.
func sealing(setting string, key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, setting, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(setting string, key, plain []byte) ([]byte, error) {
	c, err := sealing(setting, key)
	if err != nil {
		return nil, err
	}
	return c.Seal(nil, nil, plain, []byte(setting)), nil
}

func unseal(setting string, key, sealed []byte) ([]byte, error) {
	c, err := sealing(setting, key)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, nil, sealed, []byte(setting))
}

// replaceSecret writes a file that only its owner reads, unless it has that
// content, and reports whether it had another.
func replaceSecret(path string, content []byte) (replaced bool, err error) {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(bytes.TrimSpace(old), content) {
		return false, nil
	}
	tmp, err := newSecret(filepath.Dir(path), content)
	if err != nil {
		return false, err
	}
	if err = os.Rename(tmp, path); err != nil {
		err = errors.Join(err, os.Remove(tmp))
	}
	return len(old) > 0, err
}

// WriteSecret makes a file that only its owner reads, complete or not at all,
// and does not replace one that another process made meanwhile: then the error is
// fs.ErrExist.
func WriteSecret(path string, content []byte) error {
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

// Seal encrypts a secret that is kept within a setting, for those that hold the key.
func Seal(setting string, key, plain []byte) ([]byte, error) { return seal(setting, key, plain) }

// Unseal opens what [Seal] made, with the first of the keys that fits. ErrInvalid when none
// does.
func Unseal(setting string, keys [][]byte, sealed []byte) ([]byte, error) {
	for _, key := range keys {
		if plain, err := unseal(setting, key, sealed); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("a secret in setting %q was sealed with another key: %w", setting, gate.ErrInvalid)
}
