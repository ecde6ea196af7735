package joined

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
)

// Limits on what is read of a source.
const (
	maxFetched  = 64 << 20  // as it comes; EPSS has 2 MB compressed, the dates of ends of life 15 MB
	maxUnpacked = 256 << 20 // EPSS has 10 MB
	fetchTime   = 5 * time.Minute
)

// feed is a file or a URL whose content changes.
type feed struct {
	from   string
	client *http.Client // of a URL; nil for a file

	// What was read last, so that what has not changed is not read again.
	seen           os.FileInfo
	etag, modified string
}

// isURL reports whether a source is asked for and not a file.
func isURL(from string) bool { return strings.Contains(from, "://") }

// newFeed is a feed of a source that [ValidateSource] takes. gate.ErrInvalid: the file of
// authorities.
func newFeed(from, caFile string) (*feed, error) {
	f := &feed{from: from}
	if !isURL(from) {
		return f, nil
	}
	u, err := url.Parse(from)
	if err != nil {
		return nil, err
	}
	o := outbound.ClientOptions{Purpose: outbound.Feed, Hosts: []string{hostOf(u)}, Timeout: fetchTime}
	if caFile != "" {
		if o.TLS, err = authorities(caFile); err != nil {
			return nil, err
		}
	}
	f.client = outbound.NewClient(o)
	return f, nil
}

func hostOf(u *url.URL) string {
	if u.Port() == "" && u.Scheme == "http" {
		return u.Host + ":80"
	}
	return u.Host
}

// ValidateSource says what is wrong with the value of a key such as advisories.epss; nil
// for "" and for what can be read.
func ValidateSource(from string) error {
	if !isURL(from) {
		return nil
	}
	u, err := url.Parse(from)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("got %q, want a file or an https URL", from)
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("got %q, want a file or an https URL", from)
	case u.User != nil:
		return errors.New("the URL holds a user; nothing is sent with credentials")
	case outbound.Never(u.Host) != "":
		return errors.New(outbound.Never(u.Host))
	}
	return nil
}

func authorities(file string) (*tls.Config, error) {
	pem, err := gate.ReadSmallFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("caFile %q holds no certificate in PEM: %w", file, gate.ErrInvalid)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// retryError says when a server wants to be asked again.
type retryError struct {
	error
	after time.Duration
}

func (e *retryError) Unwrap() error { return e.error }

// read is the content, unpacked; changed is false when it is what was read before.
// gate.ErrInvalid: it is too large or damaged.
func (f *feed) read(ctx context.Context) (text []byte, changed bool, err error) {
	if f.client == nil {
		return f.file()
	}
	return f.fetch(ctx)
}

func (f *feed) file() (text []byte, changed bool, err error) {
	info, err := os.Stat(f.from)
	if err != nil {
		return nil, false, err
	}
	if f.isSeen(info) {
		return nil, false, nil
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%q is not a file: %w", f.from, gate.ErrInvalid)
	}
	in, err := os.Open(f.from)
	if err != nil {
		return nil, false, err
	}
	defer in.Close()
	if text, err = unpacked(in); err != nil {
		return nil, false, err
	}
	f.seen = info
	return text, true, nil
}

// stale reports whether a file is another one than was read last; one that is not there is
// when there was one.
func (f *feed) stale() bool {
	info, err := os.Stat(f.from)
	if err != nil {
		return f.seen != nil || !errors.Is(err, os.ErrNotExist)
	}
	return f.seen == nil || !f.isSeen(info)
}

func (f *feed) isSeen(info os.FileInfo) bool {
	return f.seen != nil && os.SameFile(f.seen, info) && info.Size() == f.seen.Size() && info.ModTime().Equal(f.seen.ModTime())
}

// forget has the next read give the content whether or not it is what was read before.
func (f *feed) forget() { f.seen, f.etag, f.modified = nil, "", "" }

func (f *feed) fetch(ctx context.Context) (text []byte, changed bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.from, nil)
	if err != nil {
		return nil, false, err
	}
	if f.etag != "" {
		req.Header.Set("If-None-Match", f.etag)
	} else if f.modified != "" {
		req.Header.Set("If-Modified-Since", f.modified)
	}
	req.Header.Set("Accept-Encoding", "identity") // what is compressed says so by its first bytes
	res, err := f.client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified:
		return nil, false, nil
	case res.StatusCode != http.StatusOK:
		err := fmt.Errorf("%q answers %s", f.from, gate.Printable(res.Status, 60))
		if after, ok := retryAfter(res.Header.Get("Retry-After")); ok {
			return nil, false, &retryError{err, after}
		}
		return nil, false, err
	}
	if text, err = unpacked(res.Body); err != nil {
		return nil, false, err
	}
	f.etag, f.modified = res.Header.Get("ETag"), res.Header.Get("Last-Modified")
	return text, true, nil
}

// retryAfter reads the header in its form of seconds; a day is the most that is waited.
func retryAfter(text string) (time.Duration, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil || n < 0 {
		return 0, false
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour), true
}

// unpacked reads a stream, which may be compressed with gzip.
func unpacked(r io.Reader) ([]byte, error) {
	raw, err := bounded(r, maxFetched)
	if err != nil || !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("unpacking it: %w: %w", err, gate.ErrInvalid)
	}
	text, err := bounded(zip, maxUnpacked)
	if err != nil {
		return nil, fmt.Errorf("unpacking it: %w: %w", err, gate.ErrInvalid)
	}
	return text, nil
}

func bounded(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %s: %w", gate.ByteSize(limit), gate.ErrInvalid)
	}
	return text, err
}
