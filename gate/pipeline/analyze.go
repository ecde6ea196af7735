package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// analyze handles an analyze job: announce the claim in the record, make the
// inventory, store it, match, evaluate.
func (p *Pipeline) analyze(ctx context.Context, run *gate.Run) error {
	job := run.Job
	if err := p.Records.Fence(ctx, job.Digest, job.Epoch); err != nil {
		return err
	}
	entry, err := gate.ReadEntry(ctx, p.Records, job.Digest)
	if err != nil {
		return err
	}
	k, err := p.establish(ctx, job, gate.Known{Entry: entry})
	if err != nil {
		return err
	}
	// An inventory of a job that is not forced was stored by an earlier claim
	// that died before it could say so.
	if k.Record.InventoryID == "" || job.Force {
		k, err = p.inventory(ctx, run, k)
	} else {
		err = p.Scheduler.Serve(ctx, job.Lease())
	}
	if err != nil {
		return err
	}
	run.Enter(gate.PhaseMatch)
	o := gate.Occasion{Event: job.Trigger.Event()}
	err = p.Verdicts.Renew(ctx, k, o)
	if !errors.Is(err, gate.ErrNotFound) {
		return err
	}
	// A shared store has lost the inventory since, or it is damaged. The error
	// must not be returned: of the registry it would end the job for good.
	p.Log.Warn("inventory is lost, analysing again", "digest", job.Digest, "error", err)
	if k, err = p.inventory(ctx, run, k); err != nil {
		return err
	}
	run.Enter(gate.PhaseMatch)
	if err = p.Verdicts.Renew(ctx, k, o); errors.Is(err, gate.ErrNotFound) {
		return fmt.Errorf("the store loses inventories: %v: %w", err, gate.ErrStoreUnavailable)
	}
	return err
}

// inventory makes and stores the inventory, from the first location that has
// the image, and returns what is known then. What was analysed is charged, also when
// no layer had to be pulled for it: the charge is kept before the first layer byte is
// pulled, at the latest before the inventory is stored, so that there is none without a
// charge (docs/adr/0006-charged-when-analysed.md).
func (p *Pipeline) inventory(ctx context.Context, run *gate.Run, k gate.Known) (gate.Known, error) {
	job := run.Job
	started := p.Now()
	served := false
	serve := func(ctx context.Context) error {
		err := p.Scheduler.Serve(ctx, job.Lease())
		served = served || err == nil
		return err
	}
	err := p.fromSources(ctx, job, k.Record, func(ctx context.Context, loc gate.Location) error {
		inv, err := p.Analyzer.Analyze(ctx, gate.AnalyzeRequest{
			Digest: job.Digest, Location: loc,
			BeforePull: serve,
			Progress:   run.Report,
			Yield:      run.Yield,
		})
		if gate.OfContent(err) {
			return p.unassessable(ctx, job, k, err)
		}
		if err != nil {
			return err
		}
		p.tookAnalysis(p.Now().Sub(started))
		if p.Beside != nil {
			inv.Beside = p.Beside.Find(ctx, loc, job.Digest, p.foundBefore(ctx, k))
		}
		if !served {
			if err := serve(ctx); err != nil {
				return err
			}
		}
		return p.putInventory(ctx, job.Epoch, inv, &k)
	})
	return k, err
}

// foundBefore is what was found beside an image when it was analysed the last time.
func (p *Pipeline) foundBefore(ctx context.Context, k gate.Known) *gate.BesideVEX {
	if k.Record.InventoryID == "" {
		return nil
	}
	former, err := p.Records.Inventory(ctx, k.Record.Digest)
	if err != nil {
		p.Log.Debug("the documents found beside an image before are not known", "digest", k.Record.Digest, "error", err)
		return nil
	}
	return former.Beside
}

// putInventory stores an inventory and makes k what is recorded then. The analysis has
// taken minutes: what was written meanwhile is read, a new location for example.
func (p *Pipeline) putInventory(ctx context.Context, epoch int64, inv *gate.Inventory, k *gate.Known) error {
	written, err := p.Records.PutInventory(ctx, epoch, inv)
	if err != nil {
		return err
	}
	was := k.Record
	if written.Follows(was.Version) && was.Manifest.Unassessable == "" { // which an inventory takes back
		k.Record.TakeInventory(written.ID, inv)
		k.Record.Version = written.Version
	} else if k.Entry, err = gate.ReadEntry(ctx, p.Records, inv.Digest); err != nil {
		return err
	}
	k.Record.Digest, k.Inventory = inv.Digest, nil
	if k.Record.InventoryID == written.ID {
		k.Inventory = inv
	}
	return nil
}

// unassessable records why an image can never be analysed. What is known of one from
// an earlier analysis stays in force: a rescan never hides the last findings, and the
// job tells.
func (p *Pipeline) unassessable(ctx context.Context, job gate.Job, k gate.Known, cause error) error {
	if k.Record.InventoryID != "" {
		return cause
	}
	class, _ := gate.Classify(cause)
	err := p.Records.PutUnassessable(ctx, job.Digest, job.Epoch, gate.ContentText(cause, class.Err))
	if err != nil {
		return err
	}
	entry, err := gate.ReadEntry(ctx, p.Records, job.Digest)
	if err == nil {
		err = p.Verdicts.RenewVerdicts(ctx, gate.Known{Entry: entry}, gate.Occasion{Event: job.Trigger.Event()})
	}
	return errors.Join(cause, err)
}

// fromSources calls fn with each place that a digest may be read from, until one
// answers for good: with success, or with an error that is not the place's own.
// Of the places' errors it returns the one that leaves most hope: what a broken
// registry serves must not end a job while another, which has the image, is away.
// A place that is recorded meanwhile is tried too: the job may have been asked for
// where the digest never was.
func (p *Pipeline) fromSources(ctx context.Context, job gate.Job, rec gate.Record, fn func(context.Context, gate.Location) error) error {
	tried := map[gate.Location]bool{}
	var met []*gate.PlaceError
	for list := p.sources(job.Location, rec); len(list) > 0; {
		for _, loc := range list {
			tried[loc] = true
			err := fn(ctx, loc)
			switch {
			case err == nil:
				return nil
			case gate.OfContent(err), errors.Is(err, gate.ErrPermanent):
				return err
			case errors.Is(err, gate.ErrNotFound):
				if gone := p.Records.MarkGone(ctx, job.Digest, loc); gone != nil {
					return gone
				}
			case gate.Hope(err) == 0:
				return err
			}
			met = append(met, &gate.PlaceError{At: loc, Err: err})
			if ctx.Err() != nil {
				return decisive(met, p.Now())
			}
		}
		entry, err := gate.ReadEntry(ctx, p.Records, job.Digest)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(p.sources(job.Location, entry.Record), func(l gate.Location) bool { return tried[l] })
	}
	return decisive(met, p.Now())
}

// decisive is the error of the place that leaves most hope, the first of several,
// with the causes of the others.
func decisive(met []*gate.PlaceError, now time.Time) error {
	if len(met) == 0 {
		return nil
	}
	best := met[0]
	for _, e := range met[1:] {
		if gate.Hope(e) > gate.Hope(best) {
			best = e
		}
	}
	for _, e := range met {
		if e != best {
			best.Others = append(best.Others, gate.CauseOf(e, now))
		}
	}
	return best
}

// sources lists where a digest may be pulled: the job's own location first,
// then every other one that is not known to be gone.
func (p *Pipeline) sources(first gate.Location, rec gate.Record) []gate.Location {
	list := []gate.Location{first}
	for _, l := range rec.Locations {
		if _, ok := p.Registries.ByName(l.Registry); ok && !l.Gone && !slices.Contains(list, l.Location) {
			list = append(list, l.Location)
		}
	}
	return list
}
