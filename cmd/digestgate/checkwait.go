package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
)

// settle waits until a resolve and the analyses that it asked for have ended,
// and returns the image.
func (a *app) settle(ctx context.Context, resolve gate.Job, progress io.Writer) (api.ImageDetail, error) {
	job, err := a.finished(ctx, resolve.ID, progress)
	if err != nil {
		return api.ImageDetail{}, err
	}
	if job.State != gate.JobDone {
		return api.ImageDetail{}, unreadable("the image cannot be read", job)
	}
	digest := job.Digest
	if digest == "" {
		key := gate.TagKey{Location: job.Location, Tag: job.Tags[0]}
		res, err := a.store.Read(ctx, gate.ReadRequest{Tags: []gate.TagKey{key}})
		if err != nil {
			return api.ImageDetail{}, err
		}
		digest = res.Tags[key].Digest
	}
	for {
		changed := a.store.Changed()
		entry, pending, err := a.outstanding(ctx, digest)
		if err != nil {
			return api.ImageDetail{}, err
		}
		if pending == "" {
			if err := a.catalog.CatchUp(ctx); err != nil {
				return api.ImageDetail{}, err
			}
			return api.View(ctx, a.store, a.catalog, entry)
		}
		if _, err := a.finished(ctx, pending, progress); err != nil {
			return api.ImageDetail{}, err
		}
		if _, again, err := a.outstanding(ctx, digest); err == nil && again == pending {
			select {
			case <-ctx.Done():
			case <-changed:
			}
		}
	}
}

// outstanding finds a live job of a digest or, for an index, of its children.
func (a *app) outstanding(ctx context.Context, d gate.Digest) (gate.Entry, string, error) {
	want := []gate.Digest{d}
	res, err := a.store.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return gate.Entry{}, "", err
	}
	entry := res.Digests[d]
	for _, c := range entry.Record.Manifest.Children {
		if c.Judged && c.Digest.Valid() {
			want = append(want, c.Digest)
		}
	}
	if res, err = a.store.Read(ctx, gate.ReadRequest{Digests: want}); err != nil {
		return gate.Entry{}, "", err
	}
	for _, d := range want {
		if j := res.Digests[d].Job; j != nil && j.State.Live() {
			return entry, j.ID, nil
		}
	}
	return res.Digests[d], "", nil
}

// finished waits for the end of a job. A job that waits for a registry tells
// why, and this command does not wait with it.
func (a *app) finished(ctx context.Context, id string, progress io.Writer) (gate.Job, error) {
	var shown gate.Progress
	for {
		changed := a.store.Changed()
		job, err := a.store.Job(ctx, id)
		if err != nil {
			return job, err
		}
		if job.Progress != shown {
			shown = job.Progress
			fmt.Fprintf(progress, "%s: %s\n", job.Kind, describeProgress(shown))
		}
		if !job.State.Live() {
			return job, nil
		}
		if job.State == gate.JobQueued && job.Error != "" {
			return job, unreadable("the image cannot be read now", job)
		}
		select {
		case <-ctx.Done():
			return job, context.Cause(ctx)
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

func describeProgress(p gate.Progress) string {
	switch p.Phase {
	case gate.PhaseLayers:
		return fmt.Sprintf("layer %d of %d (%d known), %.1f of %.1f MB", p.LayersDone, p.LayersTotal, p.LayersKnown, float64(p.Bytes)/1e6, float64(p.BytesTotal)/1e6)
	case "":
		return "starting"
	}
	return string(p.Phase)
}

// unreadable is the error of a job that has not led to an image.
func unreadable(what string, job gate.Job) error {
	return exitError{code: exitNoVerdict, text: what + ": " + gate.Printable(job.Error, 500), reason: job.Reason}
}
