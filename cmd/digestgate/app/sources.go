package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/advisory/supply"
	"github.com/digestgate/digestgate/scanner/registry"
)

// newSources makes what brings the sources of compositions, which tell r how far they are.
func (a *App) newSources(r *advisory.Refresher) error {
	c := a.Config.Advisories
	if len(c.Sources) == 0 {
		return nil
	}
	if c.Path != "" {
		r.Mirrors = supply.New(supply.Options{
			Config: source.Config{Name: gate.SourceTrivyDB, Path: c.Path, Epochs: true}, Dir: a.sourceDir(gate.SourceTrivyDB), Keys: c.Keys, Now: time.Now,
		})
	}
	for i, s := range c.Sources {
		mirrors, err := a.newSupplied(s, r)
		if err != nil {
			return fmt.Errorf("advisories.sources[%d]: %w", i, err)
		}
		r.Sources = append(r.Sources, advisory.Supplied{Config: s, Mirrors: mirrors})
	}
	return nil
}

// sourceDir is where a source is downloaded and made.
func (a *App) sourceDir(name string) string {
	return filepath.Join(a.Config.DataDir, "advisories", "source-"+name)
}

func (a *App) newSupplied(s source.Config, r *advisory.Refresher) (advisory.Mirrors, error) {
	progress := func(done, total int64) { r.Progress(s.Name, "downloading", done, total) }
	if s.Kind() != source.Repository {
		return NewSupply(s, a.Config.Advisories.Keys, a.sourceDir(s.Name), false, progress)
	}
	var registries []registry.Config
	for _, entry := range a.Config.Registries {
		registries = append(registries, entry.Config)
	}
	d, err := NewSourceDownload(s, a.sourceDir(s.Name), registries, func(p download.Progress) { r.Progress(p.Repository, string(p.Phase), p.Done, p.Total) })
	if err != nil {
		return nil, err
	}
	a.onClose(d.Close)
	return mirrors{d}, nil
}

// NewSourceDownload makes the download of a source that is an OCI repository.
func NewSourceDownload(s source.Config, dir string, registries []registry.Config, progress func(download.Progress)) (*download.Downloader, error) {
	return download.New(download.Options{
		Artifact: download.Database(), Repositories: []download.Repository{s.Mirror()}, Registries: registries, Keys: s.Keys,
		Dir: dir, Now: time.Now, Progress: progress,
	})
}

// SourceMirrors is a download as sources are asked.
func SourceMirrors(d *download.Downloader) advisory.Mirrors { return mirrors{d} }

// feedTimeout bounds a request for a feed with its answer: 1 GB at 1 MB/s.
const feedTimeout = 20 * time.Minute

// NewSupply makes a source that is a path or a feed. keys are those of advisories.keys, for
// bundles. Offline uses what the last download has left.
func NewSupply(s source.Config, keys []string, dir string, offline bool, progress func(done, total int64)) (*supply.Supply, error) {
	client, err := feedClient(s)
	if err != nil {
		return nil, err
	}
	return supply.New(supply.Options{Config: s, Keys: keys, Dir: dir, Client: client, Offline: offline, Progress: progress, Free: freeBytes, Now: time.Now}), nil
}

// feedClient asks the hosts that a source names for feeds, and no other private ones.
func feedClient(s source.Config) (*http.Client, error) {
	if s.Kind() != source.Feed {
		return nil, nil
	}
	o := outbound.ClientOptions{Purpose: outbound.Feed, Timeout: feedTimeout}
	for _, at := range []string{s.Feed, s.SHA256} {
		if u, err := url.Parse(at); err == nil && u.Host != "" {
			host := u.Host
			if u.Port() == "" && u.Scheme == "http" {
				host += ":80"
			}
			o.Hosts = append(o.Hosts, host)
		}
	}
	if s.CAFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w: %w", err, gate.ErrInvalid)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate in PEM form: %w", gate.Quoted(s.CAFile, 200), gate.ErrInvalid)
		}
		o.TLS = &tls.Config{RootCAs: pool}
	}
	return outbound.NewClient(o), nil
}

// freeBytes is what this process may write below dir.
func freeBytes(dir string) (bytes int64, known bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
