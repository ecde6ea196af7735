package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// storeOf is a server of the test's own that records what it was asked.
type storeOf struct {
	url, host string

	mu    sync.Mutex
	asked []*http.Request
}

func (s *storeOf) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func serveStore(t *testing.T, handle http.HandlerFunc) *storeOf {
	t.Helper()
	s := &storeOf{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, req)
		s.mu.Unlock()
		handle(w, req)
	}))
	t.Cleanup(server.Close)
	s.url, s.host = server.URL, strings.TrimPrefix(server.URL, "http://")
	return s
}

// TestManifestsAreRedirected: registry.k8s.io and registries with their manifests
// in an object store.
func TestManifestsAreRedirected(t *testing.T) {
	setup := func(t *testing.T, configured bool) (rig, *fake.Registry, gate.Digest) {
		other := start(t, fake.Options{})
		r := newRig(t, bearer(false), func(c *Config, _ *Options) {
			if configured {
				c.BlobHosts = []string{other.Host}
			}
		})
		d, img := r.push(t, "1", 10, 20)
		if _, err := other.Push("mirror/app", "1", img); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{"1", string(d)} {
			r.Fail(fake.Fault{Path: "/v2/team/app/manifests/" + ref, Status: 307, Header: http.Header{"Location": {other.URL + "/v2/mirror/app/manifests/" + ref}}})
		}
		return r, other, d
	}
	t.Run("configured_host", func(t *testing.T) {
		r, other, d := setup(t, true)
		for _, ref := range []string{"1", string(d)} {
			if m, err := r.client.Resolve(t.Context(), r.loc, ref); err != nil || m.Digest != d {
				t.Errorf("Resolve(%q): got %q, %v, want %q", ref, m.Digest, err, d)
			}
			if got, err := r.client.Head(t.Context(), r.loc, ref); err != nil || got != d {
				t.Errorf("Head(%q): got %q, %v, want %q", ref, got, err, d)
			}
		}
		for _, q := range other.Requests() {
			if q.Authorization != "" {
				t.Errorf("credentials went to another host: %+v", q)
			}
		}
	})
	t.Run("other_bytes_for_a_digest", func(t *testing.T) {
		r, other, d := setup(t, true)
		other.Fail(fake.Fault{Path: anyManifest, Body: []byte(`{"schemaVersion":2}`)})
		if _, err := r.client.Resolve(t.Context(), r.loc, string(d)); !errors.Is(err, gate.ErrIntegrity) {
			t.Errorf("got %v, want ErrIntegrity", err)
		}
	})
	// Loopback is only reached when it is configured; so whether a foreign host is
	// asked shows in why it is not.
	t.Run("foreign_host", func(t *testing.T) {
		r, other, d := setup(t, false)
		_, byTag := r.client.Resolve(t.Context(), r.loc, "1")
		_, byDigest := r.client.Resolve(t.Context(), r.loc, string(d))
		if !errors.Is(byTag, gate.ErrRegistryUnavailable) || !strings.Contains(fmt.Sprint(byTag), "refusing the redirect") || !strings.Contains(fmt.Sprint(byTag), "blobHosts") {
			t.Errorf("by tag: got %v, want the redirect refused", byTag)
		}
		if !strings.Contains(fmt.Sprint(byDigest), "refusing to connect") {
			t.Errorf("by digest: got %v, want the redirect followed and the address refused", byDigest)
		}
		if n := len(other.Requests()); n != 0 {
			t.Errorf("%d requests at the other host", n)
		}
	})
}

// TestSameHostOutsideTheAPI: a store behind the registry's own name refuses
// requests that bring the registry's token, and may ask for a login of its own.
func TestSameHostOutsideTheAPI(t *testing.T) {
	content := []byte("content of a layer")
	for name, c := range map[string]struct {
		location string // "HOST" is the registry's URL, "ALIAS" that of an alias
		wants    func(r *fake.Registry, w http.ResponseWriter, req *http.Request) bool
		auth     fake.Auth
		sent     []string // schemes of Authorization, hop by hop
		fails    error
	}{
		"signed_address": {location: "HOST/_storage_proxy/sig/x", wants: func(_ *fake.Registry, w http.ResponseWriter, req *http.Request) bool {
			if req.Header.Get("Authorization") != "" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return req.Header.Get("Authorization") == ""
		}, sent: []string{""}},
		"s3": {location: "HOST/bucket/x?X-Amz-Signature=1", wants: func(_ *fake.Registry, w http.ResponseWriter, req *http.Request) bool {
			if req.Header.Get("Authorization") != "" {
				w.WriteHeader(http.StatusBadRequest)
			}
			return req.Header.Get("Authorization") == ""
		}, sent: []string{""}},
		"dots": {location: "HOST/v2/%2e%2e/_storage_proxy/x", wants: func(_ *fake.Registry, w http.ResponseWriter, req *http.Request) bool {
			if req.Header.Get("Authorization") != "" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			return req.Header.Get("Authorization") == ""
		}, sent: []string{""}},
		"asks_for_basic": {location: "HOST/artifactory/x", wants: basicOrChallenge, sent: []string{"", "Basic"}},
		"asks_for_token": {location: "HOST/artifactory/x", wants: func(r *fake.Registry, w http.ResponseWriter, req *http.Request) bool {
			if strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ") {
				return true
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="other"`, r.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}, sent: []string{"", "Bearer"}},
		"expired_signature": {location: "HOST/_storage_proxy/x", wants: func(_ *fake.Registry, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}, sent: []string{""}, fails: gate.ErrRegistryUnavailable},
		"expired_signature_403": {location: "HOST/_storage_proxy/x", wants: func(_ *fake.Registry, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusForbidden)
			return false
		}, sent: []string{""}, fails: gate.ErrRegistryUnavailable},
		"refuses_its_own_challenge": {location: "HOST/artifactory/x", wants: func(_ *fake.Registry, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}, sent: []string{"", "Basic"}, fails: gate.ErrRegistryAuth},
		"alias": {location: "ALIAS/_storage/x", wants: func(_ *fake.Registry, _ http.ResponseWriter, req *http.Request) bool {
			return req.Header.Get("Authorization") == ""
		}, sent: []string{""}},
		"alias_asks": {location: "ALIAS/_storage/x", wants: basicOrChallenge, sent: []string{"", "Basic"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := bearer(false)
			// One host with the registry and a store behind it: a front that tells
			// them apart by path.
			back := start(t, o)
			d, err := back.PutBlob(content)
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var sent []string
			var front *storeOf
			handle := func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/token" || strings.HasPrefix(req.URL.Path, "/v2/team/") {
					if strings.Contains(req.URL.Path, "/blobs/") && req.Header.Get("Authorization") != "" {
						to := strings.NewReplacer("HOST", front.url, "ALIAS", strings.Replace(front.url, "127.0.0.1", "localhost", 1)).Replace(c.location)
						w.Header().Set("Location", to)
						w.WriteHeader(http.StatusFound)
						return
					}
					back.ServeHTTP(w, req)
					return
				}
				scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
				mu.Lock()
				sent = append(sent, scheme)
				mu.Unlock()
				if c.wants(&fake.Registry{URL: front.url}, w, req) {
					_, _ = w.Write(content)
				}
			}
			front = serveStore(t, handle)
			_, port, _ := strings.Cut(front.host, ":")
			cfg := configFor(t, back, o)
			cfg.Host, cfg.Aliases, cfg.TokenHosts = front.host, []string{"localhost:" + port}, []string{back.Host}
			client := newClient(t, Options{Registries: []Config{cfg}})
			r := rig{Registry: back, client: client, loc: gate.Location{Registry: "test", Repository: "team/app"}}
			for range 2 { // nothing is remembered that would be sent unasked
				mu.Lock()
				sent = nil
				mu.Unlock()
				got, err := r.blob(t.Context(), d, int64(len(content)))
				if !errors.Is(err, c.fails) || c.fails == nil && string(got) != string(content) {
					t.Errorf("got %q, %v, want %v", got, err, c.fails)
				}
				if fmt.Sprint(sent) != fmt.Sprint(c.sent) {
					t.Errorf("authorization by hop: got %q, want %q", sent, c.sent)
				}
				noSecret(t, err)
			}
		})
	}
}

func basicOrChallenge(_ *fake.Registry, w http.ResponseWriter, req *http.Request) bool {
	if _, password, ok := req.BasicAuth(); ok && password == secret {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="store"`)
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// TestForeignHostsGetNothing: whatever a host that is not host or aliases answers,
// and wherever it sends on to, no credentials come to it.
func TestForeignHostsGetNothing(t *testing.T) {
	for _, auth := range []fake.Auth{fake.AuthBasic, fake.AuthBearer} {
		for name, answer := range map[string]func(registry string, w http.ResponseWriter, req *http.Request){
			"basic":  func(_ string, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`, 401) },
			"digest": func(_ string, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Digest realm="x"`, 401) },
			"own_realm": func(u string, w http.ResponseWriter, _ *http.Request) {
				unauthorized(w, `Bearer realm="`+u+`/token"`, 401)
			},
			"its_realm": func(_ string, w http.ResponseWriter, q *http.Request) {
				unauthorized(w, `Bearer realm="http://`+q.Host+`/token"`, 401)
			},
			"forbidden": func(_ string, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`, 403) },
			"proxy": func(_ string, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Proxy-Authenticate", "Basic")
				w.WriteHeader(407)
			},
			"to_itself": func(_ string, w http.ResponseWriter, q *http.Request) {
				redirect(w, "http://"+q.Host+"/v2/team/app/blobs/x")
			},
			"and_back": func(u string, w http.ResponseWriter, _ *http.Request) {
				redirect(w, u+"/v2/other/secret/blobs/sha256:x")
			},
			"with_token": func(_ string, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Authorization", "Bearer x")
				unauthorized(w, `Bearer realm="/token"`, 401)
			},
		} {
			t.Run(string(auth)+"_"+name, func(t *testing.T) {
				var r rig
				store := serveStore(t, func(w http.ResponseWriter, req *http.Request) { answer(r.URL, w, req) })
				r = newRig(t, fake.Options{Auth: auth, Username: "robot$gate", Password: secret}, func(c *Config, _ *Options) {
					c.BlobHosts, c.TokenHosts = []string{store.host}, []string{store.host} // trusted with tokens, and yet no redirect brings one
				})
				content := []byte("content")
				d, err := r.PutBlob(content)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.blob(t.Context(), d, int64(len(content))); err != nil { // the login is known and would be sent unasked
					t.Fatal(err)
				}
				manifest, _ := r.push(t, "1", 10)
				for _, path := range []string{"blobs/" + string(d), "manifests/" + string(manifest)} {
					r.Fail(fake.Fault{Path: "/v2/team/app/" + path, Status: 307, Header: http.Header{"Location": {store.url + "/elsewhere?sig=1"}}})
				}
				_, err = r.blob(t.Context(), d, int64(len(content)))
				_, second := r.client.Resolve(t.Context(), r.loc, string(manifest))
				if err == nil || second == nil {
					t.Errorf("got %v and %v, want errors", err, second)
				}
				noSecret(t, err)
				if len(store.requests()) == 0 {
					t.Error("the store was not asked")
				}
				for _, q := range store.requests() {
					if q.Header.Get("Authorization") != "" || q.Header.Get("Cookie") != "" {
						t.Errorf("the store was sent %v", q.Header)
					}
				}
			})
		}
	}
}

func unauthorized(w http.ResponseWriter, challenge string, status int) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(status)
}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

// TestReferer: the first hop of a redirect says where it comes from, without a
// query; later ones, whose addresses are signed, do not.
func TestReferer(t *testing.T) {
	content := []byte("content of a layer")
	var last, first *storeOf
	last = serveStore(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	var r rig
	first = serveStore(t, func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.Header.Get("Referer"), r.URL+"/") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		redirect(w, last.url+"/x?sig=2")
	})
	r = newRig(t, bearer(false), func(c *Config, _ *Options) { c.BlobHosts = []string{first.host, last.host} })
	d, err := r.PutBlob(content)
	if err != nil {
		t.Fatal(err)
	}
	r.Fail(fake.Fault{Path: anyBlob, Skip: 1, Status: 307, Header: http.Header{"Location": {first.url + "/x?sig=1"}}})
	if got, err := r.blob(t.Context(), d, int64(len(content))); err != nil || string(got) != string(content) {
		t.Fatalf("got %q, %v", got, err)
	}
	if got, want := first.requests()[0].Header.Get("Referer"), r.URL+"/v2/team/app/blobs/"+string(d); got != want {
		t.Errorf("first hop: Referer %q, want %q", got, want)
	}
	if got := last.requests()[0].Header.Get("Referer"); got != "" {
		t.Errorf("second hop: Referer %q, want none", got)
	}
	if got := referer(&url.URL{Scheme: "https", Host: "h", Path: "/v2/a", RawQuery: "n=1", User: url.UserPassword("u", secret), Fragment: "f"}); got != "https://h/v2/a" {
		t.Errorf("referer: got %q", got)
	}
}
