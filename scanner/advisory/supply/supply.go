// Package supply brings the databases of sources that are not OCI repositories: files and
// directories of this machine, and feeds, which it downloads and builds. It says what a
// source has now, so that what has not changed is not built again.
package supply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/feed"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// Supply is one source. It implements advisory.Mirrors and is safe for concurrent use.
type Supply struct {
	config  source.Config
	dir     string
	offline bool
	keys    []string
	fetcher *feed.Fetcher
	now     func() time.Time
}

// Options are what a [Supply] is made of.
type Options struct {
	Config source.Config
	// Dir is where feeds are kept and databases are made, on the disk that they stay on.
	Dir string
	// Keys are the files of advisories.keys: a bundle counts only if one of them has signed
	// it, or of the source's own keys where it has some. Without any, no signature is looked at.
	Keys []string
	// Client asks for feeds.
	Client *http.Client
	// Offline uses what the last download has left and makes no request.
	Offline bool
	// Progress is told how far a download is.
	Progress func(done, total int64)
	// Free is how many bytes may be written below a directory; nil does not ask.
	Free func(dir string) (int64, bool)
	Now  func() time.Time // nil is time.Now
}

// New makes a source of the kind path or feed.
func New(o Options) *Supply {
	if o.Now == nil {
		o.Now = time.Now
	}
	keys := o.Keys
	if len(o.Config.Keys) > 0 {
		keys = o.Config.Keys
	}
	return &Supply{
		config: o.Config, dir: o.Dir, offline: o.Offline, keys: keys, now: o.Now,
		fetcher: &feed.Fetcher{Client: o.Client, Dir: filepath.Join(o.Dir, "feed"), Now: o.Now, Progress: o.Progress, Free: o.Free},
	}
}

// builder counts up when the same files are built into other databases: what was settled
// is then built again.
const builder = 2

// Fetch implements advisory.Mirrors. What it calls a manifest is the digest of a bundle or
// of a feed's file with what the configuration says of it, or the content of a database.
func (s *Supply) Fetch(ctx context.Context, r advisory.MirrorRequest) (*advisory.Download, error) {
	if r.Digest != "" {
		return nil, fmt.Errorf("source %q has only its newest data: %w", s.config.Name, gate.ErrNotFound)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of source %q: %w: %w", s.config.Name, gate.ErrResource, err)
	}
	tmp, err := os.MkdirTemp(s.dir, "making-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for source %q: %w: %w", s.config.Name, gate.ErrResource, err)
	}
	d := &advisory.Download{Dir: filepath.Join(tmp, "db"), Own: true, Discard: func() { _ = os.RemoveAll(tmp) }}
	taken := false
	defer func() {
		if !taken {
			d.Discard()
		}
	}()
	s.tidy(filepath.Base(tmp))
	if s.config.Kind() == source.Feed {
		err = s.feed(ctx, r, tmp, d)
	} else {
		err = s.path(ctx, r, d)
	}
	if err != nil || d.Manifest == r.Settled {
		return nil, err
	}
	if r.Accept != nil {
		if err := r.Accept(ctx, *d); err != nil {
			return nil, err
		}
	}
	taken = true
	return d, nil
}

// tidy removes what a crash has left half made.
func (s *Supply) tidy(keep string) {
	entries, _ := os.ReadDir(s.dir) // what stays is removed the next time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "making-") && e.Name() != keep && s.now().Sub(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(filepath.Join(s.dir, e.Name()))
		}
	}
}

// feed downloads the file and builds the database, unless both are settled.
func (s *Supply) feed(ctx context.Context, r advisory.MirrorRequest, tmp string, d *advisory.Download) error {
	c := s.config
	file, err := s.file(ctx)
	if err != nil {
		return err
	}
	d.Repository = c.Where()
	if d.Manifest = s.mark(file); d.Manifest == r.Settled {
		return nil
	}
	from := filepath.Join(tmp, "from")
	if err := os.Mkdir(from, 0o700); err != nil {
		return fmt.Errorf("%w: %w", gate.ErrResource, err)
	}
	if err := os.Link(file.Path, filepath.Join(from, filepath.Base(file.Path))); err != nil {
		return fmt.Errorf("building the feed: %w: %w", gate.ErrResource, err)
	}
	if err := s.describe(from); err != nil {
		return err
	}
	_, err = advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS(from), Out: d.Dir, FetchedAt: file.ModifiedAt, Now: s.now})
	return err
}

func (s *Supply) file(ctx context.Context) (feed.File, error) {
	c := s.config
	from := feed.Feed{URL: c.Feed, Username: c.Username, PasswordFile: c.PasswordFile, SHA256: c.SHA256}
	if s.offline {
		return s.fetcher.Have(from)
	}
	file, _, err := s.fetcher.Fetch(ctx, from)
	return file, err
}

// mark names what is built of a file.
func (s *Supply) mark(file feed.File) gate.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "feed %s %d %q %q %v", file.Sum, builder, s.config.Distribution, s.config.Release, s.config.Epochs)
	return gate.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}

// describe writes what the configuration says of a feed beside its file.
func (s *Supply) describe(dir string) error {
	c := s.config
	if c.Distribution == "" && c.Epochs {
		return nil
	}
	said := map[string]any{"distribution": c.Distribution}
	if c.Release != "" {
		said["release"] = c.Release
	}
	if !c.Epochs {
		said["epochs"] = false
	}
	text, err := yaml.Marshal(said)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "feed.yaml"), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("describing the feed: %w: %w", gate.ErrResource, err)
	}
	return nil
}

// path copies a database, unpacks a bundle, or builds what is in a directory.
func (s *Supply) path(ctx context.Context, r advisory.MirrorRequest, d *advisory.Download) error {
	info, err := os.Stat(s.config.Path)
	if err != nil {
		return fmt.Errorf("looking at source %q: %w: %w", s.config.Name, gate.ErrNotFound, err)
	}
	if info.Mode().IsRegular() {
		return s.bundle(ctx, r, d)
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%q is neither a directory nor a bundle: %w", s.config.Path, gate.ErrInvalid)
	case len(s.config.Keys) > 0:
		return fmt.Errorf("%q is a directory, which cannot be signed, but the source has keys; put a bundle of \"digestgate advisories export\" there, or remove the keys: %w", s.config.Path, gate.ErrInvalid)
	}
	var db *advisory.Database
	if _, err := os.Stat(filepath.Join(s.config.Path, "trivy.db")); errors.Is(err, fs.ErrNotExist) {
		var built advisory.BuildResult
		built, err = advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS(s.config.Path), Out: d.Dir, Now: s.now})
		db = &built.Database
		if err != nil {
			return err
		}
	} else if db, err = advisory.Copy(ctx, s.config.Path, d.Dir, s.now()); err != nil {
		return err
	}
	d.Manifest = db.Content
	return nil
}
