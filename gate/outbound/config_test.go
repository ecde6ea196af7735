package outbound

import (
	"strings"
	"testing"
)

func TestAllow_guard(t *testing.T) {
	allow, err := ParseAllow([]string{"Hooks.example.com", "relay.internal:8443", "*.corp.example:443", "10.20.0.0/16", "fd12::/16", "127.0.0.1:9000", "[::1]:9001", "0.0.0.0/0", "localhost:9002"})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGuard(Options{Purpose: Hook, Hosts: []string{"written.example.com:443"}, Allow: &allow})
	narrow, err := ParseAllow([]string{"*.corp.example", "10.20.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	n := NewGuard(Options{Purpose: Hook, Allow: &narrow})
	none := NewGuard(Options{Purpose: Hook, Allow: &Allow{}})
	fleet := NewGuard(Options{Purpose: Peer, Fleet: true})
	for _, c := range []struct {
		guard           *Guard
		target, address string
		want            bool
	}{
		{g, "hooks.example.com:443", "93.184.215.14:443", true},
		{g, "hooks.example.com:443", "192.168.1.1:443", true}, // written out
		{g, "hooks.example.com:8443", "93.184.215.14:8443", false},
		{g, "hooks.example.com:443", "127.0.0.1:443", false},
		{g, "hooks.example.com:443", "169.254.169.254:443", false},
		{g, "hooks.example.com:443", "[fd00:ec2::254]:443", false},
		{g, "hooks.example.com:443", "100.100.100.200:443", false},
		{g, "relay.internal:8443", "10.1.1.1:8443", true},
		{g, "127.0.0.1:9000", "127.0.0.1:9000", true},
		{g, "[::1]:9001", "[::1]:9001", true},
		{g, "localhost:9002", "127.0.0.1:9002", true},
		{g, "127.0.0.1:9003", "127.0.0.1:9003", false}, // no network opens loopback
		{g, "169.254.169.254:80", "169.254.169.254:80", false},
		{g, "[::ffff:169.254.169.254]:80", "[::ffff:169.254.169.254]:80", false},
		{g, "[64:ff9b::a9fe:a9fe]:80", "[64:ff9b::a9fe:a9fe]:80", false},
		{g, "other.example.com:443", "93.184.215.14:443", false},
		{g, "written.example.com:443", "10.1.1.1:443", true},
		{n, "a.corp.example:443", "93.184.215.14:443", true},
		{n, "a.corp.example:443", "10.20.3.4:443", true},
		{n, "a.corp.example:443", "10.21.3.4:443", false},
		{n, "a.corp.example:80", "93.184.215.14:80", false},
		{n, "corp.example:443", "93.184.215.14:443", false},
		{n, "acorp.example:443", "93.184.215.14:443", false},
		{n, "10.20.3.4:8080", "10.20.3.4:8080", true},
		{n, "10.21.3.4:8080", "10.21.3.4:8080", false},
		{n, "other.example.com:443", "10.20.3.4:443", false},
		{none, "hooks.example.com:443", "93.184.215.14:443", false},
		{fleet, "10.1.1.1:9090", "10.1.1.1:9090", true},
		{fleet, "127.0.0.1:9090", "127.0.0.1:9090", true},
		{fleet, "169.254.169.254:80", "169.254.169.254:80", false},
		{fleet, "100.100.100.200:80", "100.100.100.200:80", false},
		{fleet, "peer.example.com:9090", "10.1.1.1:9090", false},
	} {
		if err := c.guard.Check(c.target, c.address); (err == nil) != c.want {
			t.Errorf("Check(%q, %q): got %v, want permitted %t", c.target, c.address, err, c.want)
		}
	}
}

func TestAllow_Host(t *testing.T) {
	allow, err := ParseAllow([]string{"hooks.example.com", "*.corp.example", "10.20.0.0/16", "127.0.0.1:9000"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"hooks.example.com": "", "HOOKS.example.com:443": "", "hooks.example.com:80": "outbound.allow",
		"a.corp.example": "", "10.20.1.1:8080": "", "10.21.1.1": "outbound.allow", "127.0.0.1:9000": "", "127.0.0.1": "outbound.allow",
		"169.254.169.254": "never connects", "[fd00:ec2::254]:80": "never connects", "[fe80::1]": "never connects", "100.100.100.200:80": "never connects",
	} {
		err := allow.Host(host)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Host(%q): got %v, want %q", host, err, want)
		}
	}
	if (Allow{}).Host("hooks.example.com") == nil {
		t.Error("nothing is allowed, and a host fits")
	}
}

func TestConfig_Validate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := []string{"", "https://x.example", "x.example:0", "x.example:port", "10.0.0.1/8", "*", "*.", "*x.example", "a b", "169.254.169.254", "fe80::1", "[fd00:ec2::254]:80", "user@x.example"}
	err := Config{Allow: bad}.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(bad) {
		t.Errorf("got %d lines for %d entries: %v", len(lines), len(bad), err)
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "allow[") {
			t.Errorf("the line %q does not start with its key", l)
		}
	}
}
