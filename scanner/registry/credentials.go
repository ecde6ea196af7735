package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxSecretBytes bounds a password file and what a helper says. The
	// largest known passwords are Google service account keys (about 2.4 kB)
	// and cloud tokens (a few kB).
	maxSecretBytes = 64 << 10
	// helperLife is how long the answer of a credential helper is used.
	// Helpers cache by themselves and answer 12 h (ECR) to 1 h (others) of
	// validity; this spares a process for each token exchange.
	helperLife = 5 * time.Minute
)

// CredentialsConfig are credentials that another program keeps.
type CredentialsConfig struct {
	// DockerConfig is a file as docker login and Kubernetes secrets of type
	// kubernetes.io/dockerconfigjson write it. It is read at each use. Its
	// credHelpers and credsStore are followed.
	DockerConfig string `yaml:"dockerConfig"`
	// Helper is the name of a credential helper: the program
	// docker-credential-NAME in PATH is asked.
	Helper string `yaml:"helper"`
}

// credentialSource gives the credentials of one registry. Safe for concurrent
// use.
type credentialSource struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	helper  string // whose answer login is
	login   login
	expires time.Time
}

// login is a user with a password; the zero value is nobody.
type login struct{ user, password string }

func newCredentialSource(c Config, now func() time.Time) *credentialSource {
	return &credentialSource{cfg: c, now: now}
}

// get reads the configured credentials for a repository, "" for what is about
// none; the zero login when there are none. The errors wrap gate.ErrRegistryAuth:
// they are for an operator to repair, and jobs wait meanwhile.
func (c *credentialSource) get(ctx context.Context, repo string) (login, error) {
	l, helper, err := c.source(repo)
	if err == nil && helper != "" {
		l, err = c.ask(ctx, helper)
	}
	if err != nil {
		return login{}, fmt.Errorf("%w: %w", err, gate.ErrRegistryAuth)
	}
	return l, nil
}

// source is the login for a repository as it stands in the files, or the name of
// the helper that has it.
func (c *credentialSource) source(repo string) (l login, helper string, err error) {
	switch {
	case c.cfg.Username != "":
		l.user = c.cfg.Username
		l.password, err = readPassword(c.cfg.PasswordFile)
	case c.cfg.Credentials.DockerConfig != "":
		return readDockerConfig(c.cfg.Credentials.DockerConfig, c.cfg.Host, repo)
	case c.cfg.Credentials.Helper != "":
		helper = c.cfg.Credentials.Helper
	}
	return l, helper, err
}

// ask runs a helper unless its last answer is fresh. Callers that come at the
// same time wait for one run.
func (c *credentialSource) ask(ctx context.Context, helper string) (login, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.helper == helper && c.now().Before(c.expires) {
		return c.login, nil
	}
	l, err := runHelper(ctx, helper, c.cfg.Host)
	if err != nil {
		return login{}, err
	}
	c.helper, c.login, c.expires = helper, l, c.now().Add(helperLife)
	return l, nil
}

// refused forgets what a helper said, because the registry did not take it.
func (c *credentialSource) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires = time.Time{}
}

// readPassword reads a secret. One trailing line break is not part of it,
// because editors and "echo" add one.
func readPassword(path string) (string, error) {
	b, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("reading password: %w", err)
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if s == "" {
		return "", fmt.Errorf("reading password from %q: %w", path, errors.New("it is empty"))
	}
	return s, nil
}

// readSecret reads a small file.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	if len(b) > maxSecretBytes {
		return nil, fmt.Errorf("%q: it is larger than %d bytes", path, maxSecretBytes)
	}
	if b, err = gate.PlainText(b); err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return b, nil
}
