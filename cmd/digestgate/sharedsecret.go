package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/store"
)

// sharedSecret is a secret that all processes on a shared store have in common.
// It lies in the store sealed with the store's MAC key: whoever can read the
// store must not get it.
type sharedSecret struct {
	setting string
	path    string                 // where this process keeps it
	make    func() ([]byte, error) // when neither the store nor path has one
	instead string                 // what to configure to do without
}

// sharedToken is the admin token.
func sharedToken(path string) sharedSecret {
	return sharedSecret{
		setting: agree.SettingAdminToken, path: path, instead: "set auth.adminTokenFile",
		make: func() ([]byte, error) { return []byte(newToken()), nil },
	}
}

// sharedAuthority is the authority of the self-managed certificates, so that
// one caBundle fits every replica of admission.
func sharedAuthority(dataDir string) sharedSecret {
	return sharedSecret{
		setting: agree.SettingAuthority, path: certificate.AuthorityFile(dataDir), instead: "set admission.tls",
		make: func() ([]byte, error) { return certificate.NewAuthority(time.Now) },
	}
}

// sharingTries bounds the races with other processes that start at the same
// time.
const sharingTries = 16

// share brings the secret of the data directory and that of the store together
// before it is used: the first process of an installation puts its own into the
// store, all others write that one into their own file. It reports whether the
// file held another one before.
func (s sharedSecret) share(ctx context.Context, settings store.Settings, keys [][]byte) (replaced bool, err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return false, err
	}
	for range sharingTries {
		stored, version, err := settings.Setting(ctx, s.setting)
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
			secret, err := s.unseal(key, stored)
			if err != nil {
				continue
			}
			if i > 0 { // keys are being rotated; it may be done by somebody else
				if err := s.put(ctx, settings, keys[0], secret, version); err != nil && !errors.Is(err, gate.ErrConflict) {
					return false, err
				}
			}
			return replaceSecret(s.path, secret)
		}
		return false, fmt.Errorf("setting %q in the store was sealed with another key: give every process the same store.macKeyFile, or %s: %w", s.setting, s.instead, gate.ErrInvalid)
	}
	return false, fmt.Errorf("sharing %q: %d races lost: %w", s.setting, sharingTries, gate.ErrConflict)
}

// offer puts the secret of the data directory, or a new one, into the store.
func (s sharedSecret) offer(ctx context.Context, settings store.Settings, keys [][]byte) error {
	secret, err := os.ReadFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		secret, err = s.make()
	}
	if err != nil {
		return err
	}
	secret = bytes.TrimSpace(secret)
	if err := s.put(ctx, settings, keys[0], secret, 0); err != nil {
		return err
	}
	_, err = replaceSecret(s.path, secret)
	return err
}

func (s sharedSecret) put(ctx context.Context, settings store.Settings, key, secret []byte, version int64) error {
	sealed, err := s.seal(key, secret)
	if err != nil {
		return err
	}
	_, err = settings.PutSetting(ctx, s.setting, sealed, version)
	return err
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
	return len(old) > 0, errors.Join(os.Rename(tmp, path), ignoreMissing(os.Remove(tmp)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// cipher is AES-256-GCM under a key of its own for each secret, derived from
// the MAC key.
func (s sharedSecret) cipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, s.setting, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s sharedSecret) seal(key, plain []byte) ([]byte, error) {
	c, err := s.cipher(key)
	if err != nil {
		return nil, err
	}
	return c.Seal(nil, nil, plain, []byte(s.setting)), nil
}

func (s sharedSecret) unseal(key, sealed []byte) ([]byte, error) {
	c, err := s.cipher(key)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, nil, sealed, []byte(s.setting))
}

// newToken is a token that nobody guesses; the beginning lets a search for leaked
// secrets recognise it.
func newToken() string { return "dg_" + rand.Text() }
