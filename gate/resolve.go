package gate

import (
	"context"
	"errors"
	"fmt"
)

// asking is on whose behalf something is resolved.
type asking struct {
	trigger Trigger
	force   bool
	// recordOnly leaves it to the caller to ask for analyses: admission does so
	// within the budget of the namespace.
	recordOnly bool
}

// resolve handles a resolve job: it reads what the job's key names, records
// the location, asks for the analyses that are due, and confirms the tags.
//
// Every step is idempotent; a crash anywhere is repaired by the next claim.
func (p *Pipeline) resolve(ctx context.Context, run *Run) error {
	job := run.Job
	by := asking{trigger: job.Trigger, force: job.Force}
	if _, ok := p.Registries.ByName(job.Location.Registry); !ok {
		return fmt.Errorf("resolving in registry %q: %w", job.Location.Registry, ErrRegistryNotTrusted)
	}
	run.Enter(PhaseManifest)
	queued := false // a new analysis
	if job.Digest != "" {
		m, err := p.Source.Resolve(ctx, job.Location, string(job.Digest))
		if errors.Is(err, ErrNotFound) {
			if gone := p.Records.MarkGone(ctx, job.Digest, job.Location); gone != nil {
				return gone
			}
		}
		if err != nil {
			return p.unreadable(ctx, job, err)
		}
		if queued, err = p.seen(ctx, m, job.Location, by); err != nil {
			return err
		}
	}
	for _, tag := range job.Tags {
		_, fresh, err := p.confirm(ctx, TagKey{job.Location, tag}, by)
		if errors.Is(err, ErrNotFound) && job.Digest != "" {
			continue // the tag is gone again, which confirm has recorded; its digest is fine
		}
		if err != nil {
			return fmt.Errorf("confirming tag %q: %w", Printable(tag, 128), err)
		}
		queued = queued || fresh
	}
	if queued || job.Repeat {
		return nil
	}
	// The intake has counted the asks that joined this job, for which it may
	// run again; this is the job's own.
	return p.Scheduler.Avoid(ctx, p.Quota.Period(p.Now()).Key, 1)
}

// unreadable records what a failed read by digest says about the digest for
// good: a manifest that no rule covers is unassessable wherever it lies.
func (p *Pipeline) unreadable(ctx context.Context, job Job, err error) error {
	if !errors.Is(err, ErrUnassessable) {
		return err
	}
	m := Manifest{Digest: job.Digest, Kind: KindArtifact, Unassessable: Printable(err.Error(), 300)}
	if put := p.Records.PutManifest(ctx, m); put != nil {
		return put
	}
	if _, add := p.Records.AddLocation(ctx, job.Digest, job.Location); add != nil {
		return add
	}
	return err
}

// confirm reads which digest a tag names now and stores the mapping. A digest
// that HEAD reports counts only when it was read and hashed before; otherwise
// the manifest is read. queued says that a new analysis was asked for.
// ErrNotFound when the tag does not exist (recorded).
func (p *Pipeline) confirm(ctx context.Context, key TagKey, by asking) (m TagMapping, queued bool, err error) {
	readAt, err := p.Records.Now(ctx)
	if err != nil {
		return TagMapping{}, false, err
	}
	digest, queued, err := p.named(ctx, key, by)
	if errors.Is(err, ErrNotFound) {
		if _, put := p.Records.PutTag(ctx, key, "", readAt); put != nil {
			return TagMapping{}, false, put
		}
		return TagMapping{}, false, err
	}
	if err != nil {
		return TagMapping{}, false, err
	}
	m, err = p.Records.PutTag(ctx, key, digest, readAt)
	return m, queued, err
}

// named finds the digest of a tag and makes sure that it is recorded here.
func (p *Pipeline) named(ctx context.Context, key TagKey, by asking) (_ Digest, queued bool, err error) {
	digest, err := p.Source.Head(ctx, key.Location, key.Tag)
	if err != nil {
		return "", false, err
	}
	entry, err := p.entry(ctx, digest)
	if err != nil {
		return "", false, err
	}
	m := entry.Record.Manifest
	if m.Kind == KindUnknown {
		m, err = p.Source.Resolve(ctx, key.Location, key.Tag)
		if err != nil {
			return "", false, err
		}
	}
	queued, err = p.seen(ctx, m, key.Location, by)
	return m.Digest, queued, err
}

// seen records that a manifest lies at a location and asks for the analyses of
// the images it stands for; queued says that at least one is new.
func (p *Pipeline) seen(ctx context.Context, m Manifest, loc Location, by asking) (queued bool, err error) {
	if err := p.Records.PutManifest(ctx, m); err != nil {
		return false, err
	}
	if _, err := p.Records.AddLocation(ctx, m.Digest, loc); err != nil {
		return false, err
	}
	switch m.Kind {
	case KindImage:
		return p.due(ctx, m.Digest, loc, by)
	case KindIndex:
		for _, c := range m.Children {
			if !c.Judged {
				continue
			}
			child := Manifest{Digest: c.Digest, MediaType: c.MediaType, Kind: KindImage, Platform: c.Platform}
			fresh, err := p.seen(ctx, child, loc, by)
			if err != nil {
				return false, err
			}
			queued = queued || fresh
		}
	}
	return queued, nil
}

// due asks for the analysis of an image unless it is known, and keeps its
// findings and standing verdicts up to date when it is.
func (p *Pipeline) due(ctx context.Context, d Digest, loc Location, by asking) (queued bool, err error) {
	if by.recordOnly {
		return false, nil
	}
	entry, err := p.entry(ctx, d)
	if err != nil {
		return false, err
	}
	switch {
	case entry.Record.Manifest.Unassessable != "":
		return false, p.Judge(ctx, d, by.trigger.event())
	case entry.Record.InventoryID != "" && !by.force:
		return false, p.refresh(ctx, entry.Record, by.trigger.event())
	}
	_, outcome, err := p.Scheduler.Enqueue(ctx, JobRequest{
		Kind: JobAnalyze, Location: loc, Digest: d, Trigger: by.trigger, Force: by.force,
	})
	return outcome == EnqueuedNew, err
}

// event is the event that policies see for work of this trigger.
func (t Trigger) event() Event {
	switch t {
	case TriggerRescan:
		return EventRescan
	case TriggerAPI:
		return EventCheck
	}
	return EventPush
}
