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

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// tokenSetting holds the admin token of all processes on a shared store, sealed
// with the store's MAC key: whoever can read the store must not get the API with
// it.
const tokenSetting = "auth/admin-token"

// tokenTries bounds the races with other processes that start at the same time.
const tokenTries = 16

// shareToken brings the token of the data directory and that of the store
// together before it is loaded: the first process of an installation puts its
// token into the store, all others write that one into their own file.
func shareToken(ctx context.Context, settings store.Settings, keys [][]byte, path string) error {
	for range tokenTries {
		stored, version, err := settings.Setting(ctx, tokenSetting)
		if errors.Is(err, gate.ErrNotFound) {
			if err := offerToken(ctx, settings, keys, path); !errors.Is(err, gate.ErrConflict) {
				return err
			}
			continue // another process was faster
		}
		if err != nil {
			return err
		}
		for i, key := range keys {
			token, err := unseal(key, stored)
			if err != nil {
				continue
			}
			if i > 0 { // keys are being rotated; it may be done by somebody else
				if err := putToken(ctx, settings, keys[0], token, version); err != nil && !errors.Is(err, gate.ErrConflict) {
					return err
				}
			}
			return replaceSecret(path, token)
		}
		return fmt.Errorf("the admin token in the store was sealed with another key: give every process the same store.macKeyFile, or set auth.adminTokenFile: %w", gate.ErrInvalid)
	}
	return fmt.Errorf("sharing the admin token: %d races lost: %w", tokenTries, gate.ErrConflict)
}

// offerToken puts the token of the data directory, or a new one, into the store.
func offerToken(ctx context.Context, settings store.Settings, keys [][]byte, path string) error {
	token, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		token, err = []byte(newToken()), nil
	}
	if err != nil {
		return err
	}
	token = bytes.TrimSpace(token)
	if err := putToken(ctx, settings, keys[0], token, 0); err != nil {
		return err
	}
	return replaceSecret(path, token)
}

func putToken(ctx context.Context, settings store.Settings, key, token []byte, version int64) error {
	sealed, err := seal(key, token)
	if err != nil {
		return err
	}
	_, err = settings.PutSetting(ctx, tokenSetting, sealed, version)
	return err
}

// replaceSecret writes a file that only its owner reads, unless it has that
// content.
func replaceSecret(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(bytes.TrimSpace(old), content) {
		return nil
	}
	tmp, err := newSecret(filepath.Dir(path), content)
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, path), ignoreMissing(os.Remove(tmp)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// tokenCipher is AES-256-GCM under a key of its own, derived from the MAC key.
func tokenCipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, tokenSetting, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(key, plain []byte) ([]byte, error) {
	c, err := tokenCipher(key)
	if err != nil {
		return nil, err
	}
	return c.Seal(nil, nil, plain, []byte(tokenSetting)), nil
}

func unseal(key, sealed []byte) ([]byte, error) {
	c, err := tokenCipher(key)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, nil, sealed, []byte(tokenSetting))
}

// newToken is a token that nobody guesses; the beginning lets a search for leaked
// secrets recognise it.
func newToken() string { return "dg_" + rand.Text() }
