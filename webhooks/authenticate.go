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
	config  Config
	secrets *secrets // nil for none
}

// NewAuthenticator reads the secrets of c; an error names the key that is
// wrong. There is no authenticator without a secret except by auth none.
func NewAuthenticator(c Config, now func() time.Time, log *slog.Logger) (*Authenticator, error) {
	if problems, _ := c.shape(); len(problems) > 0 {
		return nil, problems[0]
	}
	a := &Authenticator{config: c}
	if c.Auth == AuthNone {
		return a, nil
	}
	var err error
	a.secrets, err = newSecrets(c, now, log)
	return a, err
}

// InPath reports whether the secret may follow the name in the path.
func (a *Authenticator) InPath() bool { return a.config.Auth == AuthToken }

// Check authenticates the raw bytes of a request. pathToken is what follows
// the name in the path. The error wraps gate.ErrUnauthorized, and is the same
// for a missing and a wrong secret. The time it takes does not depend on how
// much of a secret was right.
func (a *Authenticator) Check(r *http.Request, pathToken string, body []byte) error {
	var ok bool
	var where string
	switch a.config.Auth {
	case AuthNone:
		return nil
	case AuthHeader:
		where = "header " + a.config.header()
		ok = a.anySecret(single(r.Header.Values(a.config.header())))
	case AuthHMAC:
		where = "the HMAC-SHA256 of the body in header " + a.config.header()
		value, given := single(r.Header.Values(a.config.header()))
		ok = a.anyMAC(value, body) && given
	case AuthBasic:
		where = "basic authentication"
		user, password, given := r.BasicAuth()
		ok = a.anySecret(user+":"+password, given && len(r.Header.Values("Authorization")) == 1)
	case AuthToken:
		where = "?token= or the end of the path"
		tokens := r.URL.Query()["token"]
		if pathToken != "" {
			tokens = append(tokens, pathToken)
		}
		ok = a.anySecret(single(tokens))
	}
	if !ok {
		return fmt.Errorf("authenticating by %s: %w", where, gate.ErrUnauthorized)
	}
	return nil
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

func (a *Authenticator) anyMAC(value string, body []byte) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(value, "sha256="))
	match := false
	for _, secret := range a.secrets.live() {
		match = hmac.Equal(got, macOf(secret, body)) || match
	}
	return err == nil && match
}

// Sign adds to r what the registry would send with body: the first live
// secret in the configured way. Replaying a recorded delivery needs it.
func (a *Authenticator) Sign(r *http.Request, body []byte) {
	if a.config.Auth == AuthNone {
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
