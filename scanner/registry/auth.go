package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/digestgate/digestgate/gate"
)

// authTransport adds the authorization to requests that go to the registry's
// own origin, and to no other hop of a redirect. It answers a challenge by one
// token exchange and one more try.
type authTransport struct{ s *session }

// RoundTrip implements http.RoundTripper.
func (a authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := a.s
	if urlEndpoint(req.URL) != s.origin || req.URL.Scheme != s.base.Scheme {
		out := req.Clone(req.Context())
		out.Header.Del("Authorization")
		return s.hop(out)
	}
	c, _ := req.Context().Value(callKey{}).(*call)
	if c == nil {
		c = &call{}
	}
	value, err := s.authorization(req.Context(), c)
	if err != nil {
		return nil, err
	}
	res, err := s.hop(authorized(req, value))
	if err != nil || res.StatusCode != http.StatusUnauthorized || c.basic {
		return res, err
	}
	challenges := parseChallenges(res.Header)
	closeBody(res)
	next, err := s.answer(req.Context(), c, challenges)
	if err != nil {
		return nil, err
	}
	if next == value {
		s.secrets.refused()
		return nil, s.refused(value != "")
	}
	return s.hop(authorized(req, next))
}

func authorized(req *http.Request, value string) *http.Request {
	out := req.Clone(req.Context())
	out.Header.Del("Authorization")
	if value != "" {
		out.Header.Set("Authorization", value)
	}
	return out
}

// authorization is what is known to work without being asked: a live token, or
// Basic where the registry wants it.
func (s *session) authorization(ctx context.Context, c *call) (string, error) {
	if c.basic {
		return s.basicValue(ctx)
	}
	if tok, ok := s.tokens.get(c.scope()); ok {
		return "Bearer " + tok, nil
	}
	if !s.basic.Load() {
		return "", nil
	}
	return s.basicValue(ctx)
}

func (s *session) basicValue(ctx context.Context) (string, error) {
	user, password, ok, err := s.secrets.get(ctx)
	if err != nil || !ok {
		return "", err
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return req.Header.Get("Authorization"), nil
}

// answer turns the challenges of a 401 into the next value to try. Bearer wins
// over Basic, because a token is worth less to whoever steals it.
func (s *session) answer(ctx context.Context, c *call, challenges []challenge) (string, error) {
	for _, ch := range challenges {
		if ch.scheme != "bearer" {
			continue
		}
		if c.exchanges++; c.exchanges > maxExchanges {
			return "", fmt.Errorf("the registry refused %d fresh tokens: check the permissions of the account: %w", maxExchanges, gate.ErrRegistryAuth)
		}
		tok, err := s.exchange(ctx, ch, c.scope())
		if err != nil {
			return "", err
		}
		s.tokens.put(c.scope(), tok)
		return "Bearer " + tok.value, nil
	}
	for _, ch := range challenges {
		if ch.scheme != "basic" {
			continue
		}
		value, err := s.basicValue(ctx)
		if err != nil {
			return "", err
		}
		if value == "" {
			return "", s.refused(false)
		}
		s.basic.Store(true)
		return value, nil
	}
	return "", fmt.Errorf("the registry answered 401 without a challenge of Basic or Bearer: %w", gate.ErrRegistryAuth)
}

func (s *session) refused(had bool) error {
	if had {
		return fmt.Errorf("check the credentials and the permissions of the account: %w", gate.ErrRegistryAuth)
	}
	return fmt.Errorf("it wants credentials: configure username and passwordFile: %w", gate.ErrRegistryAuth)
}
