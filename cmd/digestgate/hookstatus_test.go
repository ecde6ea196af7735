package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

const (
	hookAudience = "https://gate.example.com/webhooks"
	hookAccount  = "push@example.com"
)

// hookRegistry is one entry of the configuration of TestEveryStatus: a kind of
// registry with one way of authentication.
type hookRegistry struct {
	receiver  webhooks.Receiver
	recording webhooks.Recording // one that leads to a job
	name      string
	hook      webhooks.Config
}

// recordingOf is a recorded delivery of a kind of registry that names an image,
// and the host that it gives.
func recordingOf(t *testing.T, r webhooks.Receiver) (webhooks.Recording, string) {
	t.Helper()
	files, err := filepath.Glob("../../webhooks/" + strings.ReplaceAll(r.Type, "-", "") + "/testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		rec, err := webhooks.ReadRecording(file, "")
		if err != nil {
			t.Fatal(err)
		}
		pushes, err := r.Parse(rec.Delivery())
		if err == nil && len(pushes) == 1 && pushes[0].Kind == gate.PushArrived && gate.ValidRepository(pushes[0].Repository) {
			rec.Header.Del("Authorization")
			return rec, pushes[0].Host
		}
	}
	t.Fatalf("none of the %d recordings of %q names one image", len(files), r.Type)
	return webhooks.Recording{}, ""
}

// hookSite is a running server with every kind of registry and every way of
// authentication, and all who send to it.
type hookSite struct {
	*server
	registries      []hookRegistry
	issuer          *issuer
	ours, foreign   *http.Client // with a client certificate of ours, and of somebody else's
	bare            *http.Client
	issuerAway, url string
}

func newHookSite(t *testing.T) *hookSite {
	t.Helper()
	servers, senders, others := newAuthority(t, "servers"), newAuthority(t, "senders"), newAuthority(t, "others")
	s := &hookSite{server: &server{t: t, dir: t.TempDir(), listeners: 2}, issuer: newIssuer(t, servers)}
	away := newIssuer(t, servers)
	s.issuerAway = away.URL
	away.Close()
	client := func(by *authority) *http.Client {
		c := &tls.Config{RootCAs: servers.pool}
		if by != nil {
			cert, _, _ := by.issue("sender.test")
			c.Certificates = []tls.Certificate{cert}
		}
		transport := &http.Transport{TLSClientConfig: c, ExpectContinueTimeout: 10 * time.Second, MaxIdleConnsPerHost: 8}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	s.ours, s.foreign, s.bare = client(senders), client(others), client(nil)
	hooks := map[string]webhooks.Config{
		webhooks.AuthHeader: {}, webhooks.AuthBasic: {}, webhooks.AuthToken: {}, webhooks.AuthNone: {},
		webhooks.AuthHMAC: {Header: "X-Hub-Signature-256"},
		webhooks.AuthOIDC: {Issuer: s.issuer.URL, Audience: hookAudience, Emails: []string{hookAccount}},
		webhooks.AuthMTLS: {CAFile: senders.file, Names: []string{"sender.test"}},
		"away":            {Issuer: s.issuerAway, Audience: hookAudience, Emails: []string{hookAccount}},
	}
	var entries []map[string]any
	for _, r := range app.Receivers() {
		rec, host := recordingOf(t, r)
		for way, hook := range hooks {
			h := hookRegistry{receiver: r, recording: rec, name: r.Type + "." + way, hook: hook}
			if h.hook.Auth = way; way == "away" {
				h.hook.Auth = webhooks.AuthOIDC
			}
			if slices.Contains([]string{webhooks.AuthHeader, webhooks.AuthHMAC, webhooks.AuthBasic, webhooks.AuthToken}, way) {
				h.hook.SecretFiles = []string{filepath.Join(s.dir, "secrets", h.name)}
				placeSecret(t, h.hook.SecretFiles[0], "user:secret-of-"+h.name)
			}
			h.hook.DeliveriesPerSecond, h.hook.Burst = 200, 2000
			if host != "" {
				h.hook.Hosts = []string{host}
			}
			s.registries = append(s.registries, h)
			entries = append(entries, map[string]any{"name": h.name, "type": r.Type, "host": h.name + ".test.invalid", "webhook": h.hook})
		}
	}
	_, certFile, keyFile := servers.issue("gate.test")
	text, err := yaml.Marshal(map[string]any{
		"dataDir": filepath.Join(s.dir, "data"), "roles": []string{"webhooks"}, "registries": entries,
		"listen": map[string]any{"http": "127.0.0.1:0", "private": "127.0.0.1:0"},
		"http":   map[string]any{"tls": map[string]any{"certFile": certFile, "keyFile": keyFile}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.config = filepath.Join(s.dir, "config.yaml")
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"SSL_CERT_FILE=" + servers.file} // for the issuer's certificate
	s.start()
	s.url = s.urls["http"] + webhooks.Prefix
	return s
}

// send makes one request and returns the status; an answer that has not what
// every one of its kind must have is an error.
func (s *hookSite) send(t *testing.T, c *http.Client, req *http.Request) (int, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/problem+json"
	if res.StatusCode == http.StatusAccepted {
		kind = "application/json"
	}
	if got := res.Header.Get("Content-Type"); got != kind {
		t.Errorf("%d: content type %q, want %q", res.StatusCode, got, kind)
	}
	later := res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable
	if got := res.Header.Get("Retry-After"); later != (got != "") {
		t.Errorf("%d: Retry-After %q", res.StatusCode, got)
	}
	if strings.Contains(string(body), "secret-of-") {
		t.Errorf("%d: the answer repeats a secret", res.StatusCode)
	}
	return res.StatusCode, string(body)
}

// signed is a request of the registry's sender, and the client that makes it.
// wrong is one by somebody who has the secrets of another registry.
func (s *hookSite) signed(t *testing.T, h hookRegistry, method, name string, body []byte, wrong bool) (*http.Client, *http.Request) {
	t.Helper()
	auth, err := webhooks.NewAuthenticator(h.hook, time.Now, slog.New(slog.DiscardHandler), webhooks.WithClient(s.bare))
	if err != nil {
		t.Fatal(err)
	}
	if wrong && len(h.hook.SecretFiles) > 0 {
		other := h.hook
		other.SecretFiles = []string{filepath.Join(t.TempDir(), "other")}
		placeSecret(t, other.SecretFiles[0], "user:secret-of-another")
		if auth, err = webhooks.NewAuthenticator(other, time.Now, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	rec := webhooks.Recording{Header: h.recording.Header, Body: body}
	req, err := rec.Request(t.Context(), s.url+name, auth)
	if err != nil {
		t.Fatal(err)
	}
	req.Method = method
	client := s.bare
	switch h.hook.Auth {
	case webhooks.AuthOIDC:
		audience := hookAudience
		if wrong {
			audience = "https://somebody.else.example.com"
		}
		req.Header.Set("Authorization", "Bearer "+s.issuer.token(audience, hookAccount))
	case webhooks.AuthMTLS:
		if client = s.ours; wrong {
			client = s.foreign
		}
	}
	return client, req
}

// TestEveryStatus reaches every status that a webhook can answer (DESIGN.md §7)
// for every kind of registry and every way of authentication, at a running
// server over TLS. A receiver in the table is covered by being there.
func TestEveryStatus(t *testing.T) {
	t.Parallel()
	s := newHookSite(t)
	for _, h := range s.registries {
		t.Run(strings.NewReplacer("-", "_", ".", "/").Replace(h.name), func(t *testing.T) {
			if strings.HasSuffix(h.name, ".away") {
				s.expect(t, h, http.MethodPost, h.name, h.recording.Body, false, http.StatusServiceUnavailable, "could not be checked")
				return
			}
			s.expect(t, h, http.MethodPost, h.name, h.recording.Body, false, http.StatusAccepted, `"state":"queued"`)
			s.expect(t, h, http.MethodPost, h.name, []byte(`{"not": "ended`), false, http.StatusBadRequest, "JSON")
			s.expect(t, h, http.MethodGet, h.name, nil, false, http.StatusMethodNotAllowed, "POST")
			s.expect(t, h, http.MethodPost, h.name+"-unknown", h.recording.Body, false, http.StatusNotFound, "no registry of that name")
			s.tooLarge(t, h)
			if h.hook.Auth == webhooks.AuthNone {
				if !testing.Short() {
					s.tooMany(t, h)
				}
				return
			}
			s.expect(t, h, http.MethodPost, h.name, h.recording.Body, true, http.StatusUnauthorized, "")
			req, err := h.recording.Request(t.Context(), s.url+h.name, nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, body := s.send(t, s.bare, req); status != http.StatusUnauthorized {
				t.Errorf("without anything: got %d %s, want 401", status, body)
			}
		})
	}
}

func (s *hookSite) expect(t *testing.T, h hookRegistry, method, name string, body []byte, wrong bool, status int, says string) {
	t.Helper()
	client, req := s.signed(t, h, method, name, body, wrong)
	if got, text := s.send(t, client, req); got != status || !strings.Contains(text, says) {
		t.Errorf("%s %s: got %d %s, want %d with %q", method, name, got, text, status, says)
	}
}

// tooLarge announces a body that is over the limit and sends it only if the
// server asks for it.
func (s *hookSite) tooLarge(t *testing.T, h hookRegistry) {
	t.Helper()
	client, req := s.signed(t, h, http.MethodPost, h.name, make([]byte, 1<<20+1), false)
	req.Header.Set("Expect", "100-continue")
	if got, text := s.send(t, client, req); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: got %d %s, want 413", got, text)
	}
}

// tooMany sends until the registry is told to wait: 2,000 deliveries at once
// and 200 a second are taken, as is configured.
func (s *hookSite) tooMany(t *testing.T, h hookRegistry) {
	t.Helper()
	var sent atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil && sent.Add(1) < 40_000 {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+h.name, bytes.NewReader([]byte("x")))
				if err != nil {
					t.Error(err)
					return
				}
				res, err := s.bare.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode == http.StatusTooManyRequests {
					if res.Header.Get("Retry-After") == "" {
						t.Error("429 without Retry-After")
					}
					cancel()
				}
			}
		})
	}
	wg.Wait()
	if n := sent.Load(); n >= 40_000 || n < 2000 {
		t.Errorf("429 after %d deliveries, want more than 2,000 of them", n)
	}
}
