// Package certificatetest serves over TLS on loopback and calls what is served, for
// the tests of certificates and of the servers that have them. It knows nothing of
// gate/certificate, so that its tests can use it too.
package certificatetest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"testing"
)

// Serve runs a server with its TLSConfig on loopback until the test ends. wrap, if
// any, changes its listener.
func Serve(t testing.TB, server *http.Server, wrap func(net.Listener) net.Listener) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		listener = wrap(listener)
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-done); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "https://" + listener.Addr().String()
}

// Client is a client with HTTP/2 and a TLS configuration that change, if any, has
// completed.
func Client(t testing.TB, change func(*tls.Config)) *http.Client {
	config := &tls.Config{}
	if change != nil {
		change(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Pool holds the certificates of PEM texts.
func Pool(pems ...[]byte) *x509.CertPool {
	p := x509.NewCertPool()
	for _, b := range pems {
		p.AppendCertsFromPEM(b)
	}
	return p
}
