package registry

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound/outboundtest"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// redirecting is a registry with a login whose blobs are in a store of its own
// host, reached by signed addresses, as Harbor with an internal object store
// and the clouds do it. Only the store has the blobs' content.
func redirecting(t *testing.T, change func(*Config, *fake.Registry)) (r rig, store *fake.Registry, image v1.Image) {
	t.Helper()
	store = start(t, fake.Options{})
	r = newRig(t, bearer(false), func(c *Config, _ *Options) { change(c, store) })
	_, image = r.push(t, "1.0", 1000, 200_000)
	m, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Push("bucket", "x", image); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(m.Layers, m.Config) {
		address := store.URL + "/v2/bucket/blobs/" + d.Digest.String() + "?signature=s3cr3t"
		r.Fail(fake.Fault{Path: "/v2/**/blobs/" + d.Digest.String(), Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {address}}})
	}
	return r, store, image
}

func TestPrivateObjectStore(t *testing.T) {
	t.Run("configured", func(t *testing.T) {
		r, store, image := redirecting(t, func(c *Config, s *fake.Registry) { c.BlobHosts = []string{s.Host} })
		d, err := r.client.Head(t.Context(), r.loc, "1.0")
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.client.Image(t.Context(), r.loc, d)
		if err != nil {
			t.Fatal(err)
		}
		config, _ := image.RawConfigFile()
		if !bytes.Equal(got.Config, config) {
			t.Errorf("configuration: got %q, want %q", got.Config, config)
		}
		layers, _ := image.Layers()
		for i, l := range got.Layers {
			checkLayer(t, r, l, layers[i])
		}
		if asked := store.Requests(); len(asked) < 3 {
			t.Errorf("the store was asked %d times, want at least 3", len(asked))
		}
		for _, q := range store.Requests() {
			if q.Authorization != "" || !strings.HasPrefix(q.Referer, r.URL+"/v2/team/app/blobs/sha256:") || strings.Contains(q.Referer, "?") || q.Query != "signature=s3cr3t" || q.Method != http.MethodGet {
				t.Errorf("the store was asked %+v", q)
			}
		}
		for _, q := range r.Requests() {
			if strings.Contains(q.Path, "/blobs/") && !strings.HasPrefix(q.Authorization, "Bearer ") {
				t.Errorf("the registry itself was asked %+v", q)
			}
		}
	})
	for name, change := range map[string]func(*Config, *fake.Registry){
		"not_configured": func(*Config, *fake.Registry) {},
		"other_port": func(c *Config, s *fake.Registry) {
			host, _, _ := net.SplitHostPort(s.Host)
			c.BlobHosts = []string{host + ":1"}
		},
		"other_name": func(c *Config, s *fake.Registry) {
			_, port, _ := net.SplitHostPort(s.Host)
			c.BlobHosts = []string{"localhost:" + port}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, store, _ := redirecting(t, change)
			d, err := r.client.Head(t.Context(), r.loc, "1.0")
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.client.Image(t.Context(), r.loc, d)
			if !errors.Is(err, gate.ErrRegistryUnavailable) {
				t.Fatalf("got %v, want ErrRegistryUnavailable", err)
			}
			for _, word := range []string{store.Host, "refusing to connect", "loopback address 127.0.0.1", "blobHost"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in %q", word, err)
				}
			}
			noSecret(t, err)
			if n := len(store.Requests()); n != 0 {
				t.Errorf("%d requests arrived at the store", n)
			}
		})
	}
}

// TestStoreLeadsInside: a store that may be redirected to is trusted no further:
// where it redirects to is judged again when it is connected to.
func TestStoreLeadsInside(t *testing.T) {
	victim := start(t, fake.Options{})
	_, port, _ := net.SplitHostPort(victim.Host)
	for name, c := range map[string]struct{ to, what string }{
		"metadata":        {"http://169.254.169.254/latest/meta-data/iam/security-credentials/", "link-local address 169.254.169.254"},
		"metadata_ipv6":   {"http://[fd00:ec2::254]/latest/meta-data/", "metadata service address fd00:ec2::254"},
		"metadata_mapped": {"http://[::ffff:169.254.169.254]/latest/", "link-local address 169.254.169.254"},
		"name":            {"http://metadata.example.net:" + port + "/latest/", "loopback address 127.0.0.1"},
		"other_loopback":  {victim.URL + "/v2/", "loopback address 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver, _ := outboundtest.NameServer(t, "127.0.0.1")
			store := start(t, fake.Options{})
			r := newRig(t, fake.Options{}, func(cfg *Config, o *Options) { cfg.BlobHosts, o.Resolver = []string{store.Host}, resolver })
			d, err := r.PutBlob([]byte("content"))
			if err != nil {
				t.Fatal(err)
			}
			r.Fail(fake.Fault{Path: anyBlob, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {store.URL + "/v2/bucket/blobs/" + string(d)}}})
			store.Fail(fake.Fault{Status: http.StatusFound, Header: http.Header{"Location": {c.to}}})
			_, err = r.blob(t.Context(), d, 7)
			if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "refusing to connect") || !strings.Contains(err.Error(), c.what) {
				t.Errorf("got %v, want %q refused", err, c.what)
			}
			if len(store.Requests()) != 1 || len(victim.Requests()) != 0 {
				t.Errorf("%d requests at the store, %d inside", len(store.Requests()), len(victim.Requests()))
			}
		})
	}
}

// TestNameThatTurnsInside is rebinding through the whole client: the name leads
// to the registry's store at first, and inside on the next connection.
func TestNameThatTurnsInside(t *testing.T) {
	r := newRig(t, fake.Options{})
	_, port, _ := net.SplitHostPort(r.Host)
	resolver, asked := outboundtest.NameServer(t, "198.51.100.1", "127.0.0.1")
	if ips, err := resolver.LookupNetIP(t.Context(), "ip4", "store.example.net"); err != nil || ips[0].String() != "198.51.100.1" {
		t.Fatalf("first look: %v, %v", ips, err)
	}
	cfg := configFor(t, r.Registry, fake.Options{})
	cfg.BlobHosts = []string{"store.example.net:" + port} // even where it is configured
	c := newClient(t, Options{Registries: []Config{cfg}, Resolver: resolver})
	d, err := r.PutBlob([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(fake.Fault{Path: anyBlob, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://store.example.net:" + port + "/x"}}})
	_, err = c.Blob(t.Context(), r.loc, d, 7)
	if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "loopback address 127.0.0.1") {
		t.Errorf("got %v, want the loopback address refused", err)
	}
	if asked.Load() != 2 || len(r.Requests()) != 1 {
		t.Errorf("%d names resolved, %d requests", asked.Load(), len(r.Requests()))
	}
}
