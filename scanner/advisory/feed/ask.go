package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

// request asks for a file that is taken as it is: a server that compresses it again would
// give it another checksum.
func request(ctx context.Context, feed Feed, url string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for a feed: %w: %w", gate.ErrInvalid, quiet(err))
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "digestgate")
	if feed.Username == "" || !sameHost(feed.URL, url) {
		return req, nil
	}
	password, err := os.ReadFile(feed.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("reading the password of a feed: %w: %w", gate.ErrInvalid, err)
	}
	credentials := feed.Username + ":" + strings.TrimRight(string(password), "\r\n")
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	return req, nil
}

func sameHost(a, b string) bool {
	x, errA := neturl.Parse(a)
	y, errB := neturl.Parse(b)
	return errA == nil && errB == nil && x.Host == y.Host && x.Scheme == y.Scheme
}

// asker is how files are asked for, whatever becomes of their bytes.
type asker struct {
	client *http.Client
	now    func() time.Time
}

// held is what a server said of the content that is kept.
type held struct{ etag, modified string }

func heldOf(res *http.Response) held { return held{header(res, "ETag"), header(res, "Last-Modified")} }

// get asks for a file, on the condition that it is another one than is held; same is the
// answer that it is not. The caller closes the body.
func (a asker) get(ctx context.Context, feed Feed, url string, have held) (res *http.Response, same bool, err error) {
	req, err := request(ctx, feed, url)
	if err != nil {
		return nil, false, err
	}
	if have.etag != "" {
		req.Header.Set("If-None-Match", have.etag)
	}
	if have.modified != "" {
		req.Header.Set("If-Modified-Since", have.modified)
	}
	if res, err = a.client.Do(req); err != nil {
		return nil, false, fmt.Errorf("asking for %s: %w: %w", withoutQuery(url), unavailable(ctx), quiet(err))
	}
	if res.StatusCode == http.StatusNotModified && have != (held{}) {
		_ = res.Body.Close() // it has none
		return nil, true, nil
	}
	if err := answered(res, url, a.now()); err != nil {
		_ = res.Body.Close() // of an answer that is not wanted
		return nil, false, err
	}
	return res, false, nil
}

// small reads a small file.
func (a asker) small(ctx context.Context, feed Feed, url string, most int64) ([]byte, error) {
	res, _, err := a.get(ctx, feed, url, held{})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, _, err := take(ctx, res, wish{}, most, &text, nil); err != nil {
		return nil, fmt.Errorf("reading %s: %w", withoutQuery(url), err)
	}
	return text.Bytes(), nil
}

// copyStep is how much is transferred between two looks at the disk and the context.
const copyStep = 8 << 20

// take writes a body of at most most bytes to a place; what comes is whole, and what was
// wished for, or an error. step is called with what has come so far; nil is not called.
func take(ctx context.Context, res *http.Response, want wish, most int64, to io.Writer, step func(n int64) error) (sum gate.Digest, n int64, err error) {
	if want.size > 0 {
		most = min(most, want.size)
	}
	if res.ContentLength > most {
		return "", 0, fmt.Errorf("it has %s, more than %s: %w", gate.ByteSize(res.ContentLength), gate.ByteSize(most), gate.ErrTooLarge)
	}
	hash := sha256.New()
	if n, err = transfer(ctx, io.MultiWriter(to, hash), io.LimitReader(res.Body, most+1), step); err != nil {
		return "", n, err
	}
	switch {
	case n > most:
		return "", n, fmt.Errorf("it has more than %s: %w", gate.ByteSize(most), gate.ErrTooLarge)
	case res.ContentLength >= 0 && n != res.ContentLength:
		return "", n, fmt.Errorf("it ended after %d of %d bytes: %w", n, res.ContentLength, gate.ErrRegistryUnavailable)
	case n == 0:
		return "", n, fmt.Errorf("it is empty: %w", gate.ErrInvalid)
	}
	sum = gate.Digest("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	if want.sum != "" && sum != want.sum {
		return "", n, fmt.Errorf("it has the checksum %s, want %s: %w", sum, want.sum, gate.ErrIntegrity)
	}
	return sum, n, nil
}

func transfer(ctx context.Context, to io.Writer, from io.Reader, step func(n int64) error) (n int64, err error) {
	for {
		k, err := io.CopyN(to, from, copyStep)
		n += k
		switch {
		case errors.Is(err, io.EOF):
			if step != nil {
				_ = step(n) // all of it is there
			}
			return n, nil
		case err != nil && ctx.Err() != nil:
			return n, fmt.Errorf("%w: %w", gate.ErrTimeout, ctx.Err())
		case isDisk(err):
			return n, diskError("writing a feed", err)
		case err != nil:
			return n, fmt.Errorf("the transfer broke after %d bytes: %w: %w", n, gate.ErrRegistryUnavailable, quiet(err))
		}
		if step != nil {
			if err := step(n); err != nil {
				return n, err
			}
		}
	}
}

// answered says what an answer other than 200 means.
func answered(res *http.Response, url string, now time.Time) error {
	var kind error
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		kind = gate.ErrRegistryAuth
	case code == http.StatusNotFound || code == http.StatusGone:
		kind = gate.ErrNotFound
	default:
		kind = gate.ErrRegistryUnavailable
	}
	err := fmt.Errorf("%s answered %d: %w", withoutQuery(url), res.StatusCode, kind)
	if after, _ := outbound.RetryAfter(res.Header.Get("Retry-After"), now, maxRetryAfter); after > 0 && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500) {
		return &gate.RetryAfterError{After: after, Asked: after, Err: err}
	}
	return err
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 24 * time.Hour

// header is a value that is sent back later; an absurd one is none.
func header(res *http.Response, name string) string {
	if v := res.Header.Get(name); len(v) <= 512 {
		return v
	}
	return ""
}

// unavailable is what a failed request means.
func unavailable(ctx context.Context) error {
	if ctx.Err() != nil {
		return gate.ErrTimeout
	}
	return gate.ErrRegistryUnavailable
}

// quiet is an error of the client without the URL, which may have a secret in its query.
func quiet(err error) error {
	var u *neturl.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func withoutQuery(url string) string {
	before, _, _ := strings.Cut(url, "?")
	return before
}

// isDisk reports whether an error came from writing and not from the transfer.
func isDisk(err error) bool {
	var p *os.PathError
	return errors.As(err, &p)
}

func diskError(doing string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%s: %w: %w", doing, gate.ErrResource, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, gate.ErrInvalid, err)
}
