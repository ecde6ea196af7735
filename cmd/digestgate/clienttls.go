package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// connectError says what to do at the keyboard about a server that could not be
// called. listener is what its URL should be that of; certificate is the key of the
// server's configuration that names its certificate.
func connectError(err error, server, caFile, listener, certificate string) error {
	return fmt.Errorf("calling the server: %w; %s", err, connectAdvice(err, gate.Printable(server, 200), caFile, listener, certificate))
}

func connectAdvice(err error, server, caFile, listener, certificate string) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &authority) && caFile == "":
		return "its certificate is signed by an authority that this machine does not know: name a file with that authority's certificate with --ca-file FILE (the one that digestgate makes itself is tls/ca.crt in the dataDir of the server)"
	case errors.As(err, &authority):
		return fmt.Sprintf("--ca-file %q does not hold the authority that signed its certificate; fetch the present file from the server (the one that digestgate makes itself is tls/ca.crt in its dataDir)", gate.Printable(caFile, 200))
	case errors.As(err, &hostname):
		return fmt.Sprintf("its certificate is for %s: give one of these names with --server, or have the certificate in %s of the server made for %s too", namesOf(hostname.Certificate), certificate, gate.Printable(hostname.Host, 200))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("its certificate is valid from %s only, and the clock here says %s: correct the clock of this machine, or wait", utc(invalid.Cert.NotBefore), utc(time.Now()))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Sprintf("its certificate expired at %s: renew the file in %s of the server (it is read again by itself), or correct the clock of this machine if it is not %s", utc(invalid.Cert.NotAfter), certificate, utc(time.Now()))
	case errors.As(err, &invalid):
		return fmt.Sprintf("its certificate may not be used for this: replace the file in %s of the server", certificate)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Sprintf("%s does not speak TLS: write http:// instead of https://", server)
	case errors.As(err, &alert):
		return fmt.Sprintf("it refused the TLS connection; is %s its %s listener, which wants no certificate of the client?", server, listener)
	}
	return fmt.Sprintf("does it run, and is %s its %s listener?", server, listener)
}

func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host name at all"
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return gate.Printable(strings.Join(names, ", "), 300)
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// plainToTLS reports the answer of Go's servers, of nginx and of others to http
// where they speak https.
func plainToTLS(status int, body []byte) bool {
	text := strings.ToLower(string(body[:min(len(body), 1000)]))
	return status == http.StatusBadRequest && strings.Contains(text, "http request") && strings.Contains(text, "https")
}
