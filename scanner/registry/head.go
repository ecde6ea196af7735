package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// headsFor is how long a host that refuses HEAD is asked by GET at once, and how
// long one HEAD that worked speaks for the host: an hour keeps a mistake (a tag
// that was pushed between the two requests) short, and costs a host that never
// answers HEAD one request in an hour.
const headsFor = time.Hour

// heads remembers whether a registry's host answers HEAD. Safe for concurrent
// use.
type heads struct {
	now func() time.Time

	mu              sync.Mutex
	worked, refused time.Time
}

func (h *heads) useless() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.refused.IsZero() && h.now().Sub(h.refused) < headsFor
}

// learn notes a HEAD that was answered with a digest, or one that was not where
// GET was. A host that answers others is not such a host: this was one path of it, or
// one moment.
func (h *heads) learn(worked bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	switch {
	case worked:
		h.worked, h.refused = now, time.Time{}
	case h.worked.IsZero() || now.Sub(h.worked) >= headsFor:
		h.refused = now
	}
}

// head asks for the digest that ref names: by HEAD, and by one GET where the host
// refuses HEAD or does not say the digest in a usable way. Only the answer to GET
// says that a tag is gone or that the credentials do not do. said reports that
// HEAD was enough.
func (s *session) head(ctx context.Context, repo, ref string) (d gate.Digest, said bool, err error) {
	asked := !s.heads.useless()
	if asked {
		d, err = s.headManifest(ctx, repo, ref)
		if err != nil {
			return "", false, err
		}
		if d != "" {
			s.heads.learn(true)
			return d, true, nil
		}
	}
	raw, err := s.readManifest(ctx, repo, ref)
	if err != nil {
		return "", false, err
	}
	if asked {
		s.heads.learn(false)
	}
	return raw.digest, false, nil
}

// headManifest makes the HEAD request; "" when GET has to tell.
func (s *session) headManifest(ctx context.Context, repo, ref string) (gate.Digest, error) {
	var (
		d    gate.Digest
		last error // before it is worded
	)
	c := manifestCall(repo, ref)
	err := s.retry(ctx, func() error {
		last = s.headOnce(ctx, c, ref, &d)
		return last
	})
	if err != nil && ctx.Err() == nil && refusesHead(last) {
		return "", nil
	}
	return d, err
}

func (s *session) headOnce(ctx context.Context, c *call, ref string, d *gate.Digest) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
	defer cancel()
	res, err := s.send(ctx, c, http.MethodHead, "manifests/"+ref, http.Header{"Accept": {accept}}, http.StatusOK)
	if err != nil {
		return err
	}
	defer closeBody(res)
	if got := gate.Digest(res.Header.Get("Docker-Content-Digest")); got.Valid() {
		*d = got
	}
	return nil
}

// refusesHead reports whether an answer to HEAD says nothing about GET: any status
// but 401, 429 and 5xx (501 says that the method is not known), a redirect that is
// not followed, and a connection that was made and broken without an answer.
func refusesHead(err error) bool {
	var (
		answer   *answerError
		redirect *redirectError
		dial     *net.OpError
	)
	switch {
	case errors.As(err, &answer):
		status := answer.status
		return status == http.StatusNotImplemented ||
			status < 500 && status != http.StatusUnauthorized && status != http.StatusTooManyRequests
	case errors.As(err, &redirect):
		return true
	case errors.As(err, &dial) && dial.Op == "dial":
		return false
	}
	return retryable(err)
}
