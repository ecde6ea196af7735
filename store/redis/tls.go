package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// keepAlive is go-redis' own for connections that it dials (options.go).
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialTLS connects as go-redis does, within timeout for all of it, and says of a
// handshake that fails what it is: alone, it reads as a server that is away.
func (d dialing) dialTLS(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{KeepAliveConfig: keepAlive}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		config := d.tls.Clone()
		if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			config.ServerName = addr
		}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, &handshakeError{addr, err}
		}
		return secured, nil
	}
}

// handshakeError is a TLS handshake that failed.
type handshakeError struct {
	addr string
	err  error
}

func (e *handshakeError) Error() string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		record    tls.RecordHeaderError
	)
	addr := gate.Quoted(e.addr, 200)
	switch {
	case errors.As(e.err, &authority):
		return fmt.Sprintf("the certificate of %s is signed by an unknown authority; set store.caFile: %v", addr, e.err)
	case errors.As(e.err, &hostname), errors.As(e.err, &invalid):
		return fmt.Sprintf("the certificate of %s is not valid for it: %v", addr, e.err)
	case errors.As(e.err, &alert):
		return fmt.Sprintf("the TLS handshake with %s failed; look at the server's tls- settings: %v", addr, e.err)
	case errors.As(e.err, &record):
		return fmt.Sprintf("%s does not speak TLS, which rediss:// requires; name the server's tls-port in store.url, or use redis:// if it is plain: %v", addr, e.err)
	}
	return fmt.Sprintf("%s did not answer the TLS handshake, as a port without TLS does; rediss:// requires TLS: name the server's tls-port in store.url, or use redis:// if it is plain: %v", addr, e.err)
}

func (e *handshakeError) Unwrap() error { return e.err }
