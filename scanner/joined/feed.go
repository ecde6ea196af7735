package joined

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	fetched "github.com/digestgate/digestgate/scanner/advisory/feed"
	"github.com/digestgate/digestgate/scanner/advisory/format"
)

// Limits on what is read of a source.
const (
	maxFetched  = 64 << 20  // as it comes; EPSS has 2 MB compressed, the dates of ends of life 15 MB
	maxUnpacked = 256 << 20 // EPSS has 10 MB
	fetchTime   = 5 * time.Minute
)

// feed is a file or a URL whose content changes.
type feed struct {
	from string
	url  *fetched.Text // nil for a file
	seen os.FileInfo   // of the file that was read last
}

// isURL reports whether a source is asked for and not a file.
func isURL(from string) bool { return strings.Contains(from, "://") }

// newFeed is a feed of a source that [ValidateSource] takes. gate.ErrInvalid: the file of
// authorities.
func newFeed(from, caFile string, now func() time.Time) (*feed, error) {
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
	f.url = &fetched.Text{Feed: fetched.Feed{URL: from}, Client: outbound.NewClient(o), Now: now, Most: maxFetched}
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

// read is the content, unpacked; changed is false when it is what was read before.
// Errors: those of [fetched.Fetcher.Fetch]; gate.ErrInvalid and gate.ErrTooLarge for what
// is damaged or too large.
func (f *feed) read(ctx context.Context) (text []byte, changed bool, err error) {
	if f.url == nil {
		return f.file()
	}
	text, changed, err = f.url.Read(ctx)
	if err == nil && changed {
		if text, err = unpacked(bytes.NewReader(text)); err != nil {
			f.forget()
		}
	}
	return text, changed && err == nil, err
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
func (f *feed) forget() {
	f.seen = nil
	if f.url != nil {
		f.url.Forget()
	}
}

// unpacked reads a file, which may be compressed.
func unpacked(r io.Reader) ([]byte, error) {
	in, err := format.Unpack(r, format.Limits{Bytes: maxUnpacked})
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}
