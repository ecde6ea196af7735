package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Config is the part "outbound" of the configuration.
type Config struct {
	// Allow is where hosts may be that are set at run time, through the API: names
	// ("hooks.example.com", "*.example.com"), each with an optional port, 443 without
	// one, and networks ("10.20.0.0/16") for addresses that are written in digits. Empty:
	// nothing that is set at run time is connected to. See [Allow].
	Allow []string `yaml:"allow"`
}

// Default is the configuration when nothing is written.
func Default() Config { return Config{Allow: []string{}} }

// Validate reports every problem at once; each line starts with the key, such as
// "allow[0]".
func (c Config) Validate() error {
	_, err := ParseAllow(c.Allow)
	return err
}

// Allow is what may be connected to of what is set at run time. Its zero value allows
// nothing.
//
// A name fits if an entry is that name, or "*." and what it ends with. One that is
// written out may have a private address, because the configuration file names it; one
// that only fits a pattern may if a network of the list has the address. An address that
// is written in digits must be an entry or in a network of the list. Loopback addresses
// have to be entries themselves; metadata services and link-local addresses are never
// connected to, whatever the list says.
type Allow struct {
	names    map[string]bool // endpoints
	patterns []pattern
	networks []netip.Prefix
}

// pattern is "*.example.com:443".
type pattern struct{ suffix, port string }

// namePattern is the grammar of host names in lower case.
var namePattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$`)

// ParseAllow reads the entries of [Config.Allow]; an error names each that is wrong by
// "allow[i]".
func ParseAllow(entries []string) (Allow, error) {
	a := Allow{names: map[string]bool{}}
	var errs []error
	for i, entry := range entries {
		if err := a.add(strings.ToLower(entry)); err != nil {
			errs = append(errs, fmt.Errorf("allow[%d]: got %q, %w", i, entry, err))
		}
	}
	return a, errors.Join(errs...)
}

const wantEntry = "want a host name (hooks.example.com), *. and the end of names (*.example.com), an address, each with an optional port, or a network (10.20.0.0/16)"

func (a *Allow) add(entry string) error {
	if strings.Contains(entry, "/") {
		network, err := netip.ParsePrefix(entry)
		switch {
		case err != nil:
			return errors.New(wantEntry)
		case network != network.Masked():
			return fmt.Errorf("want the network's own address: %s", network.Masked())
		}
		a.networks = append(a.networks, network)
		return nil
	}
	host, port, hasPort := SplitHost(entry)
	if !hasPort {
		port = "443"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port != strconv.Itoa(n) {
		return fmt.Errorf("%q is not a port; %s", port, wantEntry)
	}
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		if name, ok := strings.CutPrefix(suffix, "."); !ok || !namePattern.MatchString(name) {
			return errors.New(wantEntry)
		}
		a.patterns = append(a.patterns, pattern{suffix, port})
		return nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(bare); err != nil && !namePattern.MatchString(host) {
		return errors.New(wantEntry)
	}
	if why := Never(host); why != "" {
		return errors.New(why)
	}
	a.names[Endpoint(host+":"+port, "")] = true
	return nil
}

// Host reports whether a host ("host" or "host:port", 443 without one) that is set
// at run time fits, as far as its name tells; nil, or an error that says what to do. The
// address that the name leads to is judged when it is connected to.
func (a Allow) Host(host string) error {
	endpoint := Endpoint(host, "443")
	name, port := endpointParts(endpoint)
	if why := Never(name); why != "" {
		return errors.New(why)
	}
	ip, err := netip.ParseAddr(name)
	if a.names[endpoint] || a.matches(name, port) || err == nil && a.contains(ip) {
		return nil
	}
	return fmt.Errorf("%q is not in outbound.allow; an operator has to add it there, in the configuration file, if it is to be reached", endpoint)
}

// permits decides about an address that a name at run time has led to.
func (a Allow) permits(target string, ip netip.Addr, r reach) bool {
	name, port := endpointParts(target)
	_, err := netip.ParseAddr(name)
	literal := err == nil
	switch {
	case r == reachNever:
		return false
	case a.names[target]:
		return r != reachLocal || isLiteral(name, ip)
	case r == reachLocal:
		return false
	case literal:
		return a.contains(ip)
	case a.matches(name, port):
		return r == reachPublic || a.contains(ip)
	}
	return false
}

func (a Allow) matches(name, port string) bool {
	for _, p := range a.patterns {
		if p.port == port && strings.HasSuffix(name, p.suffix) {
			return true
		}
	}
	return false
}

func (a Allow) contains(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	for _, n := range a.networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
