package registry

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// maxRetries bounds the repetitions of one request. With the shipped backoff
// they end within two seconds: whoever wants more has a queue.
const maxRetries = 2

// accept names what nodes ask for (containerd, core/remotes/docker/resolver.go),
// in the same order, so that a registry which converts shows us what it shows
// them.
var accept = strings.Join([]string{
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.oci.image.index.v1+json",
	"*/*",
}, ", ")

// Names as the distribution specification defines them. What does not match is
// never put into an address.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

const maxRepositoryBytes = 255

func checkRepository(repo string) error {
	if len(repo) > maxRepositoryBytes || !repositoryPattern.MatchString(repo) {
		return fmt.Errorf("repository %s: %w", gate.Quoted(repo, 100), gate.ErrRefInvalid)
	}
	return nil
}

// checkRef accepts a digest or a tag.
func checkRef(ref string) error {
	if gate.Digest(ref).Valid() || tagPattern.MatchString(ref) {
		return nil
	}
	return fmt.Errorf("%s is neither a tag nor a digest: %w", gate.Quoted(ref, 100), gate.ErrRefInvalid)
}

// retry repeats fn while its error is worth it and ctx lives. The result wraps
// a sentinel.
func (s *session) retry(ctx context.Context, fn func() error) error {
	for n := 0; ; n++ {
		err := fn()
		if err == nil {
			return nil
		}
		if n >= maxRetries || ctx.Err() != nil || !retryable(err) {
			return s.explain(ctx, err)
		}
		if sleep(ctx, pauseBefore(n, s.wait.backoff, rand.Float64())) != nil {
			return contextError(ctx)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send makes one request and returns the answer if its status is in wanted;
// the caller closes its body.
func (s *session) send(ctx context.Context, c *call, method, path string, header http.Header, wanted ...int) (*http.Response, error) {
	return s.sendTo(ctx, c, method, &url.URL{Path: "/v2/" + c.repo + "/" + path}, header, wanted...)
}

// sendTo is send for any path and query of the registry's own host.
func (s *session) sendTo(ctx context.Context, c *call, method string, to *url.URL, header http.Header, wanted ...int) (*http.Response, error) {
	u := *to
	u.Scheme, u.Host = s.base.Scheme, s.base.Host
	req, err := http.NewRequestWithContext(withCall(ctx, c), method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gate.ErrInvalid)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	for _, w := range wanted {
		if res.StatusCode == w {
			return res, nil
		}
	}
	defer closeBody(res)
	err = s.statusError(res, c)
	if transient(res) {
		err = transientError{err}
	}
	return nil, err
}

// rawManifest is a manifest as served, hashed by us.
type rawManifest struct {
	digest      gate.Digest
	contentType string
	body        []byte
}

// readManifest fetches what ref names and checks it against the digest that was
// asked for and the one that the registry claims. A 403 is told apart by what else
// the registry has served: see served.
func (s *session) readManifest(ctx context.Context, repo, ref string) (rawManifest, error) {
	m, err := s.fetchManifest(ctx, repo, ref)
	if err != nil {
		return rawManifest{}, s.judgeForbidden(ctx, repo, ref, err)
	}
	s.served.note(repo, ref, m.digest, s.identity(repo))
	return m, nil
}

func (s *session) fetchManifest(ctx context.Context, repo, ref string) (rawManifest, error) {
	var m rawManifest
	c := manifestCall(repo, ref)
	err := s.retry(ctx, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, s.wait.small, errSlow)
		defer cancel()
		res, err := s.send(ctx, c, http.MethodGet, "manifests/"+ref, http.Header{"Accept": {accept}}, http.StatusOK)
		if err != nil {
			return err
		}
		defer closeBody(res)
		var size int64
		if m.body, m.digest, size, err = readBounded(res); err != nil {
			return err
		}
		m.contentType = res.Header.Get("Content-Type")
		if err := checkClaims(m, ref, res.Header.Get("Docker-Content-Digest")); err != nil {
			return err
		}
		if size > MaxManifestBytes {
			return fmt.Errorf("a manifest of %d bytes is over the limit of %d: %w", size, MaxManifestBytes, gate.ErrUnassessable)
		}
		return nil
	})
	if err != nil {
		return rawManifest{}, err
	}
	return m, nil
}

func manifestCall(repo, ref string) *call {
	return &call{repo: repo, image: true, digested: gate.Digest(ref).Valid()}
}

// checkClaims compares our hash with the reference and with the header. A
// header that names other content than the body is a broken proxy at best.
func checkClaims(m rawManifest, ref, header string) error {
	if gate.Digest(ref).Valid() && gate.Digest(ref) != m.digest {
		hint := ""
		if isSchema1(m.contentType) {
			hint = " (the registry answered with Docker schema 1, which is not supported)"
		}
		return fmt.Errorf("the manifest served has digest %s%s: %w", m.digest, hint, gate.ErrIntegrity)
	}
	if claimed := gate.Digest(header); claimed.Valid() && claimed != m.digest && !isSchema1(m.contentType) {
		return fmt.Errorf("the registry says %s but serves content of %s: %w", claimed, m.digest, gate.ErrIntegrity)
	}
	return nil
}

// maxHashedBytes is how far an answer is read to learn its digest. That a manifest
// is over MaxManifestBytes is a fact about a digest only when the bytes have it;
// what is longer than this may be anything.
const maxHashedBytes = 4 * MaxManifestBytes

// readBounded hashes an answer and returns at most MaxManifestBytes of it.
func readBounded(res *http.Response) (body []byte, d gate.Digest, size int64, err error) {
	tooLong := &wordedError{fmt.Sprintf("the registry serves a manifest over the limit of %d bytes; no manifest is that long", maxHashedBytes), gate.ErrIntegrity}
	if res.ContentLength > maxHashedBytes {
		_ = res.Body.Close() // nothing of it is waited for
		return nil, "", 0, tooLong
	}
	sum := sha256.New()
	all := io.TeeReader(io.LimitReader(res.Body, maxHashedBytes+1), sum)
	if body, err = io.ReadAll(io.LimitReader(all, MaxManifestBytes)); err != nil {
		return nil, "", 0, err
	}
	rest, err := io.Copy(io.Discard, all)
	if err != nil {
		return nil, "", 0, err
	}
	if size = int64(len(body)) + rest; size > maxHashedBytes {
		return nil, "", 0, tooLong
	}
	return body, gate.Digest(fmt.Sprintf("sha256:%x", sum.Sum(nil))), size, nil
}
