package feed

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
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

// small reads a small file.
func (f *Fetcher) small(ctx context.Context, feed Feed, url string, most int64) ([]byte, error) {
	req, err := request(ctx, feed, url)
	if err != nil {
		return nil, err
	}
	res, err := f.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w: %w", withoutQuery(url), unavailable(ctx), quiet(err))
	}
	defer res.Body.Close()
	if err := answered(res, url, f.now()); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w: %w", withoutQuery(url), unavailable(ctx), quiet(err))
	case int64(len(text)) > most:
		return nil, fmt.Errorf("%s has more than %s: %w", withoutQuery(url), gate.ByteSize(most), gate.ErrTooLarge)
	}
	return text, nil
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
	if after := retryAfter(res.Header.Get("Retry-After"), now); after > 0 && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500) {
		return &gate.RetryAfterError{After: after, Asked: after, Err: err}
	}
	return err
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter is the wait that a header asks for, 0 for none.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}

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
