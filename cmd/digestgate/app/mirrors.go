package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/registry"
)

// mirrors are the repositories of advisory data as the refresher asks them.
type mirrors struct{ *download.Downloader }

// newMirrors makes the downloads of an artifact of advisory data, which tell r how far they
// are.
func (a *App) newMirrors(r *advisory.Refresher, artifact download.Artifact, repositories []download.Repository) (advisory.Mirrors, error) {
	var registries []registry.Config
	for _, entry := range a.Config.Registries {
		registries = append(registries, entry.Config)
	}
	d, err := download.New(download.Options{
		Artifact: artifact, Repositories: repositories, Registries: registries, Keys: a.Config.Advisories.Keys,
		Dir: filepath.Join(a.Config.DataDir, "advisories"), Log: a.Log, Now: time.Now,
		Progress: func(p download.Progress) { r.Progress(p.Repository, string(p.Phase), p.Done, p.Total) },
	})
	if err != nil {
		return nil, err
	}
	a.onClose(d.Close)
	d.Describe(a.Metrics)
	return mirrors{d}, nil
}

// States implements advisory.Stated.
func (m mirrors) States() []gate.AdvisoryMirror {
	var list []gate.AdvisoryMirror
	for _, s := range m.Downloader.Mirrors() {
		list = append(list, gate.AdvisoryMirror{
			Repository: s.Repository, State: string(s.State), AskedAt: s.AskedAt, WorkedAt: s.WorkedAt,
			FailedAt: s.FailedAt, LastError: s.LastError, RestsUntil: s.RestsUntil, Failures: s.Failures,
		})
	}
	return list
}

// Fetch implements advisory.Mirrors.
func (m mirrors) Fetch(ctx context.Context, r advisory.MirrorRequest) (*advisory.Download, error) {
	c, err := m.Downloader.Fetch(ctx, download.Request{
		InForce: r.Settled, Digest: r.Digest, Again: r.Again,
		Accept: func(ctx context.Context, c *download.Candidate) error {
			if r.Accept == nil {
				return nil
			}
			return r.Accept(ctx, downloaded(c))
		},
	})
	if err != nil || c == nil {
		return nil, err
	}
	d := downloaded(c)
	return &d, nil
}

func downloaded(c *download.Candidate) advisory.Download {
	return advisory.Download{
		Dir: c.Dir, Repository: c.Repository, Manifest: c.Manifest, Own: c.Own,
		Discard: func() { _ = c.Discard() }, // nothing is left when it was kept
	}
}
