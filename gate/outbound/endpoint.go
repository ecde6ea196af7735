package outbound

import (
	"net"
	"net/netip"
	"strings"
)

// SplitHost separates the port from a host without touching brackets.
func SplitHost(s string) (host, port string, hasPort bool) {
	i := strings.LastIndex(s, ":")
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// Endpoint is the "host:port" in lower case that a dialer is given for a
// configured host; IPv6 addresses are in their canonical form.
func Endpoint(host, defaultPort string) string {
	h, port, ok := SplitHost(strings.ToLower(host))
	if !ok {
		port = defaultPort
	}
	h = strings.TrimSuffix(strings.TrimPrefix(h, "["), "]")
	if addr, err := netip.ParseAddr(h); err == nil {
		h = addr.String()
	}
	return net.JoinHostPort(h, port)
}
