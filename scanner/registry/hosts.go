package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

// hostPattern is the grammar of domain names in image references
// (distribution/reference v0.6.0, regexp.go), lower or upper case.
var hostPattern = regexp.MustCompile(`^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*$`)

// checkHost accepts "host" and "host:port" where host is a domain name, an
// IPv4 address or a bracketed IPv6 address.
func checkHost(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	shown := gate.Quoted(s, 100)
	if strings.ContainsAny(s, "/@?#") {
		return fmt.Errorf("%s must be a host with an optional port, without scheme, path or user", shown)
	}
	host, port, hasPort := outbound.SplitHost(s)
	if hasPort {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 || port != strconv.Itoa(n) {
			return fmt.Errorf("%s has no valid port", shown)
		}
	}
	if strings.HasPrefix(host, "[") {
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasSuffix(host, "]") {
			return fmt.Errorf("%s is not an IPv6 address in brackets", shown)
		}
		return nil
	}
	if !hostPattern.MatchString(host) || len(host) > 253 {
		return fmt.Errorf("%s is not a host name", shown)
	}
	// Resolvers take numbers for addresses in more notations than ours
	// (127.1, 0x7f.1): a last label that starts with a digit must be plain IPv4.
	last := host[strings.LastIndex(host, ".")+1:]
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return nil
	}
	if last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("%s is neither a host name nor an IPv4 address", shown)
	}
	return nil
}

// apiHost is the host that serves the registry API for a configured host.
// Docker Hub answers under another name than references use.
func apiHost(host string) string {
	host = gate.CanonicalHost(host)
	if host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// impliedTokenHosts are token hosts that need no configuration because they
// belong to the host by its operator's documentation.
func impliedTokenHosts(host string) []string {
	if gate.CanonicalHost(host) == "docker.io" {
		return []string{"auth.docker.io"} // docs.docker.com/reference/api/registry/auth
	}
	return nil
}
