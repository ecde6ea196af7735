package outbound

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxRedirects: what is asked of others than registries is at most moved once or twice.
const maxRedirects = 5

// ClientOptions are what [NewClient] makes a client of. Hosts are as in the
// configuration, "host" or "host:port", 443 without one.
type ClientOptions struct {
	Purpose Purpose
	Hosts   []string
	Allow   *Allow        // see [Options]
	Fleet   bool          // likewise
	Timeout time.Duration // of a whole request
	// TLS is cloned; nil is the system's authorities.
	TLS      *tls.Config
	Resolver *net.Resolver
	Dialed   func(target string)
}

// NewClient is an HTTP client for what is asked of other hosts than registries, such as
// an issuer's keys: a [Guard] decides at every connection and on every hop of a redirect.
// Proxies of the environment are not used. A redirect to another host is followed for a
// GET or HEAD that carries nothing of ours but what every request has (Accept, Range,
// conditions, User-Agent), never from https to http, and never with a Referer, because
// addresses can be secrets; otherwise the error is a [*RedirectError]. The client is safe
// for concurrent use and should be kept.
func NewClient(o ClientOptions) *http.Client {
	var configured []string
	for _, h := range o.Hosts {
		configured = append(configured, Endpoint(h, "443"))
	}
	g := NewGuard(Options{Purpose: o.Purpose, Hosts: configured, Allow: o.Allow, Fleet: o.Fleet, Timeout: o.Timeout, Resolver: o.Resolver, Dialed: o.Dialed})
	redirect := checkRedirect
	if o.Fleet {
		redirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	conf := o.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return &http.Client{
		Timeout: o.Timeout, CheckRedirect: redirect,
		Transport: &http.Transport{
			DialContext: g.DialContext, TLSClientConfig: conf, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}
}

// RedirectError says that a redirect was not followed. It names the host only: the rest
// of an address may be a secret.
type RedirectError struct{ host, reason string }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("refusing the redirect to %s: %s", e.host, e.reason)
}

// plain are the headers that say nothing about who asks.
var plain = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Range": true, "If-Range": true, "If-None-Match": true, "If-Modified-Since": true, "User-Agent": true,
}

// checkRedirect is the policy of http.Client.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	refuse := func(format string, args ...any) error {
		return &RedirectError{gate.Quoted(req.URL.Host, 100), fmt.Sprintf(format, args...)}
	}
	switch {
	case len(via) > maxRedirects:
		return refuse("more than %d redirects", maxRedirects)
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || via[len(via)-1].URL.Scheme != "http"):
		return refuse("it leaves https")
	case req.URL.User != nil:
		return refuse("it names a user")
	}
	req.Header.Del("Referer")
	if urlEndpoint(req.URL) == urlEndpoint(first.URL) {
		return nil
	}
	if first.Method != http.MethodGet && first.Method != http.MethodHead || first.URL.User != nil {
		return refuse("it leads to another host, and what was sent is not for that; write the final address into the configuration")
	}
	for name := range first.Header {
		if !plain[name] && name != "Referer" {
			return refuse("it leads to another host, and the credentials are not for that; write the final address into the configuration")
		}
	}
	return nil
}

// urlEndpoint is the scheme and "host:port" that u is reached at.
func urlEndpoint(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + Endpoint(net.JoinHostPort(u.Hostname(), port), "")
}
