package redis

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// minMACKey is the shortest line of store.macKeyFile in bytes: 32 characters of
// hexadecimal are 128 bits.
const minMACKey = 32

// keyFileEvery is how often the file is looked at: a rotation waits for it.
const keyFileEvery = 5 * time.Second

// keyFile holds the keys of store.macKeyFile: one a line, the first signs, all
// (two at most, during a rotation) are accepted. It follows the file; one that
// cannot be read leaves the earlier keys in force. It is safe for concurrent
// use.
type keyFile struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	current [][]byte
	looked  time.Time
	content []byte
	reloads int64
}

// ReadKeys reads the keys of a file; gate.ErrInvalid says what is wrong with it.
func ReadKeys(path string) ([][]byte, error) {
	content, err := gate.ReadSmallFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the MAC keys: %w: %w", gate.ErrInvalid, err)
	}
	return parseKeys(path, content)
}

func parseKeys(path string, content []byte) ([][]byte, error) {
	var list [][]byte
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(line) < minMACKey {
			return nil, fmt.Errorf("MAC key file %q: line %d has %d characters, want at least %d of random text (openssl rand -hex 32): %w",
				path, len(list)+1, len(line), minMACKey, gate.ErrInvalid)
		}
		list = append(list, bytes.Clone(line))
	}
	if n := len(list); n == 0 || n > 2 {
		return nil, fmt.Errorf("MAC key file %q has %d keys, want one (openssl rand -hex 32), or two during a rotation: %w", path, n, gate.ErrInvalid)
	}
	return list, nil
}

func openKeyFile(path string, log *slog.Logger) (*keyFile, error) {
	k := &keyFile{path: path, log: log, now: time.Now}
	var err error
	if k.content, err = gate.ReadSmallFile(path); err != nil {
		return nil, fmt.Errorf("reading the MAC keys (store.macKeyFile): %w: %w", gate.ErrInvalid, err)
	}
	k.looked = k.now()
	k.current, err = parseKeys(path, k.content)
	return k, err
}

// keys are those in force, at least one.
func (k *keyFile) keys() [][]byte {
	current, _ := k.inForce()
	return current
}

// inForce are the keys in force, and a number that is another when they are.
func (k *keyFile) inForce() (keys [][]byte, number int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); now.Sub(k.looked) >= keyFileEvery {
		k.looked = now
		k.reload()
	}
	return k.current, k.reloads
}

func (k *keyFile) reload() {
	content, err := gate.ReadSmallFile(k.path)
	if err == nil && bytes.Equal(content, k.content) {
		return
	}
	var fresh [][]byte
	if err == nil {
		fresh, err = parseKeys(k.path, content)
	}
	if err != nil {
		k.log.Warn("MAC keys cannot be read again, the last ones stay in force", "file", k.path, "error", err)
		return
	}
	k.content, k.current = content, fresh
	k.reloads++
	k.log.Info("MAC keys read again", "file", k.path, "macKeys", len(fresh))
}
