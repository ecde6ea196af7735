package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/digestgate/digestgate/gate"
)

// asking is on whose behalf something is resolved.
type asking struct {
	trigger gate.Trigger
	force   bool
	// recordOnly leaves it to the caller to ask for analyses: admission does so
	// within the budget of the namespace.
	recordOnly bool
}

// resolve handles a resolve job: it reads what the job's key names, records
// the location, asks for the analyses that are due, and confirms the tags.
//
// Every step is idempotent; a crash anywhere is repaired by the next claim.
func (p *Pipeline) resolve(ctx context.Context, run *gate.Run) error {
	job := run.Job
	by := asking{trigger: job.Trigger, force: job.Force}
	if _, ok := p.Registries.ByName(job.Location.Registry); !ok {
		return fmt.Errorf("resolving in registry %q: %w", job.Location.Registry, gate.ErrRegistryNotTrusted)
	}
	run.Enter(gate.PhaseManifest)
	queued := false // a new analysis
	var gone error  // the digest is, which its tags may have outlived
	if job.Digest != "" {
		m, err := p.Source.Resolve(ctx, job.Location, string(job.Digest))
		switch {
		case errors.Is(err, gate.ErrNotFound):
			if mark := p.Records.MarkGone(ctx, job.Digest, job.Location); mark != nil {
				return mark
			}
			gone = err
		case errors.Is(err, gate.ErrUnassessable):
			return errors.Join(err, p.unreadable(ctx, job.Digest, job.Location, err))
		case err != nil:
			return err
		default:
			if queued, err = p.seen(ctx, m, job.Location, by); err != nil {
				return err
			}
		}
	}
	tagged := map[gate.Digest][]string{}
	var wrong error // with what a tag names now
	for _, tag := range job.Tags {
		m, fresh, err := p.confirm(ctx, gate.TagKey{Location: job.Location, Tag: tag}, by)
		if errors.Is(err, gate.ErrNotFound) && job.Digest != "" {
			continue // the tag is gone again, which confirm has recorded; its digest is fine
		}
		if err != nil {
			err = fmt.Errorf("confirming tag %s: %w", gate.Quoted(tag, 128), err)
			if !ofTheTag(err) {
				return err
			}
			wrong = errors.Join(wrong, err) // the other tags may be fine
			continue
		}
		queued = queued || fresh
		tagged[m.Digest] = append(tagged[m.Digest], tag)
	}
	if err := p.renewTagged(ctx, job.Location, tagged, job.Trigger.Event()); err != nil {
		return err
	}
	if errors.Is(wrong, gate.ErrRegistryRefused) {
		return wrong // the tag is asked for again; that the digest is gone, is recorded
	}
	if gone != nil || wrong != nil {
		return errors.Join(gone, wrong)
	}
	if queued || job.Repeat {
		return nil
	}
	// The intake has counted the asks that joined this job, for which it may
	// run again; this is the job's own.
	return p.Scheduler.Avoid(ctx, p.Quota.Period(p.Now()).Key, 1)
}

// ofTheTag reports whether an error is about what one tag names, so that the other
// tags of its repository may be fine.
func ofTheTag(err error) bool {
	return errors.Is(err, gate.ErrUnassessable) || errors.Is(err, gate.ErrIntegrity) || errors.Is(err, gate.ErrRegistryRefused)
}

// renewTagged renews the standing verdicts of known images whose tags were just
// confirmed: rules may look at tags, and the verdict that [Pipeline.due]
// renewed was asked for before the tag was written.
func (p *Pipeline) renewTagged(ctx context.Context, loc gate.Location, tagged map[gate.Digest][]string, event gate.Event) error {
	for d, tags := range tagged {
		entry, err := gate.ReadEntry(ctx, p.Records, d)
		if err != nil {
			return err
		}
		if entry.Record.InventoryID == "" {
			continue // its analysis will
		}
		if err := p.Verdicts.RenewVerdictsTagged(ctx, d, event, loc, tags); err != nil {
			return err
		}
	}
	return nil
}

// confirm reads which digest a tag names now and stores the mapping. queued says
// that a new analysis was asked for. ErrNotFound when the tag does not exist
// (recorded).
func (p *Pipeline) confirm(ctx context.Context, key gate.TagKey, by asking) (m gate.TagMapping, queued bool, err error) {
	readAt, err := p.Records.Now(ctx)
	if err != nil {
		return gate.TagMapping{}, false, err
	}
	host := p.Registries.HostOf(key.Registry)
	found, err := p.Look(ctx, p.Records, key, host, by.recordOnly)
	if errors.Is(err, gate.ErrNotFound) {
		if _, put := p.Records.PutTag(ctx, key, "", readAt, host); put != nil {
			return gate.TagMapping{}, false, put
		}
		return gate.TagMapping{}, false, err
	}
	if err != nil {
		return gate.TagMapping{}, false, err
	}
	if queued, err = p.note(ctx, found, key.Location, by); err != nil {
		return gate.TagMapping{}, false, err
	}
	m, err = p.Records.PutTag(ctx, key, found.Manifest.Digest, readAt, host)
	return m, queued, err
}

// Look asks the registry, which is at host, what digest a tag names and writes
// nothing. A digest that HEAD reports counts only when it was read and hashed before;
// otherwise the manifest is read. asRecorded takes a doubtful record as it is. With
// an error other than ErrNotFound the digest is what HEAD has reported, if it did.
// ErrBusy: the registry is no longer at host, so that it is not known which was read.
func (p *Pipeline) Look(ctx context.Context, r gate.RecordReader, key gate.TagKey, host string, asRecorded bool) (gate.Looked, error) {
	found, err := p.lookAnywhere(ctx, r, key, asRecorded)
	if p.Registries.HostOf(key.Registry) != host {
		return gate.Looked{}, gate.ErrOtherHost
	}
	return found, err
}

func (p *Pipeline) lookAnywhere(ctx context.Context, r gate.RecordReader, key gate.TagKey, asRecorded bool) (gate.Looked, error) {
	digest, err := p.Source.Head(ctx, key.Location, key.Tag)
	if err != nil {
		return gate.Looked{}, err
	}
	reported := gate.Looked{Manifest: gate.Manifest{Digest: digest}}
	res, err := r.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{digest}})
	if err != nil {
		return reported, err
	}
	rec := res.Digests[digest].Record
	if m := rec.Manifest; m.Kind != gate.KindUnknown && (asRecorded || !rec.Doubtful()) {
		m.Digest = digest
		return gate.Looked{Manifest: m}, nil
	}
	m, err := p.Source.Resolve(ctx, key.Location, key.Tag)
	switch {
	case errors.Is(err, gate.ErrNotFound):
		return gate.Looked{}, err
	case err != nil:
		return reported, err
	}
	return gate.Looked{Manifest: m, Read: true}, nil
}

// note records what a look found: that it is located here and, if it was read, what it
// is.
func (p *Pipeline) note(ctx context.Context, found gate.Looked, loc gate.Location, by asking) (queued bool, err error) {
	if found.Read {
		return p.seen(ctx, found.Manifest, loc, by)
	}
	return p.lies(ctx, found.Manifest, loc, by)
}

// Note records what a look found and asks for nothing: admission asks for each
// analysis by itself, within the budget of the namespace.
func (p *Pipeline) Note(ctx context.Context, found gate.Looked, loc gate.Location) error {
	_, err := p.note(ctx, found, loc, asking{trigger: gate.TriggerAdmission, recordOnly: true})
	return err
}

// seen records a manifest that was just read, and that it lies at a location;
// see [Pipeline.lies].
func (p *Pipeline) seen(ctx context.Context, m gate.Manifest, loc gate.Location, by asking) (queued bool, err error) {
	if err := p.record(ctx, &m); err != nil {
		return false, err
	}
	return p.lies(ctx, m, loc, by)
}

// lies records that a known manifest lies at a location and asks for the
// analyses of the images it stands for; queued says that at least one is new.
func (p *Pipeline) lies(ctx context.Context, m gate.Manifest, loc gate.Location, by asking) (queued bool, err error) {
	if _, err := p.Records.AddLocation(ctx, m.Digest, loc); err != nil {
		return false, err
	}
	switch m.Kind {
	case gate.KindImage:
		return p.due(ctx, m.Digest, loc, by)
	case gate.KindIndex:
		return p.members(ctx, m, loc, by)
	}
	return false, nil
}

// due asks for the analysis of an image unless it is known, and keeps its
// findings and standing verdicts up to date when it is.
func (p *Pipeline) due(ctx context.Context, d gate.Digest, loc gate.Location, by asking) (queued bool, err error) {
	if by.recordOnly {
		return false, nil
	}
	entry, err := gate.ReadEntry(ctx, p.Records, d)
	if err != nil {
		return false, err
	}
	switch {
	case entry.Record.Manifest.Unassessable != "" && !by.force: // forced: a limit may be higher now
		return false, p.Verdicts.RenewVerdicts(ctx, d, by.trigger.Event())
	case entry.Record.InventoryID != "" && !by.force:
		err := p.Verdicts.Refresh(ctx, entry.Record, by.trigger.Event())
		if !errors.Is(err, gate.ErrNotFound) {
			return false, err
		}
		// The stored inventory cannot be read any more. The error must not go
		// on: to the caller it would be the registry's word about the tag.
		p.Log.Warn("inventory is lost, analysing again", "digest", d, "error", err)
		by.force = true
	}
	_, outcome, err := p.Scheduler.Enqueue(ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: loc, Digest: d, Trigger: by.trigger, Force: by.force,
	})
	return outcome == gate.EnqueuedNew, err
}
