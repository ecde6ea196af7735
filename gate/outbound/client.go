package outbound

import (
	"net/http"
	"time"
)

// Client is an HTTP client for what is asked of other hosts than
// registries, such as an issuer's keys: a [Guard] decides at
// every connection and on every hop of a redirect. hosts ("host" or
// "host:port") may have private addresses, and loopback ones if they say so
// themselves; metadata services and every other host in such ranges are
// refused. timeout covers a whole request. The client is safe for concurrent
// use and should be kept.
func Client(hosts []string, timeout time.Duration) *http.Client {
	var configured []string
	for _, h := range hosts {
		configured = append(configured, Endpoint(h, "443"))
	}
	g := NewGuard(configured, timeout, nil)
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: g.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		},
	}
}
