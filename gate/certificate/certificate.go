package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
)

// Options say where a Certificate comes from.
type Options struct {
	TLS Config
	// DataDir is where a self-managed certificate lives, in the folder "tls".
	DataDir string
	// Names are the DNS names and IP addresses of a self-managed certificate:
	// those under which API servers call.
	Names []string
	// Callers have to believe another authority before its certificate serves; nil: it
	// serves at once.
	Callers Callers
	Log     *slog.Logger // nil discards
	Now     func() time.Time
	// Registerer gets the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Callers are those who call a listener with a self-managed certificate, as far as it has to
// know: which authorities they believe. Its methods are called one at a time, with PEM texts.
type Callers interface {
	// Trusted reports whether they believe an authority by now, and sees to it that they
	// will. Until then the earlier certificate stays in use, unless it has expired.
	Trusted(authority []byte) bool
	// Serving tells which authority signed the certificate that serves from now on.
	Serving(authority []byte)
}

// Certificate is the serving certificate and the authorities of clients. It follows its
// files: [Certificate.Run] looks at their content, because what matters is swapped in
// many ways (the kubelet moves a symbolic link, others write in place). A pair that
// does not fit together is half-written: the old one stays in use.
type Certificate struct {
	options Options
	current atomic.Pointer[loaded]
	errors  prometheus.Counter
	// complained is the hash of the last content that was reported as
	// unusable. Only Refresh uses it.
	complained [sha256.Size]byte
}

// loaded is one consistent content of all files.
type loaded struct {
	hash     [sha256.Size]byte
	pair     tls.Certificate
	leaf     *x509.Certificate
	clients  *x509.CertPool // nil when client certificates are not asked for
	caBundle []byte
}

// refreshEvery is how often the files are read: a few KiB, and a new
// certificate serves well within the minute that operators expect.
const refreshEvery = 10 * time.Second

// expiryWarning is when a certificate that somebody else renews is complained
// about. cert-manager renews at the last third of 90 days.
const expiryWarning = 14 * 24 * time.Hour

// New loads or makes the certificate. Errors wrap ErrInvalid (files
// that cannot be used) or ErrResource (the data directory).
func New(o Options) (*Certificate, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Certificate{options: o, errors: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "digestgate_admission_certificate_errors_total",
		Help: "Times the certificate's files were found unusable; the earlier certificate stays in use.",
	})}
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	c.current.Store(l)
	if o.Registerer != nil {
		expiry := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "digestgate_admission_certificate_expiry_timestamp_seconds",
			Help: "When the serving certificate expires.",
		}, func() float64 { return float64(c.current.Load().leaf.NotAfter.Unix()) })
		if err := errors.Join(o.Registerer.Register(expiry), o.Registerer.Register(c.errors)); err != nil {
			return nil, fmt.Errorf("registering the metrics of the certificate: %w", err)
		}
	}
	c.warnOfExpiry(l)
	return c, nil
}

// Run follows the files and renews a self-managed certificate until ctx ends.
func (c *Certificate) Run(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	daily := c.options.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.Refresh()
		if now := c.options.Now(); now.Sub(daily) >= 24*time.Hour {
			daily = now
			c.warnOfExpiry(c.current.Load())
		}
	}
}

// Refresh reads the files now and reports whether another content serves from
// now on. It must not be called concurrently with itself or Run.
func (c *Certificate) Refresh() bool {
	l, err := c.load()
	if err != nil {
		c.errors.Inc()
		if hash := sha256.Sum256([]byte(err.Error())); hash != c.complained {
			c.complained = hash
			c.options.Log.Error("certificate not replaced, the earlier one stays in use", slog.String("error", gate.Printable(err.Error(), 1000)))
		}
		return false
	}
	c.complained = [sha256.Size]byte{}
	former := c.current.Load()
	if l.hash == former.hash {
		return false
	}
	other := c.options.Callers != nil && len(l.caBundle) > 0 && !bytes.Equal(l.caBundle, former.caBundle)
	if other && !c.options.Callers.Trusted(l.caBundle) && c.options.Now().Before(former.leaf.NotAfter) {
		return false // looked at again
	}
	c.current.Store(l)
	if other {
		c.options.Callers.Serving(l.caBundle)
	}
	c.options.Log.Info("certificate replaced", slog.Time("notAfter", l.leaf.NotAfter), slog.Any("names", l.leaf.DNSNames))
	c.warnOfExpiry(l)
	return true
}

func (c *Certificate) warnOfExpiry(l *loaded) {
	left := l.leaf.NotAfter.Sub(c.options.Now())
	if left < expiryWarning {
		c.options.Log.Warn("serving certificate expires soon or has expired", slog.Time("notAfter", l.leaf.NotAfter), slog.Duration("left", left.Round(time.Minute)))
	}
}

// Expiry is when the serving certificate expires.
func (c *Certificate) Expiry() time.Time { return c.current.Load().leaf.NotAfter }

// CABundle is the PEM text for caBundle of a webhook configuration: our own
// authority, or nil for a certificate from files, whose authority we are not
// told.
func (c *Certificate) CABundle() []byte { return c.current.Load().caBundle }

// TLSConfig serves the current certificate to every new connection and, when
// client authorities are configured, demands a client certificate of theirs in
// the handshake, before any byte of a request is read.
func (c *Certificate) TLSConfig() *tls.Config {
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.current.Load().pair, nil }
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: get,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			l := c.current.Load()
			if l.clients == nil {
				return nil, nil
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: get,
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: l.clients, Time: c.options.Now,
			}, nil
		},
	}
}

// load reads everything, making or renewing a self-managed certificate first.
func (c *Certificate) load() (*loaded, error) {
	o := c.options.TLS
	l := &loaded{}
	var certPEM, keyPEM, clientPEM []byte
	var err error
	if o.CertFile == "" {
		own := selfManaged{dir: c.options.DataDir, names: c.options.Names, now: c.options.Now}
		certPEM, keyPEM, l.caBundle, err = own.ensure()
	} else {
		certPEM, keyPEM, err = readPair(o.CertFile, o.KeyFile)
	}
	if err != nil {
		return nil, err
	}
	if l.pair, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		return nil, fmt.Errorf("loading the serving certificate %q: %w: %w", o.CertFile, err, gate.ErrInvalid)
	}
	if l.leaf, err = x509.ParseCertificate(l.pair.Certificate[0]); err != nil {
		return nil, fmt.Errorf("loading the serving certificate %q: %w: %w", o.CertFile, err, gate.ErrInvalid)
	}
	if o.ClientCAFile != "" {
		if clientPEM, err = gate.ReadSmallFile(o.ClientCAFile); err != nil {
			return nil, fmt.Errorf("reading the client authorities: %w: %w", err, gate.ErrInvalid)
		}
		l.clients = x509.NewCertPool()
		if !l.clients.AppendCertsFromPEM(clientPEM) {
			return nil, fmt.Errorf("reading the client authorities %q: no certificate in it: %w", o.ClientCAFile, gate.ErrInvalid)
		}
	}
	h := sha256.New()
	for _, b := range [][]byte{certPEM, keyPEM, clientPEM} {
		fmt.Fprintf(h, "%d:", len(b))
		h.Write(b)
	}
	h.Sum(l.hash[:0])
	return l, nil
}

func readPair(certFile, keyFile string) (certPEM, keyPEM []byte, err error) {
	if certPEM, err = gate.ReadSmallFile(certFile); err == nil {
		keyPEM, err = gate.ReadSmallFile(keyFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the serving certificate: %v: %w", err, gate.ErrInvalid)
	}
	return certPEM, keyPEM, nil
}
