package registry

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// expiresSoon is how long before its end a certificate is warned of: most are
// renewed a month before.
const expiresSoon = 14 * 24 * time.Hour

// certificate looks at what the registry presents, with the same trust as
// every other request.
func (p *prober) certificate(ctx context.Context) gate.ProbeStep {
	if p.cfg.PlainHTTP {
		return warning("use https where the registry can: passwords and tags travel in the clear", "plainHTTP is set, there is no certificate")
	}
	host, _, _ := net.SplitHostPort(p.origin)
	ctx, cancel := context.WithTimeout(ctx, 2*p.wait.connect)
	defer cancel()
	raw, err := p.guard.DialContext(ctx, "tcp", p.origin)
	if err != nil {
		return failed("", "%v", err)
	}
	defer raw.Close()
	// Nothing is sent over this connection: it is only looked at what is
	// presented, and checked below.
	conn := tls.Client(raw, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
	if err := conn.HandshakeContext(ctx); err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) {
			return failed("set plainHTTP if that is intended, or correct the port in host", "%q speaks something else than TLS, perhaps http", p.origin)
		}
		return failed("check the TLS version (1.2 is the least) and whether the registry wants a client certificate", "no TLS connection: %v", err)
	}
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return failed("", "the registry presents no certificate")
	}
	step := judgeChain(chain, host, p.trust.transports().own.TLSClientConfig.RootCAs, p.pauses.now())
	if step.Result == gate.ProbeFailed && p.cfg.InsecureSkipVerify {
		return warning("remove insecureSkipVerify and "+step.Advice, "not checked because insecureSkipVerify is set; otherwise: %s", step.Text)
	}
	return step
}

// judgeChain checks a chain as crypto/tls does and words the outcome. roots nil
// is the system's.
func judgeChain(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) gate.ProbeStep {
	leaf, top := chain[0], chain[len(chain)-1]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: now})
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case now.After(leaf.NotAfter):
		return failed("renew the registry's certificate", "the certificate expired on %s", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return failed("check the clock of this machine and of the registry", "the certificate is valid from %s", leaf.NotBefore.Format(time.RFC3339))
	case errors.As(err, &name):
		return failed("use one of these names in host, or have the certificate issued for "+host,
			"the certificate is not for %q but for %s", host, namesOf(leaf))
	case errors.As(err, &authority):
		return failed(fmt.Sprintf("put the certificate of the authority %q into a PEM file and set caFile to it (the last one presented has the SHA-256 fingerprint %x)",
			top.Issuer, sha256.Sum256(top.Raw)), "the certificate is signed by %q, which is not trusted", leaf.Issuer)
	case errors.As(err, &invalid), err != nil:
		return failed("have the registry's certificate issued again", "%v", err)
	case now.Add(expiresSoon).After(leaf.NotAfter):
		return warning("renew the registry's certificate", "valid, but it expires on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	return fine("valid for %s until %s, issued by %s", host, leaf.NotAfter.Format(time.DateOnly), leaf.Issuer)
}

// namesOf lists what a certificate is for.
func namesOf(c *x509.Certificate) string {
	var list []string
	list = append(list, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return "nothing"
	}
	if len(list) > 5 {
		return fmt.Sprintf("%q and %d more", list[:5], len(list)-5)
	}
	return fmt.Sprintf("%q", list)
}
