package download

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound/outboundtest"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// expired is a certificate that was valid yesterday, and its authority, which is itself.
func expired(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestCertificates: nothing but what the operator has said makes a host trusted.
func TestCertificates(t *testing.T) {
	secure, plain := start(t, fake.Options{TLS: true}), start(t, fake.Options{})
	other := start(t, fake.Options{TLS: true})
	want := put(t, secure, "2", data(t, 1, 1000))
	put(t, plain, "2", data(t, 1, 1000))
	certificate, authority := expired(t)
	old := httptest.NewUnstartedServer(secure)
	old.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.StartTLS()
	defer old.Close()
	oldHost := strings.TrimPrefix(old.URL, "https://")
	for name, c := range map[string]struct {
		repository Repository
		registries []registry.Config
		want       string // "" works
	}{
		"unknown_authority": {Repository{Repository: secure.Host + "/trivy-db:2"}, nil, "unknown authority"},
		"its_authority":     {Repository{Repository: secure.Host + "/trivy-db:2", CAFile: file(t, string(secure.CAPEM()))}, nil, ""},
		"wrong_authority":   {Repository{Repository: secure.Host + "/trivy-db:2", CAFile: file(t, string(other.CAPEM()))}, nil, "unknown authority"},
		"insecure":          {Repository{Repository: secure.Host + "/trivy-db:2", Insecure: true}, nil, ""},
		"expired":           {Repository{Repository: oldHost + "/trivy-db:2", CAFile: file(t, authority)}, nil, "expired"},
		"expired_insecure":  {Repository{Repository: oldHost + "/trivy-db:2", Insecure: true}, nil, ""},
		"http":              {Repository{Repository: plain.Host + "/trivy-db:2"}, nil, "speaks http"},
		"http_insecure":     {Repository{Repository: plain.Host + "/trivy-db:2", Insecure: true}, nil, ""},
		"http_by_entry":     {Repository{Repository: plain.Host + "/trivy-db:2"}, []registry.Config{{Host: plain.Host, PlainHTTP: true}}, ""},
		"authority_by_entry": {
			Repository{Repository: secure.Host + "/trivy-db:2"}, []registry.Config{{Host: "x.example.com"}, {Host: "y.example.com", Aliases: []string{secure.Host}, CAFile: file(t, string(secure.CAPEM()))}}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.repository.Validate(); err != nil {
				t.Fatal(err)
			}
			got, err := newDownloader(t, Options{Repositories: []Repository{c.repository}, Registries: c.registries}).Fetch(t.Context(), Request{})
			switch {
			case c.want == "" && (err != nil || got.Manifest != want):
				t.Errorf("got %v, %v", got, err)
			case c.want != "" && (!errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	for _, auth := range []fake.Auth{fake.AuthBasic, fake.AuthBearer} {
		t.Run(string(auth), func(t *testing.T) {
			r := start(t, fake.Options{Auth: auth, Username: "user", Password: "s3cret"})
			want := put(t, r, "2", data(t, 1, 1000))
			with := at(r)
			with.Username, with.PasswordFile = "user", file(t, "s3cret\n")
			wrong := at(r)
			wrong.Username, wrong.PasswordFile = "user", file(t, "wrong")
			entry := []registry.Config{{Host: r.Host, Username: "user", PasswordFile: file(t, "s3cret")}}
			for name, c := range map[string]struct {
				repository Repository
				registries []registry.Config
				ok         bool
			}{
				"none": {at(r), nil, false}, "wrong": {wrong, entry, false}, "own": {with, nil, true}, "of_the_entry": {at(r), entry, true},
			} {
				got, err := newDownloader(t, Options{Repositories: []Repository{c.repository}, Registries: c.registries}).Fetch(t.Context(), Request{})
				if c.ok && (err != nil || got.Manifest != want) || !c.ok && !errors.Is(err, gate.ErrRegistryAuth) {
					t.Errorf("%s: got %v, %v", name, got, err)
				}
				if err != nil && strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: the error tells the password: %v", name, err)
				}
			}
		})
	}
}

// TestRedirects: what is asked for by digest may come from elsewhere, without credentials;
// a tag may not, and nothing comes from inside.
func TestRedirects(t *testing.T) {
	r := start(t, fake.Options{Auth: fake.AuthBasic, Username: "user", Password: "s3cret"})
	layer := data(t, 1, 1000)
	want := put(t, r, "2", layer)
	store := start(t, fake.Options{})
	put(t, store, "2", layer)
	with := at(r)
	with.Username, with.PasswordFile = "user", file(t, "s3cret")
	entry := []registry.Config{{Host: r.Host, BlobHosts: []string{store.Host}}}
	blobs := "http://" + store.Host + "/v2/trivy-db/blobs/" + string(fake.DigestOf(layer))

	t.Run("blob", func(t *testing.T) {
		r.Reset()
		r.Fail(fake.Fault{Path: blobPath, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {blobs}}})
		got, err := newDownloader(t, Options{Repositories: []Repository{with}, Registries: entry}).Fetch(t.Context(), Request{})
		if err != nil || got.Manifest != want {
			t.Fatalf("got %v, %v", got, err)
		}
		for _, q := range store.Requests() {
			if q.Authorization != "" {
				t.Errorf("the other host has seen %q", q.Authorization)
			}
		}
		if store.Count("GET", "/blobs/") != 1 {
			t.Error("the other host was not asked")
		}
	})
	t.Run("tag", func(t *testing.T) {
		r.Reset()
		store.Reset()
		r.Fail(fake.Fault{Path: "/v2/trivy-db/manifests/2", Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://localhost:1/v2/trivy-db/manifests/2"}}})
		got, err := newDownloader(t, Options{Repositories: []Repository{with}}).Fetch(t.Context(), Request{})
		if err == nil || !strings.Contains(err.Error(), "redirect") {
			t.Errorf("got %v, %v", got, err)
		}
	})
	for name, to := range map[string]string{
		"metadata": "http://169.254.169.254/x", "metadata_alibaba": "http://100.100.100.200/x", "metadata_ipv6": "http://[fd00:ec2::254]/x",
		"mapped": "http://[::ffff:169.254.169.254]/x", "not_named": blobs, "private": "http://10.255.255.1/x",
	} {
		t.Run(name, func(t *testing.T) {
			r.Reset()
			store.Reset()
			r.Fail(fake.Fault{Path: blobPath, Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to}}})
			_, err := newDownloader(t, Options{Repositories: []Repository{with}}).Fetch(t.Context(), Request{})
			if err == nil || !strings.Contains(err.Error(), "refusing to connect") || !strings.Contains(err.Error(), "advisories.repositories") && !strings.Contains(err.Error(), "never connects") {
				t.Errorf("got %v", err)
			}
			if len(store.Requests()) != 0 {
				t.Error("the other host was asked")
			}
		})
	}
}

// TestAddresses: a mirror in the configuration may be private, and nothing else.
func TestAddresses(t *testing.T) {
	var dialed atomic.Int32
	for name, address := range map[string]string{
		"metadata": "169.254.169.254", "link_local": "169.254.7.7", "alibaba": "100.100.100.200", "loopback": "127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			dialed.Store(0)
			resolver, _ := outboundtest.NameServer(t, address)
			d := newDownloader(t, Options{
				Repositories: []Repository{{Repository: "mirror.example.com/trivy-db:2"}}, Resolver: resolver, Dialed: func(string) { dialed.Add(1) },
			})
			_, err := d.Fetch(t.Context(), Request{})
			if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "refusing to connect") {
				t.Errorf("got %v", err)
			}
			if n := dialed.Load(); n != 0 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// TestNoLibraryDials: every connection that arrives, for the tag, the manifest, the
// signature and the layer, is one that the guarded dialer has made.
func TestNoLibraryDials(t *testing.T) {
	ours := ecdsaSigner(t)
	r := start(t, fake.Options{})
	var accepted, dialed atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Connection", "close") // so that each request is a connection
		r.ServeHTTP(w, req)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			accepted.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	of := put(t, r, "2", data(t, 1, 1000))
	p := payloadOf(of, cosignKind)
	sign(t, r, of, signatureOf(t, ours, p, p))
	host := strings.TrimPrefix(server.URL, "http://")
	d := newDownloader(t, Options{
		Repositories: []Repository{{Repository: host + "/trivy-db:2"}}, Registries: []registry.Config{{Host: host, PlainHTTP: true}},
		Keys: []string{ours.file}, Dialed: func(target string) {
			if target != host {
				t.Errorf("a connection to %q", target)
			}
			dialed.Add(1)
		},
	})
	if c, err := d.Fetch(t.Context(), Request{}); err != nil || c.SignedBy != ours.file {
		t.Fatalf("got %v, %v", c, err)
	}
	if a, n := accepted.Load(), dialed.Load(); a != n || n < 5 {
		t.Errorf("%d connections arrived, %d were made by the guard, want the same and at least 5", a, n)
	}
}

func TestRepository_Validate(t *testing.T) {
	for ref, want := range map[string]string{
		"mirror.gcr.io/aquasec/trivy-db:2": "", "localhost:5000/trivy-db": "", "127.0.0.1:5000/trivy-db:2": "", "[fd12::1]:5000/trivy-db:2": "",
		"r.example.com/trivy-db@sha256:" + strings.Repeat("0", 64): "",
		"":                              "want host/repository:tag",
		"https://r.example.com/x:2":     "want host/repository:tag",
		"aquasec/trivy-db:2":            "want host/repository:tag",
		"trivy-db":                      "want host/repository:tag",
		"r.example.com/":                "want host/repository:tag",
		"r.example.com/X:2":             "want host/repository:tag",
		" r.example.com/x:2":            "want host/repository:tag",
		"user:pw@r.example.com/x:2":     "want host/repository:tag",
		"169.254.169.254/trivy-db:2":    "never connects",
		"169.254.9.9:5000/trivy-db:2":   "never connects",
		"100.100.100.200/trivy-db:2":    "never connects",
		"[fd00:ec2::254]:80/trivy-db:2": "never connects",
		"[fe80::1]/trivy-db:2":          "never connects",
	} {
		err := Repository{Repository: ref}.Validate()
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("Validate(%q): got %v, want %q", ref, err, want)
		}
	}
	err := Repository{Repository: "r.example.com/x:2", Username: "u", PasswordFile: "/absent", CAFile: "/absent"}.Validate()
	for _, want := range []string{"passwordFile: ", "caFile: "} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("got %v, want a line that starts with %q", err, want)
		}
	}
	if got := fmt.Sprint(Repositories("a.example.com/b:2", "c.example.com/d:2")); got != "[a.example.com/b:2 c.example.com/d:2]" {
		t.Errorf("Repositories: got %s", got)
	}
}
