package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// maxTokenBytes bounds a token server's answer.
	maxTokenBytes = 1 << 20
	// A token without expires_in lasts a minute (distribution's token
	// specification). Longer promises than an hour are not believed.
	defaultTokenLife = time.Minute
	maxTokenLife     = time.Hour
	// maxTokens and maxTokensBytes bound the cache: one token for each repository in
	// use, of 1 to 4 KiB; the largest token that a server may send has 1 MiB.
	maxTokens      = 1000
	maxTokensBytes = 8 << 20
)

// tokens caches bearer tokens by scope. Safe for concurrent use.
type tokens struct {
	now func() time.Time

	mu      sync.Mutex
	byScope map[string]token
	bytes   int // of all keys and tokens
}

type token struct {
	value   string
	expires time.Time
}

func (t *tokens) get(scope string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tok, ok := t.byScope[scope]
	return tok.value, ok && t.now().Before(tok.expires)
}

func (t *tokens) put(scope string, tok token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.byScope[scope]; ok {
		t.bytes -= tokenBytes(scope, old)
		delete(t.byScope, scope)
	}
	if t.bytes += tokenBytes(scope, tok); len(t.byScope) >= maxTokens || t.bytes > maxTokensBytes {
		clear(t.byScope)
		t.bytes = tokenBytes(scope, tok)
	}
	t.byScope[scope] = tok
}

// tokenBytes is what a token takes, with its place in the map.
func tokenBytes(scope string, tok token) int { return len(scope) + len(tok.value) + 128 }

// exchange asks the realm of a challenge for a token of the call's scope. The
// realm is the registry's word: it is used only if it lies at a host that the
// configuration names for credentials, whether there are credentials or not.
func (s *session) exchange(ctx context.Context, ch challenge, c *call) (token, error) {
	realm, err := s.checkRealm(ch.params["realm"])
	if err != nil {
		return token{}, err
	}
	q := realm.Query()
	if service := ch.params["service"]; service != "" {
		q.Set("service", service)
	}
	q.Del("scope")
	if scope := c.scope(); scope != "" {
		q.Set("scope", scope)
	}
	realm.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return token{}, fmt.Errorf("asking %q for a token: %w", realm.Host, gate.ErrRegistryAuth)
	}
	req.Header.Set("User-Agent", userAgent)
	l, err := s.secrets.get(ctx, c.repo)
	if err != nil {
		return token{}, err
	}
	if l != (login{}) {
		req.SetBasicAuth(l.user, l.password)
	}
	s.realm.Store(urlEndpoint(realm))
	res, err := s.hop(req)
	if err != nil {
		return token{}, fmt.Errorf("asking %q for a token: %w", realm.Host, err)
	}
	defer closeBody(res)
	if res.StatusCode != http.StatusOK {
		s.secrets.refused()
		return token{}, s.tokenStatus(res, realm.Host, l != (login{}))
	}
	return s.readToken(res, realm.Host)
}

// checkRealm accepts https (http with plainHTTP) at host, aliases and
// tokenHosts.
func (s *session) checkRealm(realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return nil, fmt.Errorf("the registry names %s as its token server, which is not a usable address: %w", gate.Quoted(realm, 100), gate.ErrRegistryAuth)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !s.cfg.PlainHTTP) {
		return nil, fmt.Errorf("the registry names a token server at %s that is not reached by https: %w", gate.Quoted(u.Host, 100), gate.ErrRegistryAuth)
	}
	if !s.credentialHosts[urlEndpoint(u)] {
		return nil, &realmError{host: u.Host}
	}
	return u, nil
}

// realmError says that a registry sends its clients to a host for tokens that
// the configuration does not name.
type realmError struct{ host string }

func (e *realmError) Error() string {
	return fmt.Sprintf("the registry names a token server at %s, to which nothing is sent; add it to tokenHosts if it belongs to the registry: %v", gate.Quoted(e.host, 100), gate.ErrRegistryAuth)
}

func (e *realmError) Unwrap() error { return gate.ErrRegistryAuth }

func (s *session) tokenStatus(res *http.Response, host string, withCredentials bool) error {
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		advice := "check username and passwordFile"
		if !withCredentials {
			advice = "configure username and passwordFile"
		}
		return fmt.Errorf("token server %q answered %d: %s: %w", host, res.StatusCode, advice, gate.ErrRegistryAuth)
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500 || res.StatusCode == http.StatusRequestTimeout:
		return s.unavailable(res, fmt.Sprintf("token server %q answered %d", host, res.StatusCode))
	}
	return fmt.Errorf("token server %q answered %d: %w", host, res.StatusCode, gate.ErrRegistryAuth)
}

func (s *session) readToken(res *http.Response, host string) (token, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBytes+1))
	if err != nil {
		return token{}, fmt.Errorf("reading the token of %q: %w", host, err)
	}
	if len(body) > maxTokenBytes {
		return token{}, fmt.Errorf("the token server %q answered more than %d bytes: %w", host, maxTokenBytes, gate.ErrRegistryAuth)
	}
	var answer struct {
		Token       string          `json:"token"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
	}
	// The error of json is left out: it may quote the token.
	if json.Unmarshal(body, &answer) != nil {
		return token{}, fmt.Errorf("the token server %q answered no JSON: %w", host, gate.ErrRegistryAuth)
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return token{}, fmt.Errorf("the token server %q answered no usable token: %w", host, gate.ErrRegistryAuth)
	}
	return token{value: value, expires: s.tokens.now().Add(tokenLife(answer.ExpiresIn))}, nil
}

// tokenLife is how long a token is used: nine tenths of what the server
// promises, within bounds.
func tokenLife(expiresIn json.RawMessage) time.Duration {
	var seconds float64
	life := defaultTokenLife
	if json.Unmarshal(expiresIn, &seconds) == nil && seconds > 0 {
		life = maxTokenLife
		if seconds < maxTokenLife.Seconds() {
			life = time.Duration(seconds * float64(time.Second))
		}
	}
	return life * 9 / 10
}
