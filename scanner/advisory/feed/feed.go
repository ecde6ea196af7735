// Package feed downloads files over HTTP, into a directory ([Fetcher]) or into memory
// ([Text]): each conditionally, so that one that has not changed costs a request, bounded,
// checked, and complete or not at all. What the files mean is not known here, except that
// a repomd.xml of an RPM repository names the updateinfo that is wanted, with its
// checksums.
//
// All connections are made by the client that the caller gives, whose guard decides where
// to and which redirects are followed (gate/outbound); credentials go to the host of the
// feed only. A [Fetcher] is safe for concurrent use; what is asked of one feed while it is
// downloaded waits. A [Text] is used by one goroutine at a time.
package feed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// MaxBytes bounds a file as it is transferred: osv.dev's archive of everything has 1 GB.
const MaxBytes = 2 << 30

// spare is what is left free on the disk: the store may be on it.
const spare = 256 << 20

// Feed is a file that is downloaded.
type Feed struct {
	// URL may be that of a repomd.xml.
	URL string
	// Username and PasswordFile are sent to the URL's host only; the file is read at each
	// use.
	Username, PasswordFile string
	// SHA256 is what the file at URL must have: hexadecimal digits, or the URL of a file that
	// begins with them; "" for nothing.
	SHA256 string
}

// File is a downloaded file.
type File struct {
	Path string // its name ends as that of the URL
	// Sum is the SHA-256 of its bytes, as they were transferred.
	Sum   gate.Digest
	Bytes int64
	// FetchedAt is when the bytes were downloaded, CheckedAt when the server was asked
	// last.
	FetchedAt, CheckedAt time.Time
	// ModifiedAt is when the server says that the file was changed; FetchedAt where it
	// says nothing, or a time in the future.
	ModifiedAt time.Time
}

// Fetcher downloads feeds into one directory.
type Fetcher struct {
	// Client makes all requests.
	Client *http.Client
	// Dir is where files are kept, made when it is missing.
	Dir string
	// Now is the clock, nil is time.Now.
	Now func() time.Time
	// Most bounds a file, 0 is MaxBytes.
	Most int64
	// Free is how many bytes may be written below a directory, nil for not asked.
	Free func(dir string) (int64, bool)
	// Progress is told how far a download is; nil is not told.
	Progress func(done, total int64)

	turn sync.Mutex
}

// state is what is known of the file in a directory.
type state struct {
	URL          string      `json:"url"`
	ETag         string      `json:"etag,omitempty"`
	LastModified string      `json:"lastModified,omitempty"`
	File         string      `json:"file"`
	Sum          gate.Digest `json:"sum"`
	Bytes        int64       `json:"bytes"`
	FetchedAt    time.Time   `json:"fetchedAt"`
	CheckedAt    time.Time   `json:"checkedAt"`
	// Wanted is the Feed.SHA256 that the download fulfilled.
	Wanted string `json:"wanted,omitempty"`
}

const stateFile = "feed.state" // no ending of a file that is read as advisories

// Fetch asks for the feed and returns its file, a new one or that of before; changed says
// which. On an error the file of before is still there: see [Fetcher.Have].
// Errors: gate.ErrRegistryUnavailable (perhaps in a gate.RetryAfterError),
// gate.ErrRegistryAuth, gate.ErrNotFound, gate.ErrIntegrity (another checksum),
// gate.ErrTooLarge, gate.ErrInvalid, gate.ErrResource, gate.ErrTimeout.
func (f *Fetcher) Fetch(ctx context.Context, feed Feed) (file File, changed bool, err error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return File{}, false, diskError("making the directory of a feed", err)
	}
	want, err := f.asker().wanted(ctx, feed)
	if err != nil {
		return File{}, false, err
	}
	before := f.load(want.url)
	if before != nil && want.sum != "" && before.Sum == want.sum {
		return f.again(feed, *before)
	}
	return f.download(ctx, feed, want, before)
}

// Have is the file that the last download left, without a request. gate.ErrNotFound: there
// is none; gate.ErrIntegrity: it does not have the checksum of the feed. The file at a URL
// with a checksum is what that URL had when the file was downloaded.
func (f *Fetcher) Have(feed Feed) (File, error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	s := f.load("")
	if s == nil {
		return File{}, fmt.Errorf("no file of the feed is kept in %q: %w", f.Dir, gate.ErrNotFound)
	}
	if err := s.fulfils(feed); err != nil {
		return File{}, fmt.Errorf("the file of the feed that is kept in %q: %w", f.Dir, err)
	}
	return f.file(*s), nil
}

// fulfils checks the file that is kept against the configured checksum.
func (s *state) fulfils(feed Feed) error {
	switch {
	case feed.SHA256 == "":
		return nil
	case !strings.Contains(feed.SHA256, "://") && !feed.isRepomd():
		if want := gate.Digest("sha256:" + strings.ToLower(feed.SHA256)); s.Sum != want {
			return fmt.Errorf("it has the checksum %s, want %s: %w", s.Sum, want, gate.ErrIntegrity)
		}
	case s.Wanted != feed.SHA256:
		return fmt.Errorf("it was not compared with the sha256 that is configured now, %s; download it again: %w", gate.Quoted(feed.SHA256, 200), gate.ErrIntegrity)
	}
	return nil
}

func (f Feed) isRepomd() bool { return strings.HasSuffix(withoutQuery(f.URL), "/repomd.xml") }

// again is the file of before, of which was seen that it has not changed.
func (f *Fetcher) again(feed Feed, s state) (File, bool, error) {
	s.CheckedAt, s.Wanted = f.now(), feed.SHA256
	if err := f.save(s); err != nil {
		return File{}, false, err
	}
	return f.file(s), false, nil
}

func (f *Fetcher) file(s state) File {
	file := File{Path: filepath.Join(f.Dir, s.File), Sum: s.Sum, Bytes: s.Bytes, FetchedAt: s.FetchedAt, CheckedAt: s.CheckedAt, ModifiedAt: s.FetchedAt}
	if at, err := http.ParseTime(s.LastModified); err == nil && at.Before(s.FetchedAt) && gate.AgeKnown(at) {
		file.ModifiedAt = at.UTC()
	}
	return file
}

// download transfers the file unless the server says that it has not changed.
func (f *Fetcher) download(ctx context.Context, feed Feed, want wish, before *state) (File, bool, error) {
	var have held
	if before != nil && want.sum == "" {
		have = held{before.ETag, before.LastModified}
	}
	res, same, err := f.asker().get(ctx, feed, want.url, have)
	if err != nil {
		return File{}, false, err
	}
	if same {
		return f.again(feed, *before)
	}
	defer res.Body.Close()
	s, err := f.store(ctx, res, want)
	if err != nil {
		return File{}, false, fmt.Errorf("downloading %s: %w", withoutQuery(want.url), err)
	}
	s.Wanted = feed.SHA256
	changed := before == nil || before.Sum != s.Sum
	if err := f.save(s); err != nil {
		return File{}, false, err
	}
	f.tidy(s.File)
	return f.file(s), changed, nil
}

func (f *Fetcher) asker() asker { return asker{f.Client, f.now} }

// store writes the body into a file that has its name when it is whole and checked.
func (f *Fetcher) store(ctx context.Context, res *http.Response, want wish) (s state, err error) {
	if err := f.room(max(res.ContentLength, 0)); err != nil {
		return s, err
	}
	tmp, err := os.CreateTemp(f.Dir, ".download-*")
	if err != nil {
		return s, diskError("writing a feed", err)
	}
	defer func() { _ = tmp.Close(); _ = os.Remove(tmp.Name()) }()
	sum, n, err := take(ctx, res, want, cmp.Or(f.Most, MaxBytes), tmp, func(n int64) error {
		if f.Progress != nil {
			f.Progress(n, max(res.ContentLength, 0))
		}
		return f.room(0)
	})
	if err != nil {
		return s, err
	}
	if err := tmp.Sync(); err != nil {
		return s, diskError("writing a feed", err)
	}
	name := sum.Hex()[:16] + "-" + baseName(want.url)
	if err := os.Rename(tmp.Name(), filepath.Join(f.Dir, name)); err != nil {
		return s, diskError("keeping a feed", err)
	}
	now, said := f.now(), heldOf(res)
	return state{
		URL: want.url, ETag: said.etag, LastModified: said.modified, File: name, Sum: sum, Bytes: n, FetchedAt: now, CheckedAt: now,
	}, nil
}

func (f *Fetcher) room(bytes int64) error {
	if f.Free == nil {
		return nil
	}
	free, known := f.Free(f.Dir)
	if !known || free >= bytes+spare {
		return nil
	}
	return fmt.Errorf("%s are needed in %q and %s are to stay free beside; there are %s: make room, or give dataDir a larger volume: %w",
		gate.ByteSize(bytes), f.Dir, gate.ByteSize(spare), gate.ByteSize(max(free, 0)), gate.ErrResource)
}

// load is the state of the file that is kept, nil when there is none of that URL ("" is
// any) or its bytes are not those that were downloaded.
func (f *Fetcher) load(url string) *state {
	text, err := os.ReadFile(filepath.Join(f.Dir, stateFile))
	var s state
	if err != nil || json.Unmarshal(text, &s) != nil || url != "" && s.URL != url || s.File != filepath.Base(s.File) || s.File == "." {
		return nil
	}
	file, err := os.Open(filepath.Join(f.Dir, s.File))
	if err != nil {
		return nil
	}
	defer file.Close()
	hash := sha256.New()
	if n, err := io.Copy(hash, file); err != nil || n != s.Bytes || s.Sum != gate.Digest("sha256:"+hex.EncodeToString(hash.Sum(nil))) {
		return nil
	}
	return &s
}

// save notes what is known of the file, complete or not at all.
func (f *Fetcher) save(s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.Dir, ".state-*")
	if err == nil {
		_, err = tmp.Write(append(text, '\n'))
		err = errors.Join(err, tmp.Sync(), tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), filepath.Join(f.Dir, stateFile))
		}
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}
	if err != nil {
		return diskError("noting the state of a feed", err)
	}
	return nil
}

// tidy removes all other files, which earlier downloads or a crash have left.
func (f *Fetcher) tidy(keep string) {
	entries, _ := os.ReadDir(f.Dir) // what stays is removed the next time
	for _, e := range entries {
		if e.Name() != keep && e.Name() != stateFile && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(f.Dir, e.Name()))
		}
	}
}

func (f *Fetcher) now() time.Time {
	if f.Now == nil {
		return time.Now().UTC()
	}
	return f.Now().UTC()
}

var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// baseName is the last part of a URL's path as the name of a file: its ending tells how it
// is read.
func baseName(url string) string {
	name := unsafeName.ReplaceAllString(withoutQuery(url)[strings.LastIndex(withoutQuery(url), "/")+1:], "_")
	if len(name) > 100 {
		name = name[len(name)-100:]
	}
	return name
}
