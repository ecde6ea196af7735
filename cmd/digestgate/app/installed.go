package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/store/redis"
)

// storeAnswers is how long a command that prints something of an installation waits for a
// shared store: a person waits, and the files of this process are the next best source.
const storeAnswers = 10 * time.Second

// Authority is the certificate (PEM) of the authority that signs the certificates of
// admission, for caBundle of a webhook configuration. With a shared store it is that of
// the store, of which every process has a copy; while the store does not answer it is that
// of the data directory, and note says so. Nothing is made or written.
//
// Errors: ErrInvalid when admission.tls names a certificate of another authority, one of
// no class when no process has made the authority yet, and those of the files.
func Authority(ctx context.Context, c Config, log *slog.Logger) (certPEM []byte, note string, err error) {
	if file := c.Admission.TLS.CertFile; file != "" {
		return nil, "", fmt.Errorf("admission.tls.certFile names %q, whose authority digestgate does not know: put the certificate of the authority that signed it into caBundle: %w", file, gate.ErrInvalid)
	}
	var problem error // of the store
	if c.Store.Shared() {
		stored, err := c.sharedSecret(ctx, agree.SettingAuthority, log)
		if err == nil {
			certPEM, err = certificate.AuthorityCertificate(stored)
			return certPEM, "", err
		}
		if errors.Is(err, gate.ErrInvalid) {
			return nil, "", err
		}
		problem = err
	}
	file := certificate.AuthorityFile(c.DataDir)
	authority, err := gate.ReadSmallFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && problem != nil && !errors.Is(problem, gate.ErrNotFound):
		return nil, "", problem
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fmt.Errorf("no authority in %s%q yet: the first start of a server with the role admission makes it; is dataDir that of this server?", c.orStore(), file)
	case err != nil:
		return nil, "", fmt.Errorf("reading the authority of admission: %w%s", err, asOwner(err))
	}
	if problem != nil {
		note = fmt.Sprintf("this is the authority in %s, because the store has none to compare with: %v", file, problem)
	}
	certPEM, err = certificate.AuthorityCertificate(authority)
	return certPEM, note, err
}

// TokenFile is where a server with this configuration keeps its admin token.
func (c Config) TokenFile() string { return c.tokenPath() }

// AdminToken is the admin token of the API: that of the file, and without one that of the
// shared store, which only the holder of its MAC key can read. Nothing is made or written.
//
// Errors: one of no class when no server has made it yet, ErrInvalid for a token that a
// server would refuse, and those of the file and the store.
func AdminToken(ctx context.Context, c Config, log *slog.Logger) (string, error) {
	token, err := api.LoadToken(c.tokenPath(), false)
	if err == nil {
		return token.Value, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || c.Auth.AdminTokenFile != "" {
		return "", fmt.Errorf("%w%s", err, asOwner(err))
	}
	if c.Store.Shared() {
		stored, err := c.sharedSecret(ctx, agree.SettingAdminToken, log)
		if !errors.Is(err, gate.ErrNotFound) {
			return string(stored), err
		}
	}
	return "", fmt.Errorf("no admin token in %s%q yet: the first start of a server makes it; is dataDir that of this server?", c.orStore(), c.tokenPath())
}

// orStore names the store where secrets are looked for too.
func (c Config) orStore() string {
	if c.Store.Shared() {
		return "the store or in "
	}
	return ""
}

// asOwner is what to do about a file that may not be read.
func asOwner(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "; run the command as the user of the server"
	}
	return ""
}

// sharedSecret reads a secret that the processes on the configured store have in common.
func (c Config) sharedSecret(ctx context.Context, setting string, log *slog.Logger) (secret []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeAnswers)
	defer cancel()
	keys, err := redis.ReadKeys(c.Store.MACKeyFile)
	if err != nil {
		return nil, err
	}
	s, err := OpenStore(ctx, c.Store, c.Retention, log, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	stored, _, err := s.Setting(ctx, setting)
	if err != nil {
		return nil, err
	}
	return agree.Unseal(setting, keys, stored)
}
