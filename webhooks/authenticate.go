package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Authenticator decides whether a delivery comes from the registry. It is safe
// for concurrent use.
type Authenticator struct {
	config       Config
	secrets      *secrets      // of the ways that have some
	tokens       *tokens       // of oidc
	certificates *certificates // of mtls
}

// AuthOption is a part that only some ways of authentication need.
type AuthOption func(*authOptions)

type authOptions struct{ client *http.Client }

// WithClient is the client that reads the issuer's keys for auth oidc. It
// should be guarded: the issuer's configuration names the address of its keys.
// Requests take at most 5 s and 1 MiB whatever the client allows.
func WithClient(client *http.Client) AuthOption {
	return func(o *authOptions) { o.client = client }
}

// NewAuthenticator reads the secrets of c; an error names the key that is wrong. There
// is no authenticator without a secret except by auth none. Nothing is called: auth
// oidc asks its issuer at the first delivery. log, which may be nil, gets a line for a
// secret that is short or cannot be read again.
func NewAuthenticator(c Config, now func() time.Time, log *slog.Logger, options ...AuthOption) (*Authenticator, error) {
	if problems, _ := c.shape(); len(problems) > 0 {
		return nil, problems[0]
	}
	var opt authOptions
	for _, o := range options {
		o(&opt)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Authenticator{config: c}
	var err error
	switch c.Auth {
	case AuthNone:
	case AuthOIDC:
		a.tokens, err = newTokens(c, opt.client, now)
	case AuthMTLS:
		a.certificates, err = newCertificates(c, now, log)
	default:
		a.secrets, err = newSecrets(c, now, log)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// InPath reports whether the secret may follow the name in the path.
func (a *Authenticator) InPath() bool { return a.config.Auth == AuthToken }

// Check is CheckHead and then CheckBody.
func (a *Authenticator) Check(r *http.Request, pathToken string, body []byte) error {
	if err := a.CheckHead(r, pathToken); err != nil {
		return err
	}
	return a.CheckBody(r, body)
}

// CheckHead authenticates a request before its body is read. pathToken is what
// follows the name in the path. Only for auth hmac-sha256 that is not all:
// without a header that could be a signature the body need not be read, with
// one CheckBody decides.
//
// The error wraps gate.ErrUnauthorized, and is the same for a missing and a
// wrong secret. The time it takes does not depend on how much of a secret was
// right. With auth oidc it wraps gate.ErrRegistryUnavailable while the issuer's
// keys cannot be read.
func (a *Authenticator) CheckHead(r *http.Request, pathToken string) error {
	if len(r.Header.Values("Authorization")) > 1 {
		// A proxy in front may have looked at either.
		return fmt.Errorf("authenticating: the request has two Authorization headers: %w", gate.ErrUnauthorized)
	}
	var ok bool
	switch a.config.Auth {
	case AuthNone:
		return nil
	case AuthOIDC:
		if err := a.tokens.check(r); err != nil {
			return fmt.Errorf("authenticating by an OpenID Connect token: %w", err)
		}
		return nil
	case AuthMTLS:
		if err := a.certificates.check(r); err != nil {
			return fmt.Errorf("authenticating by client certificate: %w", err)
		}
		return nil
	case AuthHeader:
		ok = a.anySecret(single(r.Header.Values(a.config.header())))
	case AuthHMAC:
		_, ok = a.signature(r)
	case AuthBasic:
		user, password, given := r.BasicAuth()
		ok = a.anySecret(user+":"+password, given)
	case AuthToken:
		tokens := r.URL.Query()["token"]
		if pathToken != "" {
			tokens = append(tokens, pathToken)
		}
		ok = a.anySecret(single(tokens))
	}
	if !ok {
		return a.unauthorized()
	}
	return nil
}

// CheckBody authenticates the raw bytes of a body; see CheckHead.
func (a *Authenticator) CheckBody(r *http.Request, body []byte) error {
	if a.config.Auth != AuthHMAC {
		return nil
	}
	if mac, ok := a.signature(r); !ok || !a.anyMAC(mac, body) {
		return a.unauthorized()
	}
	return nil
}

func (a *Authenticator) unauthorized() error {
	where := map[string]string{
		AuthHeader: "header " + a.config.header(),
		AuthHMAC:   "the HMAC-SHA256 of the body in header " + a.config.header(),
		AuthBasic:  "basic authentication",
		AuthToken:  "?token= or the end of the path",
	}[a.config.Auth]
	return fmt.Errorf("authenticating by %s: %w", where, gate.ErrUnauthorized)
}

// signature is the value of the header if it could be a signature.
func (a *Authenticator) signature(r *http.Request) ([]byte, bool) {
	value, given := single(r.Header.Values(a.config.header()))
	mac, err := hex.DecodeString(strings.TrimPrefix(value, "sha256="))
	return mac, given && err == nil && len(mac) == sha256.Size
}

// single takes the only value there is: of two it would be unclear which one a
// proxy in front has looked at.
func single(values []string) (string, bool) {
	if len(values) != 1 || values[0] == "" {
		return "", false
	}
	return values[0], true
}

// anySecret compares hashes, so that neither content nor length shows in the
// time, and looks at all secrets whichever matches.
func (a *Authenticator) anySecret(value string, given bool) bool {
	sum := sha256.Sum256([]byte(value))
	match := 0
	for _, secret := range a.secrets.live() {
		want := sha256.Sum256(secret)
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return given && match == 1
}

func (a *Authenticator) anyMAC(mac, body []byte) bool {
	match := false
	for _, secret := range a.secrets.live() {
		match = hmac.Equal(mac, macOf(secret, body)) || match
	}
	return match
}

// CanSign reports whether we know what the sender knows. We never have the key
// of an issuer or of a client certificate.
func (a *Authenticator) CanSign() bool { return a.tokens == nil && a.certificates == nil }

// Sign adds to r what the registry would send with body: the first live
// secret in the configured way. Replaying a recorded delivery needs it. It
// does nothing where there is no secret (see CanSign).
func (a *Authenticator) Sign(r *http.Request, body []byte) {
	if a.secrets == nil {
		return
	}
	secret := a.secrets.live()[0]
	switch a.config.Auth {
	case AuthHeader:
		r.Header.Set(a.config.header(), string(secret))
	case AuthHMAC:
		r.Header.Set(a.config.header(), "sha256="+hex.EncodeToString(macOf(secret, body)))
	case AuthBasic:
		user, password, _ := strings.Cut(string(secret), ":")
		r.SetBasicAuth(user, password)
	case AuthToken:
		r.URL.RawQuery = url.Values{"token": {string(secret)}}.Encode()
	}
}

func macOf(secret, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(body)
	return h.Sum(nil)
}
