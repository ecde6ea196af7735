package registry

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// trustMaxAge is how long a changed file of certificates may go unnoticed.
	// Contents are compared, not times: a Kubernetes secret is a symbolic link
	// that is switched.
	trustMaxAge = time.Second
	// maxCABytes bounds that file; all authorities that browsers trust together
	// have 220 KiB.
	maxCABytes = 1 << 20
)

// transports carry the requests of one registry: own those to configured hosts,
// foreign those to any other, because insecureSkipVerify is a statement about
// the former only.
type transports struct {
	own, foreign *http.Transport
}

func (t transports) closeIdle() {
	t.own.CloseIdleConnections()
	t.foreign.CloseIdleConnections()
}

// trust makes the transports, and makes them again when the file of certificates has
// changed: open connections continue, nothing new uses a connection that was trusted by
// the former file. A file that has become unusable leaves the last one in force and is
// logged. Safe for concurrent use.
type trust struct {
	file string // "" is the system's certificates alone
	name string // of the registry, for the log
	make func(*x509.CertPool) transports
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	present transports
	pem     []byte
	looked  time.Time
	problem string // the last one, so that it is logged once
}

// newTrust reads the file; an unusable one is an error at start.
func newTrust(c Config, o Options, build func(*x509.CertPool) transports) (*trust, error) {
	t := &trust{file: c.CAFile, name: c.Name, make: build, now: o.Now, log: o.Log}
	var roots *x509.CertPool
	if t.file != "" {
		var err error
		if roots, t.pem, err = readCAs(t.file); err != nil {
			return nil, err
		}
		t.looked = t.now()
	}
	t.present = build(roots)
	return t, nil
}

// transports are the present ones.
func (t *trust) transports() transports {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.file == "" || now.Sub(t.looked) < trustMaxAge {
		return t.present
	}
	t.looked = now
	roots, pem, err := readCAs(t.file)
	if err != nil {
		if err.Error() != t.problem {
			t.problem = err.Error()
			t.log.Warn("certificates of a registry cannot be read again, the last ones stay in force", "registry", t.name, "error", err)
		}
		return t.present
	}
	t.problem = ""
	if bytes.Equal(pem, t.pem) {
		return t.present
	}
	former := t.present
	t.present, t.pem = t.make(roots), pem
	former.closeIdle()
	t.log.Info("certificates of a registry were read again", "registry", t.name)
	return t.present
}

// readCAs returns the system's certificates and those of the file, and what the
// file holds.
func readCAs(path string) (*x509.CertPool, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading certificates: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCABytes+1))
	if err == nil && len(pem) > maxCABytes {
		err = errors.New("it is larger than " + gate.ByteSize(maxCABytes).String())
	}
	if err == nil {
		pem, err = gate.PlainText(pem)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading certificates from %q: %w", path, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("reading certificates from %q: it holds no PEM certificate", path)
	}
	return pool, pem, nil
}
