package outbound

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// reach is who may be connected to at an address.
type reach int

const (
	// reachPublic: every caller, as far as this guard is concerned.
	reachPublic reach = iota
	// reachPrivate: configured hosts only.
	reachPrivate
	// reachLocal: only when the address itself is configured.
	reachLocal
	// reachNever: no caller, whatever is configured. Metadata services give the
	// credentials of the machine to every process on it.
	reachNever
)

// reserved lists the ranges that are not public. The first match counts, so
// the single addresses of the clouds' metadata services stand before the
// ranges around them.
var reserved = []struct {
	prefix netip.Prefix
	reach  reach
	what   string
}{
	{netip.MustParsePrefix("100.100.100.200/32"), reachNever, "metadata service"}, // Alibaba Cloud
	{netip.MustParsePrefix("100.96.0.96/32"), reachNever, "metadata service"},     // Volcano Engine
	{netip.MustParsePrefix("168.63.129.16/32"), reachNever, "metadata service"},   // Azure WireServer
	{netip.MustParsePrefix("192.0.0.192/32"), reachNever, "metadata service"},     // Oracle Cloud
	{netip.MustParsePrefix("fd00:ec2::/32"), reachNever, "metadata service"},      // AWS, …:254 and …:23
	{netip.MustParsePrefix("fd20:ce::254/128"), reachNever, "metadata service"},   // Google Cloud
	{netip.MustParsePrefix("fd00:42::42/128"), reachNever, "metadata service"},    // Scaleway
	{netip.MustParsePrefix("127.0.0.0/8"), reachLocal, "loopback"},                // RFC 1122
	{netip.MustParsePrefix("::1/128"), reachLocal, "loopback"},                    // RFC 4291
	{netip.MustParsePrefix("169.254.0.0/16"), reachNever, "link-local"},           // RFC 3927; metadata of most clouds
	{netip.MustParsePrefix("fe80::/10"), reachNever, "link-local"},                // RFC 4291
	{netip.MustParsePrefix("0.0.0.0/8"), reachLocal, "unspecified"},               // RFC 1122; Linux connects to itself
	{netip.MustParsePrefix("::/128"), reachLocal, "unspecified"},                  // RFC 4291
	{netip.MustParsePrefix("224.0.0.0/4"), reachLocal, "multicast"},               // RFC 5771
	{netip.MustParsePrefix("ff00::/8"), reachLocal, "multicast"},                  // RFC 4291
	{netip.MustParsePrefix("240.0.0.0/4"), reachLocal, "reserved"},                // RFC 1112, and broadcast
	{netip.MustParsePrefix("10.0.0.0/8"), reachPrivate, "private"},                // RFC 1918
	{netip.MustParsePrefix("172.16.0.0/12"), reachPrivate, "private"},             // RFC 1918
	{netip.MustParsePrefix("192.168.0.0/16"), reachPrivate, "private"},            // RFC 1918
	{netip.MustParsePrefix("100.64.0.0/10"), reachPrivate, "carrier-grade NAT"},   // RFC 6598
	{netip.MustParsePrefix("192.0.0.0/24"), reachPrivate, "protocol assignments"}, // RFC 6890
	{netip.MustParsePrefix("198.18.0.0/15"), reachPrivate, "benchmarking"},        // RFC 2544
	{netip.MustParsePrefix("fc00::/7"), reachPrivate, "private"},                  // RFC 4193
	{netip.MustParsePrefix("fec0::/10"), reachPrivate, "site-local"},              // RFC 3879
	{netip.MustParsePrefix("100::/64"), reachPrivate, "discard"},                  // RFC 6666
	{netip.MustParsePrefix("64:ff9b:1::/48"), reachPrivate, "local translation"},  // RFC 8215
	{netip.MustParsePrefix("2001::/32"), reachPrivate, "Teredo"},                  // RFC 4380, obfuscates an IPv4 address
	{netip.MustParsePrefix("2001:db8::/32"), reachPrivate, "documentation"},       // RFC 3849
	{netip.MustParsePrefix("5f00::/16"), reachPrivate, "segment routing"},         // RFC 9602
	{netip.MustParsePrefix("192.88.99.0/24"), reachPrivate, "deprecated relay"},   // RFC 7526
}

// reachOf classifies an address. An IPv6 address that carries an IPv4 address
// (mapped, compatible, NAT64, 6to4) is classified by the address it leads to.
func reachOf(ip netip.Addr) (reach, string) {
	ip = ip.WithZone("").Unmap()
	for _, r := range reserved {
		if r.prefix.Contains(ip) {
			return r.reach, r.what
		}
	}
	if v4, ok := embedded(ip); ok {
		return reachOf(v4)
	}
	return reachPublic, "public"
}

func embedded(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return netip.Addr{}, false
	}
	b := ip.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(ip), // RFC 6052
		netip.MustParsePrefix("::/96").Contains(ip): // RFC 4291 2.5.5.1, deprecated
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(ip): // RFC 3056
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// Guard is a dialer that checks the address that was chosen at the moment of
// connecting, after name resolution, so that a name which changes its mind (DNS
// rebinding) gains nothing. It is asked on every hop of a redirect because every hop
// dials. It is safe for concurrent use.
type Guard struct {
	purpose    Purpose
	configured map[string]bool
	allow      *Allow
	fleet      bool
	timeout    time.Duration
	resolver   *net.Resolver
	dialed     func(target string)
}

// Options are what a [Guard] is made of.
type Options struct {
	Purpose Purpose
	// Hosts are the endpoints ("host:port", see [Endpoint]) that the configuration file
	// names for the purpose. They may have private addresses, and loopback ones if they
	// say so themselves.
	Hosts []string
	// Allow, when it is not nil, is what other hosts must fit: they were set at run time.
	// With nil they are those that a configured host leads to, and have to be public.
	Allow *Allow
	// Fleet is for processes on the same store, whose addresses come from signed values
	// in it: what is written as an address may be private and loopback too. Names and
	// redirects lead nowhere.
	Fleet bool
	// Timeout covers resolving and connecting; 0 is none.
	Timeout time.Duration
	// Resolver is the system's when it is nil.
	Resolver *net.Resolver
	// Dialed is told of each connection that is attempted, by the "host:port" that was
	// asked for; nil tells nobody.
	Dialed func(target string)
}

// NewGuard makes a guard.
func NewGuard(o Options) *Guard {
	g := &Guard{purpose: o.Purpose, configured: map[string]bool{}, allow: o.Allow, fleet: o.Fleet, timeout: o.Timeout, resolver: o.Resolver, dialed: o.Dialed}
	for _, e := range o.Hosts {
		g.configured[e] = true
	}
	return g
}

// Configured reports whether an endpoint is one of those that were configured.
func (g *Guard) Configured(endpoint string) bool { return g.configured[endpoint] }

// DialContext connects to addr ("host:port") if the guard permits the address
// that it resolves to; otherwise the error is a [*BlockedError].
func (g *Guard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{
		Timeout:  g.timeout,
		Resolver: g.resolver,
		Control: func(_, address string, _ syscall.RawConn) error {
			err := g.Check(addr, address)
			if err == nil && g.dialed != nil {
				g.dialed(strings.ToLower(addr))
			}
			return err
		},
	}
	return d.DialContext(ctx, network, addr)
}

// LookupNetIP resolves a name as the guard does when it connects.
func (g *Guard) LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error) {
	resolver := g.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return resolver.LookupNetIP(ctx, "ip", host)
}

// Check permits a connection to address ("ip:port") for a caller that asked for target
// ("host:port"); otherwise the error is a [*BlockedError].
func (g *Guard) Check(target, address string) error {
	target = strings.ToLower(target)
	blocked := &BlockedError{target: target, purpose: g.purpose, atRunTime: g.allow != nil}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		blocked.what, blocked.reach = "unreadable", reachNever
		return blocked
	}
	blocked.ip = ap.Addr().WithZone("").Unmap()
	blocked.reach, blocked.what = reachOf(blocked.ip)
	host, _, err := net.SplitHostPort(target)
	if err != nil || !g.permits(target, host, blocked.ip, blocked.reach) {
		return blocked
	}
	return nil
}

// permits is the rule: see the package comment.
func (g *Guard) permits(target, host string, ip netip.Addr, r reach) bool {
	switch {
	case r == reachNever:
		return false
	case g.configured[target]:
		return r != reachLocal || isLiteral(host, ip)
	case g.fleet:
		return isLiteral(host, ip)
	case g.allow != nil:
		return g.allow.permits(target, ip, r)
	}
	return r == reachPublic
}

// isLiteral reports whether host is the address itself. "localhost" is loopback
// by definition (RFC 6761), so it names a loopback address as openly as digits
// do; any other name does not.
func isLiteral(host string, ip netip.Addr) bool {
	if host == "localhost" {
		return ip.IsLoopback()
	}
	literal, err := netip.ParseAddr(host)
	return err == nil && literal.WithZone("").Unmap() == ip
}
