package webhooks

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// secretMaxAge is how long a changed file may go unnoticed. Contents are
	// compared, not times: a Kubernetes secret is a symbolic link that is
	// switched, and a file may change twice within its time stamp's grain.
	secretMaxAge = time.Second
	maxSecret    = 64 << 10
)

// readSecret reads and checks one file.
func readSecret(auth, file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the secret in %q: %w: %w", file, err, gate.ErrInvalid)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("reading the secret in %q: %w: %w", file, err, gate.ErrInvalid)
	}
	secret, err := gate.SecretText(text)
	user, password, pair := bytes.Cut(secret, []byte(":"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the secret in %q: %w", file, err)
	case len(text) > maxSecret:
		return nil, fmt.Errorf("reading the secret in %q: it is larger than %s: %w", file, gate.ByteSize(maxSecret), gate.ErrInvalid)
	case len(secret) == 0:
		return nil, fmt.Errorf("reading the secret in %q: the file is empty: %w", file, gate.ErrInvalid)
	case auth != AuthHMAC && bytes.ContainsFunc(secret, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return nil, fmt.Errorf("reading the secret in %q: it has several lines or control characters; a file holds one secret: %w", file, gate.ErrInvalid)
	case auth == AuthBasic && (!pair || len(user) == 0 || len(password) == 0):
		return nil, fmt.Errorf("reading the secret in %q: basic authentication wants user:password, and neither may be empty: %w", file, gate.ErrInvalid)
	}
	return secret, nil
}

// secrets are the live secrets of an endpoint.
type secrets struct {
	auth  string
	files []string
	now   func() time.Time
	log   *slog.Logger

	mu       sync.Mutex
	values   [][]byte // one for each file
	problems []string // the last problem of each file, so that it is logged once
	read     time.Time
}

// newSecrets reads all files; an unreadable one is an error at start.
func newSecrets(c Config, now func() time.Time, log *slog.Logger) (*secrets, error) {
	s := &secrets{
		auth: c.Auth, files: c.SecretFiles, now: now, log: log,
		values: make([][]byte, len(c.SecretFiles)), problems: make([]string, len(c.SecretFiles)),
		read: now(),
	}
	for i, file := range s.files {
		var err error
		if s.values[i], err = readSecret(s.auth, file); err != nil {
			return nil, fmt.Errorf("webhook.secretFiles[%d]: %w", i, err)
		}
		s.warnShort(file, s.values[i])
	}
	return s, nil
}

// warnShort says that a secret is easy to guess. It is taken all the same: to
// refuse what is in force would stop the registry's events.
func (s *secrets) warnShort(file string, secret []byte) {
	if n := guessed(s.auth, secret); n < gate.MinSecret {
		s.log.Warn("webhook secret is short enough to be guessed; use a longer one, such as the output of: openssl rand -hex 24",
			"file", file, "bytes", n, "least", gate.MinSecret)
	}
}

// guessed is the length in bytes of what an attacker must guess: for basic, the
// password alone.
func guessed(auth string, secret []byte) int {
	if auth == AuthBasic {
		_, secret, _ = bytes.Cut(secret, []byte(":"))
	}
	return len(secret)
}

// ShortSecrets is a warning, by index in SecretFiles, for each file whose secret is
// short enough to be guessed. Files that cannot be read are left out.
func (c Config) ShortSecrets() map[int]string {
	short := map[int]string{}
	for i, file := range c.SecretFiles {
		secret, err := readSecret(c.Auth, file)
		if n := guessed(c.Auth, secret); err == nil && n < gate.MinSecret {
			short[i] = fmt.Sprintf("the secret in %q has %d characters and is short enough to be guessed; use one with at least %d, such as the output of: openssl rand -hex 24", file, n, gate.MinSecret)
		}
	}
	return short
}

// live returns the present secrets. A file that has become unreadable keeps
// its last secret, because files are replaced in steps that are not atomic
// everywhere; to revoke a secret, write another one.
func (s *secrets) live() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.read) >= secretMaxAge {
		s.read = now
		s.refresh()
	}
	return slices.Clone(s.values)
}

func (s *secrets) refresh() {
	for i, file := range s.files {
		value, err := readSecret(s.auth, file)
		problem := ""
		if err != nil {
			problem = err.Error()
		} else if !bytes.Equal(value, s.values[i]) {
			s.values[i] = value
			s.warnShort(file, value)
		}
		if problem != s.problems[i] && problem != "" {
			s.log.Warn("webhook secret cannot be read again, the last one stays in force", "error", err)
		}
		s.problems[i] = problem
	}
}
