package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// checkRedirect is the policy of http.Client. What is asked for by digest may
// come from any host, because it is hashed here; everything else (a tag, a list)
// is the claim of the host that answers, so that only configured hosts may. Credentials
// need no care here: authTransport adds them per hop.
func (s *session) checkRedirect(req *http.Request, via []*http.Request) error {
	c, _ := req.Context().Value(callKey{}).(*call)
	to := gate.Quoted(req.URL.Host, 100)
	switch {
	case c == nil || len(via) > maxRedirects:
		return &redirectError{to, fmt.Sprintf("more than %d redirects", maxRedirects)}
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !s.cfg.PlainHTTP):
		return &redirectError{to, "not https"}
	case req.URL.User != nil:
		return &redirectError{to, "it names a user"}
	case !c.digested && !s.guard.Configured(urlEndpoint(req.URL)):
		return &redirectError{to, "only what is asked for by digest may come from a host that is not configured; add the host to blobHosts if it belongs to the registry"}
	}
	req.Header.Del("Authorization")
	req.Header.Del("Referer")
	if from := via[0].URL; len(via) == 1 && (from.Scheme == "http" || req.URL.Scheme == "https") {
		req.Header.Set("Referer", referer(from))
	}
	return nil
}

// referer is the address of the registry's own request without its query, which
// stores with a protection against hot links want to see. The addresses of later
// hops are signed, and nobody else's business, so that only the first hop has one.
func referer(from *url.URL) string {
	u := url.URL{Scheme: from.Scheme, Host: from.Host, Path: from.Path}
	return u.String()
}

// redirectError says that a redirect was not followed. It names the host only:
// addresses of blobs are signed, and every holder of them may read.
type redirectError struct{ host, reason string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("refusing the redirect to %s: %s", e.host, e.reason)
}

// own reports whether a request goes to the registry itself, under one of its
// names, and so may carry credentials.
func (s *session) own(req *http.Request) bool {
	return s.ownHosts[urlEndpoint(req.URL)] && (req.URL.Scheme == "https" || req.URL.Scheme == s.base.Scheme)
}

// unasked reports whether a request may carry credentials before its receiver
// has asked for them: the first one, and hops that stay within the API of the
// registry's host. Behind any other address on that host is something else, as a
// rule a store with signed addresses that refuses a request with an Authorization.
func (s *session) unasked(req *http.Request, c *call) bool {
	root := "/v2/"
	if c.basic {
		root = "/api/"
	}
	for ; req.Response != nil; req = req.Response.Request {
		if urlEndpoint(req.URL) != s.origin || req.URL.Scheme != s.base.Scheme || !within(root, req.URL.Path) {
			return false
		}
	}
	return true
}

// within reports whether a path begins with root for every server, also for one
// that resolves dots or decodes twice.
func within(root, p string) bool {
	return strings.HasPrefix(p, root) && path.Clean(p) == strings.TrimSuffix(p, "/") && !strings.ContainsAny(p, `%\`)
}
