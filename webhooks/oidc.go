package webhooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/digestgate/digestgate/gate"
)

const (
	// issuerEvery is how long after a look at the issuer the next one is due. Every
	// client can send a token with a made-up key, and each would be a reason to read
	// the keys again. Issuers publish a key long before they use it.
	issuerEvery = 10 * time.Second
	// issuerTimeout is below what senders wait: Pub/Sub gives 10 s by default.
	issuerTimeout = 5 * time.Second
	// maxIssuerBody bounds what an issuer answers; Google's keys have 2 KiB.
	maxIssuerBody = 1 << 20
)

// signatures are the algorithms of tokens that are taken: all that sign with a
// key that nobody else has. Not among them: "none", and HMAC, with which a
// public key could be used as the secret.
func signatures() []string {
	return []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
}

// tokens verifies the ID tokens of one issuer. Nothing is asked of the issuer
// before the first delivery, so that we start without it.
type tokens struct {
	config Config
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex // held during the discovery, which every delivery needs
	keys    *keySet
	looked  time.Time // when the last discovery began
	problem error     // of the last discovery
}

func newTokens(c Config, client *http.Client, now func() time.Time) (*tokens, error) {
	if client == nil {
		return nil, fmt.Errorf("webhook.auth: oidc needs an HTTP client to reach the issuer: %w", gate.ErrInvalid)
	}
	return &tokens{config: c, client: client, now: now}, nil
}

// check verifies the token of a request: signature, issuer, audience, times,
// and whose it is. A valid signature alone proves nothing, because an issuer
// signs for everybody (GHSA-h9cx-xjg6-5v2w). The error wraps
// gate.ErrUnauthorized, or gate.ErrRegistryUnavailable when the issuer's keys
// are not to be had and the sender should try again.
func (t *tokens) check(r *http.Request) error {
	header, ok := single(r.Header.Values("Authorization"))
	scheme, raw, _ := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return fmt.Errorf("no bearer token in Authorization: %w", gate.ErrUnauthorized)
	}
	keys, err := t.keySet(r.Context())
	if err != nil {
		return err
	}
	verifier := oidc.NewVerifier(t.config.Issuer, keys, &oidc.Config{
		ClientID: t.config.Audience, SupportedSigningAlgs: signatures(), Now: t.now,
	})
	ctx, cancel := context.WithTimeout(r.Context(), issuerTimeout)
	defer cancel()
	token, err := verifier.Verify(ctx, strings.TrimSpace(raw))
	if err != nil {
		if away := keys.unavailable(); away != nil {
			return fmt.Errorf("reading the keys of issuer %q: %w: %w", t.config.Issuer, away, gate.ErrRegistryUnavailable)
		}
		return fmt.Errorf("%s: %w", gate.Printable(err.Error(), 300), gate.ErrUnauthorized)
	}
	return t.account(token)
}

// account checks whose a valid token is.
func (t *tokens) account(token *oidc.IDToken) error {
	var claims struct {
		Email    string `json:"email"`
		Verified any    `json:"email_verified"` // some issuers write "true"
	}
	if err := token.Claims(&claims); err != nil {
		return fmt.Errorf("reading the claims: %s: %w", gate.Printable(err.Error(), 200), gate.ErrUnauthorized)
	}
	if c := t.config.Subjects; len(c) > 0 && !slices.Contains(c, token.Subject) {
		return fmt.Errorf("the token is of subject %s, which webhook.subjects does not list: %w", gate.Quoted(token.Subject, 100), gate.ErrUnauthorized)
	}
	if len(t.config.Emails) == 0 {
		return nil
	}
	if !slices.Contains(t.config.Emails, claims.Email) {
		return fmt.Errorf("the token is of %s, which webhook.emails does not list: %w", gate.Quoted(claims.Email, 100), gate.ErrUnauthorized)
	}
	if claims.Verified != true && claims.Verified != "true" {
		return fmt.Errorf("the issuer has not verified the address %s: %w", gate.Quoted(claims.Email, 100), gate.ErrUnauthorized)
	}
	return nil
}

// keySet is the issuer's, found by OpenID Connect Discovery 1.0.
func (t *tokens) keySet(ctx context.Context) (*keySet, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys != nil {
		return t.keys, nil
	}
	if now := t.now(); t.problem == nil || now.Sub(t.looked) >= issuerEvery {
		t.looked = now
		t.keys, t.problem = t.discover(ctx)
	}
	if t.problem != nil {
		return nil, fmt.Errorf("finding the keys of issuer %q: %w: %w", t.config.Issuer, t.problem, gate.ErrRegistryUnavailable)
	}
	return t.keys, nil
}

func (t *tokens) discover(ctx context.Context) (*keySet, error) {
	// The result serves every delivery, also when this sender has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerTimeout)
	defer cancel()
	client := *t.client
	client.Timeout = issuerTimeout
	client.Transport = bounded{next: transportOf(t.client)}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, &client), t.config.Issuer)
	if err != nil {
		return nil, errors.New(gate.Printable(err.Error(), 300))
	}
	var found struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&found); err != nil || found.Keys == "" {
		return nil, errors.New("its configuration names no jwks_uri")
	}
	throttle := &throttled{next: client.Transport, now: t.now}
	client.Transport = throttle
	return &keySet{
		remote: oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), &client), found.Keys), throttle: throttle,
	}, nil
}

func transportOf(c *http.Client) http.RoundTripper {
	if c.Transport == nil {
		return http.DefaultTransport
	}
	return c.Transport
}

// keySet keeps the issuer's keys and reads them again when a token has another.
type keySet struct {
	remote   *oidc.RemoteKeySet
	throttle *throttled
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	return k.remote.VerifySignature(ctx, token)
}

// unavailable is why the keys could not be read the last time, if they could
// not: then a token that fits none may be a good one.
func (k *keySet) unavailable() error {
	k.throttle.mu.Lock()
	defer k.throttle.mu.Unlock()
	return k.throttle.problem
}

// throttled reads at most once in issuerEvery.
type throttled struct {
	next http.RoundTripper
	now  func() time.Time

	mu      sync.Mutex
	last    time.Time
	problem error // of the last read
}

// RoundTrip implements http.RoundTripper.
func (t *throttled) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock() // go-oidc reads once at a time
	now := t.now()
	if !t.last.IsZero() && now.Sub(t.last) < issuerEvery {
		return nil, fmt.Errorf("the keys were read less than %s ago", issuerEvery)
	}
	t.last = now
	res, err := t.next.RoundTrip(r)
	switch {
	case err != nil:
		t.problem = errors.New(gate.Printable(err.Error(), 300))
	case res.StatusCode != http.StatusOK:
		t.problem = fmt.Errorf("it answers %d", res.StatusCode)
	default:
		t.problem = nil
	}
	return res, err
}

// bounded keeps an issuer from answering without end, and from sending us to a
// place where anybody could have written the keys.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("it leads to a URL that is not https")
	}
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxIssuerBody), res.Body}
	}
	return res, err
}

// checkIssuer is how webhook.issuer must look: as in the tokens.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not an https URL without query; Google's is https://accounts.google.com", issuer)
	}
	return nil
}
