package webhooks

import (
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxAuthorities bounds the file with the certificates of authorities; all that
// browsers trust together have 220 KiB.
const maxAuthorities = 1 << 20

// certificates verifies client certificates against the authorities of one
// endpoint. The listener asks for a certificate and proves that the sender has
// its key; whom it belongs to is decided here, because each endpoint has
// authorities of its own.
type certificates struct {
	config Config
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex
	pool    *x509.CertPool
	read    time.Time
	problem string // the last one, so that it is logged once
}

func newCertificates(c Config, now func() time.Time, log *slog.Logger) (*certificates, error) {
	pool, err := readAuthorities(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("webhook.caFile: %w", err)
	}
	return &certificates{config: c, now: now, log: log, pool: pool, read: now()}, nil
}

// readAuthorities reads certificates; those of the system are not added.
func readAuthorities(file string) (*x509.CertPool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates in %q: %w: %w", file, err, gate.ErrInvalid)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAuthorities))
	if err == nil {
		text, err = gate.PlainText(text)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificates in %q: %w: %w", file, err, gate.ErrInvalid)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading the certificates in %q: it holds none in PEM: %w", file, gate.ErrInvalid)
	}
	return pool, nil
}

// authorities are the present ones; like a secret, a file that has become
// unreadable leaves the last ones in force.
func (c *certificates) authorities() *x509.CertPool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.read) < secretMaxAge {
		return c.pool
	}
	c.read = now
	pool, err := readAuthorities(c.config.CAFile)
	problem := ""
	if err != nil {
		problem = err.Error()
	} else {
		c.pool = pool
	}
	if problem != c.problem && problem != "" {
		c.log.Warn("webhook certificates cannot be read again, the last ones stay in force", "error", err)
	}
	c.problem = problem
	return c.pool
}

// check verifies the certificate of the connection; its errors wrap
// gate.ErrUnauthorized.
func (c *certificates) check(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return fmt.Errorf("the sender has shown no client certificate: %w", gate.ErrUnauthorized)
	}
	leaf := r.TLS.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, cert := range r.TLS.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.authorities(), Intermediates: between, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", gate.Printable(err.Error(), 300), gate.ErrUnauthorized)
	}
	if len(c.config.Names) > 0 && !slices.ContainsFunc(namesOf(leaf), c.named) {
		return fmt.Errorf("the certificate is of %s, none of which webhook.names lists: %w",
			gate.Printable(strings.Join(namesOf(leaf), ", "), 200), gate.ErrUnauthorized)
	}
	return nil
}

func (c *certificates) named(name string) bool {
	return slices.ContainsFunc(c.config.Names, func(want string) bool { return strings.EqualFold(name, want) })
}

// namesOf are the names that a certificate is for: DNS names, URIs and e-mail
// addresses, and its common name only when it has none of them (RFC 6125
// section 6.4.4). A wildcard in it stands for itself.
func namesOf(cert *x509.Certificate) []string {
	names := append(slices.Clone(cert.DNSNames), cert.EmailAddresses...)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = append(names, cert.Subject.CommonName)
	}
	return names
}
