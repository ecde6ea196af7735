package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/digestgate/digestgate/gate"
)

// authTransport adds the authorization to requests that go to the registry
// itself: unasked within its API, after a challenge of their own elsewhere on host
// and aliases, and to no other hop of a redirect, whatever that answers. It
// answers a challenge by one token exchange and one more try.
type authTransport struct{ s *session }

// RoundTrip implements http.RoundTripper.
func (a authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := a.s
	if !s.own(req) {
		return s.hop(authorized(req, ""))
	}
	c, _ := req.Context().Value(callKey{}).(*call)
	if c == nil {
		c = &call{}
	}
	unasked, value := s.unasked(req, c), ""
	if unasked {
		var err error
		if value, err = s.authorization(req.Context(), c); err != nil {
			return nil, err
		}
	}
	res, err := s.hop(authorized(req, value))
	if err != nil || res.StatusCode != http.StatusUnauthorized || unasked && c.basic {
		return res, err
	}
	challenges := parseChallenges(res.Header)
	if !unasked && !answerable(challenges) {
		return res, nil // a signature that has expired, as a rule
	}
	closeBody(res)
	next, err := s.answer(req.Context(), c, challenges, unasked)
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
		return s.basicValue(ctx, c)
	}
	if tok, ok := s.tokens.get(c.scope()); ok {
		return "Bearer " + tok, nil
	}
	if !s.basic.Load() {
		return "", nil
	}
	return s.basicValue(ctx, c)
}

func (s *session) basicValue(ctx context.Context, c *call) (string, error) {
	l, err := s.secrets.get(ctx, c.repo)
	if err != nil || l == (login{}) {
		return "", err
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(l.user, l.password)
	return req.Header.Get("Authorization"), nil
}

func answerable(challenges []challenge) bool {
	return slices.ContainsFunc(challenges, func(c challenge) bool { return c.scheme == "bearer" || c.scheme == "basic" })
}

// answer turns the challenges of a 401 into the next value to try. Bearer wins
// over Basic, because a token is worth less to a thief. keep says that
// it is the registry's API that asks, so that further requests to it bring the
// answer unasked.
func (s *session) answer(ctx context.Context, c *call, challenges []challenge, keep bool) (string, error) {
	for _, ch := range challenges {
		if ch.scheme != "bearer" {
			continue
		}
		if c.exchanges++; c.exchanges > maxExchanges {
			return "", fmt.Errorf("the registry refused %d fresh tokens: check the permissions of the account: %w", maxExchanges, gate.ErrRegistryAuth)
		}
		tok, err := s.exchange(ctx, ch, c)
		if err != nil {
			return "", err
		}
		if keep {
			s.tokens.put(c.scope(), tok)
		}
		return "Bearer " + tok.value, nil
	}
	for _, ch := range challenges {
		if ch.scheme != "basic" {
			continue
		}
		value, err := s.basicValue(ctx, c)
		if err != nil {
			return "", err
		}
		if value == "" {
			return "", s.refused(false)
		}
		if keep {
			s.basic.Store(true)
		}
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
