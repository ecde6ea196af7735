package outbound

import (
	"fmt"
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

// endpointParts takes an endpoint apart; IPv6 addresses are without brackets.
func endpointParts(endpoint string) (host, port string) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return endpoint, ""
	}
	return host, port
}

// Never says why a host that is written as an address is never connected to,
// also when it is configured; "" when it may be. A name is judged when it is connected to.
func Never(host string) string {
	h, _, _ := SplitHost(host)
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"))
	if err != nil {
		if ip, err = netip.ParseAddr(host); err != nil {
			return ""
		}
	}
	if r, what := reachOf(ip); r == reachNever {
		return fmt.Sprintf("it is the %s address %s, to which digestgate never connects", what, ip)
	}
	return ""
}
