package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

const (
	userAgent = "digestgate"
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 64 << 10
	// maxRedirects: a CDN in front of object storage needs two.
	maxRedirects = 5
	// maxExchanges bounds the token exchanges of one request with all its
	// retries: one for an expired token, one for bad luck, one to be sure.
	maxExchanges = 3
)

// timeouts bound the waiting for a registry. The zero value is not usable.
type timeouts struct {
	connect time.Duration // resolve and connect, then again for TLS
	header  time.Duration // from the request to the answer's header
	small   time.Duration // a whole manifest, configuration or token
	idle    time.Duration // without any byte of a blob
	window  time.Duration // over which a blob's throughput is measured
	minRate int64         // bytes per second of waiting, over a window
	backoff time.Duration // before the first retry; doubles
}

// newGuard knows the configured hosts of one registry. A host without a port
// stands for the ports that its scheme may use.
func newGuard(c Config, o Options) *outbound.Guard {
	var configured []string
	for _, list := range [][]string{{apiHost(c.Host)}, c.Aliases, c.TokenHosts, c.BlobHosts, impliedTokenHosts(c.Host)} {
		for _, host := range list {
			configured = append(configured, outbound.Endpoint(host, "443"))
			if c.PlainHTTP {
				configured = append(configured, outbound.Endpoint(host, "80"))
			}
		}
	}
	return outbound.NewGuard(outbound.Options{Purpose: o.Purpose, Hosts: configured, Timeout: o.timeouts.connect, Resolver: o.Resolver, Dialed: o.Dialed})
}

// defaultTimeouts: 16 KiB/s would still move a 50 MB layer in an hour, and no
// healthy registry is near it; the others are those of container runtimes,
// rounded down, because a job that waits is retried anyway.
func defaultTimeouts() timeouts {
	return timeouts{
		connect: 10 * time.Second, header: 30 * time.Second, small: 60 * time.Second,
		idle: 30 * time.Second, window: time.Minute, minRate: 16 << 10, backoff: 250 * time.Millisecond,
	}
}

// session is everything that belongs to one registry: its transports,
// credentials and tokens.
type session struct {
	cfg      Config
	registry gate.Registry
	base     url.URL // scheme and host of the API
	origin   string  // endpoint of base
	wait     timeouts
	pauses   *pauses
	tokens   *tokens
	secrets  *credentialSource
	// basic is set when the registry asked for Basic authentication.
	basic atomic.Bool
	// realm is the endpoint of the token server that was asked last, "" before.
	realm atomic.Value
	// credentialHosts are the endpoints that may see credentials; ownHosts are
	// those of them that are the registry itself: host and aliases.
	credentialHosts, ownHosts map[string]bool
	// What was learnt of this registry: whether it answers HEAD, which manifests
	// it served, and which of its lists take no page size.
	heads   heads
	served  served
	unsized unsized
	guard   *outbound.Guard
	trust   *trust
	client  *http.Client
	local   http.RoundTripper // answers instead of the network, unless nil
}

func newSession(c Config, o Options, p *pauses) (*session, error) {
	s := &session{
		cfg: c, registry: c.Registry(), wait: o.timeouts, pauses: p,
		base:            url.URL{Scheme: "https", Host: apiHost(c.Host)},
		tokens:          &tokens{now: o.Now, byScope: map[string]token{}},
		secrets:         newCredentialSource(c, o.Now),
		credentialHosts: map[string]bool{}, ownHosts: map[string]bool{},
		local: o.Local[c.Name],
	}
	s.heads.now, s.served.now = o.Now, o.Now
	if c.PlainHTTP {
		s.base.Scheme = "http"
	}
	s.origin = urlEndpoint(&s.base)
	for i, list := range [][]string{{apiHost(c.Host)}, c.Aliases, c.TokenHosts, impliedTokenHosts(c.Host)} {
		for _, h := range list {
			for _, e := range []string{outbound.Endpoint(h, defaultPort(s.base.Scheme)), outbound.Endpoint(h, "443")} {
				s.credentialHosts[e] = true
				s.ownHosts[e] = s.ownHosts[e] || i < 2
			}
		}
	}
	s.guard = newGuard(c, o)
	var err error
	s.trust, err = newTrust(c, o, func(roots *x509.CertPool) transports {
		return transports{
			own:     newTransport(s.guard, s.wait, roots, c.InsecureSkipVerify),
			foreign: newTransport(s.guard, s.wait, roots, false),
		}
	})
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: authTransport{s}, CheckRedirect: s.checkRedirect}
	return s, nil
}

func newTransport(g *outbound.Guard, t timeouts, cas *x509.CertPool, insecure bool) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // see the package comment
		DialContext:            g.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // said in the configuration
		TLSHandshakeTimeout:    t.connect,
		ResponseHeaderTimeout:  t.header,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // we hash what the registry stores
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
	}
}

func (s *session) close() { s.trust.transports().closeIdle() }

// rest is what is left of the registry's rest: that of its own host, or of the server
// without whose tokens it is not read.
func (s *session) rest(now time.Time) (r gate.Rest) {
	if s.local != nil {
		return gate.Rest{}
	}
	realm, _ := s.realm.Load().(string)
	paused := s.pauses.longest(s.origin, realm)
	if paused == nil {
		return gate.Rest{}
	}
	r = gate.Rest{Left: max(paused.after, 0), Kind: paused.kind()}
	if paused.wish > 0 {
		r.Until = now.Add(paused.wish).UTC()
	}
	return r
}

// hop sends one request to one host, without following redirects, and lets
// the host's health learn from it.
func (s *session) hop(req *http.Request) (*http.Response, error) {
	if s.local != nil {
		return s.local.RoundTrip(req)
	}
	host := urlEndpoint(req.URL)
	if err := s.pauses.check(host); err != nil {
		return nil, err
	}
	res, err := s.transport(host).RoundTrip(req)
	var blocked *outbound.BlockedError
	if req.Context().Err() == nil && !errors.As(err, &blocked) {
		s.pauses.observe(host, res)
	}
	return res, err
}

func (s *session) transport(host string) *http.Transport {
	if s.guard.Configured(host) {
		return s.trust.transports().own
	}
	return s.trust.transports().foreign
}

// call travels in a request's context through the client's redirects.
type call struct {
	repo      string // "" for what is about no repository
	image     bool   // a manifest or a blob: a refusal is about this image
	digested  bool   // asked for by digest: whatever serves it is checked
	catalog   bool   // needs the scope for listing repositories
	basic     bool   // an API that knows Basic only and does not ask for it
	exchanges int    // token exchanges so far; used by one goroutine at a time
}

// scope is what a token is asked for: our own words, not the challenge's, so
// that it is nothing but pulling and listing, and a registry that asks for ever
// new scopes cannot make us walk in circles. "" proves a login and no more.
func (c *call) scope() string {
	switch {
	case c.catalog:
		return "registry:catalog:*"
	case c.repo == "":
		return ""
	}
	return "repository:" + c.repo + ":pull"
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// urlEndpoint is the "host:port" that u is reached at.
func urlEndpoint(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	return outbound.Endpoint(net.JoinHostPort(u.Hostname(), port), "")
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// closeBody reads a little of what is left, so that the connection can be used
// again, and closes.
func closeBody(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	_ = res.Body.Close()
}
