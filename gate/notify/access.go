package notify

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/digestgate/digestgate/gate/outbound"
)

// Access is what it takes to reach one target. All of it may be secret.
type Access struct {
	URL      string
	Secret   []byte
	Mail     Mail
	Password string
	// Allow is nil for a target of the configuration file, which may be a private host;
	// otherwise the target was set at run time, and must fit it.
	Allow *outbound.Allow
	// TLS has the authorities that the target is checked with; nil: those of the system.
	TLS *tls.Config
	// Timeout is of one try.
	Timeout time.Duration
	// Source names this installation in CloudEvents, "" for a default.
	Source string
	// Resolver and Dialed are for tests; see [outbound.Options].
	Resolver *net.Resolver
	Dialed   func(target string)
}

// Mail is how mail is sent.
type Mail struct {
	// Server is "host:port".
	Server string
	// TLS is TLSStart, TLSImplicit or TLSNone.
	TLS      string
	Username string
	From     string
	To       []string
	// ClearCredentials: the password may be sent without TLS.
	ClearCredentials bool
}

// How a mail server is connected to.
const (
	TLSStart    = "starttls"
	TLSImplicit = "tls"
	TLSNone     = "none"
)

// Outbound is the guard's view of the target at a host.
func (a Access) Outbound(purpose outbound.Purpose, endpoint string) outbound.Options {
	o := outbound.Options{Purpose: purpose, Allow: a.Allow, Timeout: a.Timeout, Resolver: a.Resolver, Dialed: a.Dialed}
	if a.Allow == nil {
		o.Hosts = []string{endpoint}
	}
	return o
}
