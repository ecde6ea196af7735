package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// analyze handles an analyze job: announce the claim in the record, make the
// inventory, store it, match, evaluate.
func (p *Pipeline) analyze(ctx context.Context, run *Run) error {
	job := run.Job
	if err := p.Records.Fence(ctx, job.Digest, job.Epoch); err != nil {
		return err
	}
	entry, err := p.entry(ctx, job.Digest)
	if err != nil {
		return err
	}
	if k := entry.Record.Manifest.Kind; k != KindUnknown && k != KindImage {
		return fmt.Errorf("analysing %s: it is no image but of kind %q: %w", job.Digest, k, ErrUnassessable)
	}
	// An inventory of a job that is not forced was stored by an earlier claim
	// that died before it could say so.
	if entry.Record.InventoryID == "" || job.Force {
		err = p.inventory(ctx, run, entry.Record)
	} else {
		err = p.Scheduler.Serve(ctx, job.Lease())
	}
	if err != nil {
		return err
	}
	run.Enter(PhaseMatch)
	err = p.renew(ctx, job.Digest, job.Trigger.event())
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	// A shared store has lost the inventory since, or it is damaged. The error
	// must not go on: of the registry it would end the job for good.
	p.Log.Warn("inventory is lost, analysing again", "digest", job.Digest, "error", err)
	if err := p.inventory(ctx, run, entry.Record); err != nil {
		return err
	}
	run.Enter(PhaseMatch)
	if err = p.renew(ctx, job.Digest, job.Trigger.event()); errors.Is(err, ErrNotFound) {
		return fmt.Errorf("the store loses inventories: %v: %w", err, ErrStoreUnavailable)
	}
	return err
}

// inventory makes and stores the inventory, from the first location that has
// the image. What was analysed is charged, also when no layer had to be pulled
// for it: the charge is kept before the first layer byte is pulled, at the
// latest before the inventory is stored, so that there is none without a charge
// (docs/adr/0006-charged-when-analysed.md).
func (p *Pipeline) inventory(ctx context.Context, run *Run, rec Record) error {
	job := run.Job
	started := p.Now()
	served := false
	serve := func(ctx context.Context) error {
		err := p.Scheduler.Serve(ctx, job.Lease())
		served = served || err == nil
		return err
	}
	var first error
	for _, loc := range p.sources(job.Location, rec) {
		inv, err := p.Analyzer.Analyze(ctx, AnalyzeRequest{
			Digest: job.Digest, Location: loc,
			BeforePull: serve,
			Progress:   run.Report,
			Yield:      run.Yield,
		})
		switch {
		case err == nil:
			p.tookAnalysis(p.Now().Sub(started))
			if !served {
				if err := serve(ctx); err != nil {
					return err
				}
			}
			return p.Records.PutInventory(ctx, job.Epoch, inv)
		case errors.Is(err, ErrUnassessable) || errors.Is(err, ErrTooLarge):
			if rec.InventoryID != "" {
				return err // a rescan never hides the last findings; the job tells
			}
			reason := Printable(err.Error(), 300)
			if put := p.Records.PutUnassessable(ctx, job.Digest, job.Epoch, reason); put != nil {
				return put
			}
			return errors.Join(err, p.Judge(ctx, job.Digest, job.Trigger.event()))
		case errors.Is(err, ErrNotFound):
			if gone := p.Records.MarkGone(ctx, job.Digest, loc); gone != nil {
				return gone
			}
		case errors.Is(err, ErrRegistryAuth), errors.Is(err, ErrRegistryUnavailable), errors.Is(err, ErrIntegrity),
			errors.Is(err, ErrRegistryNotTrusted): // removed from the configuration since
			// Another registry may have the same bytes.
		default:
			return err
		}
		if first == nil || errors.Is(first, ErrNotFound) || errors.Is(first, ErrRegistryNotTrusted) {
			first = fmt.Errorf("analysing from %q: %w", loc, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// sources lists where a digest may be pulled: the job's own location first,
// then every other one that is not known to be gone.
func (p *Pipeline) sources(first Location, rec Record) []Location {
	list := []Location{first}
	for _, l := range rec.Locations {
		if _, ok := p.Registries.ByName(l.Registry); ok && !l.Gone && !slices.Contains(list, l.Location) {
			list = append(list, l.Location)
		}
	}
	return list
}
