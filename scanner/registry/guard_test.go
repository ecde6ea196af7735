package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/gate/outbound/outboundtest"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestGuardPermitsWhatIsConfigured(t *testing.T) {
	cfg := Config{
		Host: "reg.example.com", Aliases: []string{"REG.internal:8443"}, TokenHosts: []string{"127.0.0.1:5001", "auth.internal"},
		BlobHosts: []string{"localhost:9000", "169.254.10.10:80", "[fd00::1]:5000", "minio.internal:9000"},
	}
	g := newGuard(cfg, Options{})
	tests := []struct {
		target, address string
		ok              bool
	}{
		{"reg.example.com:443", "93.184.215.14:443", true},
		{"reg.example.com:443", "10.0.0.5:443", true},
		{"reg.example.com:443", "[::ffff:10.0.0.5]:443", true},
		{"REG.example.com:443", "100.64.0.7:443", true},
		{"reg.example.com:443", "127.0.0.1:443", false},
		{"reg.example.com:443", "169.254.169.254:443", false},
		{"reg.example.com:443", "100.100.100.200:443", false},
		{"reg.example.com:443", "[::1]:443", false},
		{"reg.example.com:443", "0.0.0.0:443", false},
		{"reg.example.com:22", "10.0.0.5:22", false},
		{"reg.internal:8443", "10.0.0.5:8443", true},
		{"auth.internal:443", "192.168.0.1:443", true},
		{"minio.internal:9000", "10.1.1.1:9000", true},
		{"minio.internal:9001", "10.1.1.1:9001", false},
		{"cdn.example.net:443", "93.184.215.14:443", true},
		{"cdn.example.net:443", "10.0.0.5:443", false},
		{"cdn.example.net:443", "100.64.0.7:443", false},
		{"10.0.0.5:443", "10.0.0.5:443", false},
		{"127.0.0.1:5001", "127.0.0.1:5001", true},
		{"127.0.0.1:5001", "[::ffff:127.0.0.1]:5001", true},
		{"127.0.0.1:5002", "127.0.0.1:5002", false},
		{"evil.example:5001", "127.0.0.1:5001", false},
		{"localhost:9000", "127.0.0.1:9000", true},
		{"localhost:9000", "[::1]:9000", true},
		{"localhost:9000", "169.254.169.254:9000", false},
		{"localhost:9001", "127.0.0.1:9001", false},
		{"169.254.10.10:80", "169.254.10.10:80", false},
		{"169.254.10.10:80", "169.254.169.254:80", false},
		{"[fd00::1]:5000", "[fd00::1]:5000", true},
		{"reg.example.com:443", "nonsense", false},
	}
	for _, tt := range tests {
		if err := g.Check(tt.target, tt.address); (err == nil) != tt.ok {
			t.Errorf("check(%q, %q): got %v, want permitted %v", tt.target, tt.address, err, tt.ok)
		}
	}
}

func TestNamesThatLeadInside(t *testing.T) { // N07: rebinding, and a registry's own name
	victim := start(t, fake.Options{})
	_, port, _ := net.SplitHostPort(victim.Host)
	loc := gate.Location{Registry: "test", Repository: "app"}

	t.Run("host", func(t *testing.T) {
		cfg := configFor(t, victim, fake.Options{})
		cfg.Host = "reg.example.com:" + port
		resolver, asked := outboundtest.NameServer(t, "127.0.0.1")
		c := newClient(t, Options{Registries: []Config{cfg}, Resolver: resolver})
		_, err := c.Head(t.Context(), loc, "1")
		if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "loopback address 127.0.0.1") {
			t.Errorf("got %v", err)
		}
		if asked.Load() == 0 || len(victim.Requests()) != 0 {
			t.Errorf("%d names resolved, %d requests arrived", asked.Load(), len(victim.Requests()))
		}
	})
	t.Run("redirect", func(t *testing.T) {
		r := start(t, fake.Options{})
		for name, to := range map[string]string{
			"name_for_loopback": "http://cdn.example.net:" + port + "/x",
			"literal_loopback":  victim.URL + "/x",
			"mapped_loopback":   "http://[::ffff:127.0.0.1]:" + port + "/x",
			"localhost":         "http://localhost:" + port + "/x",
			"metadata":          "http://169.254.169.254/latest/meta-data/",
			"metadata_alibaba":  "http://100.100.100.200/latest/meta-data/",
			"private":           "http://10.255.255.1/x",
		} {
			t.Run(name, func(t *testing.T) {
				resolver, _ := outboundtest.NameServer(t, "127.0.0.1")
				c := newClient(t, Options{Registries: []Config{configFor(t, r, fake.Options{})}, Resolver: resolver})
				d, _ := r.PutBlob([]byte("content"))
				r.Reset()
				r.Fail(fake.Fault{Path: anyBlob, Status: 307, Header: http.Header{"Location": {to}}})
				_, err := c.Blob(t.Context(), loc, d, 7)
				if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(fmt.Sprint(err), "refusing to connect") {
					t.Errorf("got %v", err)
				}
				if len(victim.Requests()) != 0 || len(r.Requests()) != 1 {
					t.Errorf("%d requests arrived inside, %d at the registry", len(victim.Requests()), len(r.Requests()))
				}
			})
		}
	})
}

// A name that was harmless when it was looked at first and leads inside when it
// is connected to: there is no first look, only the connection counts.
func TestRebinding(t *testing.T) {
	victim := start(t, fake.Options{})
	_, port, _ := net.SplitHostPort(victim.Host)
	resolver, _ := outboundtest.NameServer(t, "93.184.215.14", "127.0.0.1")
	if _, err := resolver.LookupNetIP(t.Context(), "ip4", "cdn.example.net"); err != nil {
		t.Fatal(err)
	}
	g := newGuard(Config{Host: "reg.example.com"}, Options{timeouts: patient(), Resolver: resolver})
	conn, err := g.DialContext(t.Context(), "tcp", "cdn.example.net:"+port)
	var blocked *outbound.BlockedError
	if !errors.As(err, &blocked) || !strings.Contains(blocked.Error(), "address 127.0.0.1") {
		t.Errorf("got %v, %v, want the loopback address refused", conn, err)
	}
}

func TestEndpoints(t *testing.T) {
	for in, want := range map[string]string{
		"Reg.Example.com": "reg.example.com:443", "reg:5000": "reg:5000", "10.0.0.1": "10.0.0.1:443",
		"[::1]": "[::1]:443", "[0:0::1]:5000": "[::1]:5000", "[::FFFF:1.2.3.4]:1": "[::ffff:1.2.3.4]:1",
	} {
		if got := outbound.Endpoint(in, "443"); got != want {
			t.Errorf("endpoint(%q): got %q, want %q", in, got, want)
		}
	}
	if got := apiHost("index.docker.io"); got != "registry-1.docker.io" {
		t.Errorf("apiHost: got %q", got)
	}
}

func TestInsecureIsForConfiguredHostsOnly(t *testing.T) {
	cfg := validConfig()
	cfg.InsecureSkipVerify, cfg.BlobHosts = true, []string{"s3.internal:9000"}
	c := newClient(t, Options{Registries: []Config{cfg}})
	s := c.sessions[cfg.Name]
	for host, want := range map[string]bool{"harbor.example.com:443": true, "s3.internal:9000": true, "cdn.example.net:443": false} {
		if got := s.transport(host).TLSClientConfig.InsecureSkipVerify; got != want {
			t.Errorf("%s: insecure %v, want %v", host, got, want)
		}
	}
}
