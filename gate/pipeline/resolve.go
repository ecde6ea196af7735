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
}

// resolve handles a resolve job: it reads what the job's key names and what its tags
// name, then records each digest once, with the tags, and requests the analyses that
// are due.
//
// Every step is idempotent; a crash anywhere is repaired by the next claim.
func (p *Pipeline) resolve(ctx context.Context, run *gate.Run) error {
	job := run.Job
	by := asking{trigger: job.Trigger, force: job.Force}
	if _, ok := p.Registries.ByName(job.Location.Registry); !ok {
		return fmt.Errorf("resolving in registry %q: %w", job.Location.Registry, gate.ErrRegistryNotTrusted)
	}
	run.Enter(gate.PhaseManifest)
	var sights []*sight
	var gone error // the digest is, which its tags may have outlived
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
			sights = append(sights, &sight{Looked: gate.Looked{Manifest: m, Read: true}})
		}
	}
	sights, wrong, stop := p.confirm(ctx, job, sights)
	queued := false // a new analysis
	for _, s := range sights {
		fresh, err := p.record(ctx, s, job.Location, by)
		if err != nil {
			return errors.Join(err, stop)
		}
		queued = queued || fresh
	}
	switch {
	case stop != nil:
		return stop
	case errors.Is(wrong, gate.ErrRegistryRefused):
		return wrong // the tag is asked for again; that the digest is gone, is recorded
	case gone != nil || wrong != nil:
		return errors.Join(gone, wrong)
	case queued || job.Repeat:
		return nil
	}
	// The intake has counted the requests that joined this job, for which it may run
	// again; this is the job's own.
	return p.Scheduler.Avoid(ctx, p.Quota.Period(p.Now()).Key, 1)
}

// record records what was seen at a location, once: what it is, that it is located
// there, which tags name it. Then it requests the analyses that are due; queued says
// that at least one is new.
func (p *Pipeline) record(ctx context.Context, s *sight, loc gate.Location, by asking) (queued bool, err error) {
	parts := p.parts(s.Manifest)
	if err := p.read(ctx, s, parts); err != nil {
		return false, err
	}
	k := s.known[s.Manifest.Digest]
	found := gate.Sighting{Location: loc, Tags: s.tags}
	if s.Manifest.Kind != gate.KindIndex {
		o := gate.Occasion{Event: by.trigger.Event(), At: loc}
		return p.sighted(ctx, k, s.Looked, found, o, by)
	}
	if _, err := p.locate(ctx, &k, s.Looked, found); err != nil {
		return false, err
	}
	return p.members(ctx, parts, s.known, loc, by)
}

// read reads what is recorded of a sight and of its parts, unless it was read before.
func (p *Pipeline) read(ctx context.Context, s *sight, parts []gate.Digest) error {
	var want []gate.Digest
	for _, d := range append([]gate.Digest{s.Manifest.Digest}, parts...) {
		if _, ok := s.known[d]; !ok {
			want = append(want, d)
		}
	}
	if len(want) == 0 {
		return nil
	}
	res, err := p.Records.Read(ctx, gate.ReadRequest{Digests: want})
	if err != nil {
		return err
	}
	if s.known == nil {
		s.known = map[gate.Digest]gate.Known{}
	}
	for _, d := range want {
		s.known[d] = gate.Known{Entry: res.Digests[d]}
	}
	return nil
}

// sighted records what was found of a digest that is no index, and keeps the findings and
// standing verdicts of an image up to date if it is known, or requests its analysis.
func (p *Pipeline) sighted(ctx context.Context, k gate.Known, look gate.Looked, found gate.Sighting, o gate.Occasion, by asking) (queued bool, err error) {
	due := gate.JobRequest{Kind: gate.JobAnalyze, Location: found.Location, Digest: look.Manifest.Digest, Trigger: by.trigger, Force: by.force}
	image := look.Manifest.Kind == gate.KindImage
	if image && (by.force || !mayBeDecided(k, look)) { // forced: a limit may be higher now
		found.Request = &due
	}
	out, err := p.locate(ctx, &k, look, found)
	if err != nil || !image {
		return false, err
	}
	o.Tags = tagsOf(out.Tags, look.Manifest.Digest)
	if found.Request == nil {
		if decided(k) {
			if err := p.renew(ctx, k, o); !errors.Is(err, gate.ErrNotFound) {
				return false, err
			}
			// The stored inventory cannot be read any more. The error must not be
			// returned: to the caller it would be the registry's word about the tag.
			p.Log.Warn("inventory is lost, analysing again", "digest", k.Record.Digest, "error", err)
			due.Force = true
		}
		if out.Job, out.Outcome, err = p.Scheduler.Enqueue(ctx, due); err != nil {
			return false, err
		}
	}
	running := out.Job.State == gate.JobRunning
	if running {
		// It may have evaluated before this location and these tags were recorded.
		// What it has not written by now it evaluates after that.
		if k.Entry, err = gate.ReadEntry(ctx, p.Records, k.Record.Digest); err != nil {
			return false, err
		}
	}
	if (running || len(o.Tags) > 0) && decided(k) {
		err = p.Verdicts.RenewVerdicts(ctx, k, o)
	}
	return out.Outcome == gate.EnqueuedNew, err
}

// mayBeDecided reports whether an analysis of the digest, or a look at its manifest, has
// perhaps come to an end. Where a look may take that back, only the record can tell.
func mayBeDecided(k gate.Known, look gate.Looked) bool {
	return decided(k) || look.Manifest.Unassessable != ""
}

// tagsOf are the tags whose mapping names a digest: one that was read again later, by
// another process, names what was found then.
func tagsOf(mappings []gate.TagMapping, d gate.Digest) (tags []string) {
	for _, m := range mappings {
		if m.Digest == d {
			tags = append(tags, m.Tag)
		}
	}
	return tags
}

// decided reports whether an analysis of the digest has come to an end, so that
// standing verdicts say more than that one is due.
func decided(k gate.Known) bool {
	return k.Record.InventoryID != "" || k.Record.Manifest.Unassessable != ""
}

// renew brings the findings and verdicts of a decided image up to date.
func (p *Pipeline) renew(ctx context.Context, k gate.Known, o gate.Occasion) error {
	if k.Record.Manifest.Unassessable != "" {
		return p.Verdicts.RenewVerdicts(ctx, k, o)
	}
	return p.Verdicts.Renew(ctx, k, o)
}
