package connect

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

// ConnectError adds what the user of a command can do about a server that could not
// be called. listener is the listener whose URL the command needs; certificate is the
// key of the server's configuration that names its certificate.
func ConnectError(err error, server, caFile, listener, certificate string) error {
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
		return "its certificate is signed by an authority that this machine does not know: give a file with that authority's certificate with --ca-file FILE (for the authority that digestgate makes itself, tls/ca.crt in the server's dataDir)"
	case errors.As(err, &authority):
		return fmt.Sprintf("--ca-file %s does not hold the authority that signed its certificate; fetch the current file from the server (for the authority that digestgate makes itself, tls/ca.crt in its dataDir)", gate.Quoted(caFile, 200))
	case errors.As(err, &hostname):
		host, names := gate.Printable(hostname.Host, 200), namesOf(hostname.Certificate)
		if names == "" {
			return fmt.Sprintf("its certificate names no host: replace the one that the server's %s names by one for %s", certificate, host)
		}
		return fmt.Sprintf("its certificate is for %s: give one of these names with --server, or replace the one that the server's %s names by one that is also for %s", names, certificate, host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return fmt.Sprintf("its certificate is valid only from %s on, and the clock of this machine says %s: correct the clock if it is wrong, or wait", utc(invalid.Cert.NotBefore), utc(time.Now()))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Sprintf("its certificate expired at %s: renew the one that the server's %s names (the server reads it again by itself), or correct the clock of this machine, which says %s, if it is wrong", utc(invalid.Cert.NotAfter), certificate, utc(time.Now()))
	case errors.As(err, &invalid):
		return fmt.Sprintf("its certificate cannot be used: replace the one that the server's %s names", certificate)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Sprintf("%s does not speak TLS: write http:// instead of https://", server)
	case errors.As(err, &alert):
		return fmt.Sprintf("it refused the TLS connection, as a listener that requires a client certificate does; is %s its %s listener?", server, listener)
	}
	return fmt.Sprintf("is it running, and is %s its %s listener?", server, listener)
}

// namesOf lists the hosts that a certificate is for; "" when it names none.
func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	return gate.Printable(strings.Join(names, ", "), 300)
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// PlainToTLS recognises what Go's servers, nginx and others answer to http on a port
// where they speak https.
func PlainToTLS(status int, body []byte) bool {
	text := strings.ToLower(string(body[:min(len(body), 1000)]))
	return status == http.StatusBadRequest && strings.Contains(text, "http request") && strings.Contains(text, "https")
}

// Trusting is a transport that checks servers with the certificates in a file,
// with those of the system for "".
func Trusting(caFile string) (*http.Transport, error) {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	if caFile == "" {
		return t, nil
	}
	pem, err := gate.ReadSmallFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading --ca-file: %w", err)
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file %q holds no certificate in PEM (-----BEGIN CERTIFICATE-----): %w", caFile, gate.ErrInvalid)
	}
	return t, nil
}
