package stock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

// FillOptions say how a store is filled.
type FillOptions struct {
	// Findings are those that are stored. nil stores none, and no verdicts: the images
	// are then analysed and not matched.
	Findings *Findings
	// Decide gives the standing verdict of image i at a location; nil gives one that
	// warns, which the next sweep of a server puts right.
	Decide func(ctx context.Context, i int, k gate.Known, loc gate.Location) (gate.Decision, error)
	// Callers is how many images are stored at once, 0 for 32.
	Callers int
	// Progress, unless nil, is called after each image with how many are stored.
	Progress func(done int)
}

// period is where the charges count: long ago, so that no limit of today holds them.
const period = "2026-10"

// Fill stores images from to to-1 as an installation has them: analysed, with a job that is
// done and charged, a manifest, one or two locations, a tag, the inventory, findings and
// standing verdicts. Nothing else may claim jobs of the store meanwhile. It ends at the
// first error of each caller; what is stored stays, and the same call again completes it.
func (s *Stock) Fill(ctx context.Context, st store.Store, from, to int, o FillOptions) error {
	if o.Callers == 0 {
		o.Callers = 32
	}
	f := filler{Stock: s, FillOptions: o, store: st, index: make(map[gate.Digest]int, to-from)}
	for i := from; i < to; i++ {
		f.index[s.Digest(i)] = i
	}
	var next, done atomic.Int64
	errs := make([]error, o.Callers)
	var wg sync.WaitGroup
	for c := range o.Callers {
		wg.Go(func() {
			for errs[c] == nil {
				i := from + int(next.Add(1)) - 1
				if i >= to {
					return
				}
				errs[c] = f.one(ctx, i)
				if n := done.Add(1); o.Progress != nil {
					o.Progress(int(n))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

type filler struct {
	*Stock
	FillOptions
	store store.Store
	index map[gate.Digest]int
}

// one queues image i and stores the one that it claims, which may be another.
func (f *filler) one(ctx context.Context, i int) error {
	_, _, err := f.store.Enqueue(ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: f.Locations(i)[0], Digest: f.Digest(i), Trigger: gate.TriggerPush,
	})
	if err != nil {
		return err
	}
	job, err := f.store.Claim(ctx, gate.ClaimRequest{Worker: "stock", Kinds: []gate.JobKind{gate.JobAnalyze}, Lease: 10 * time.Minute, Period: gate.Period{Key: period}})
	if err != nil {
		return err
	}
	i, ok := f.index[job.Digest]
	if !ok {
		return fmt.Errorf("filling a store: it holds a job of %s, which is not of the stock: %w", job.Digest, gate.ErrConflict)
	}
	if err := f.store.Serve(ctx, job.Lease()); err != nil {
		return err
	}
	if err := f.store.Fence(ctx, job.Digest, job.Epoch); err != nil {
		return err
	}
	if err := f.record(ctx, i, job.Epoch); err != nil {
		return fmt.Errorf("storing image %d: %w", i, err)
	}
	_, err = f.store.Finish(ctx, job.Lease(), gate.Result{})
	return err
}

// record stores what is known of image i.
func (f *filler) record(ctx context.Context, i int, epoch int64) error {
	d, tag := f.Digest(i), f.Tag(i)
	now, err := f.store.Now(ctx)
	if err != nil {
		return err
	}
	for _, loc := range f.Locations(i) {
		if _, err := f.store.AddLocation(ctx, d, loc); err != nil {
			return err
		}
	}
	if err := f.store.PutManifest(ctx, f.Manifest(i)); err != nil {
		return err
	}
	if _, err := f.store.PutTag(ctx, tag, d, now, ""); err != nil {
		return err
	}
	inv := f.Inventory(i)
	written, err := f.store.PutInventory(ctx, epoch, inv)
	if err != nil || f.Findings == nil {
		return err
	}
	found := f.Findings.Of(i, inv)
	found.InventoryID = written.ID
	entry, err := gate.ReadEntry(ctx, f.store, d)
	if err != nil {
		return err
	}
	if entry.Record.FindingsID == "" {
		if _, err := f.store.PutFindings(ctx, found, ""); err != nil {
			return err
		}
		if entry, err = gate.ReadEntry(ctx, f.store, d); err != nil {
			return err
		}
	}
	return f.verdicts(ctx, i, gate.Known{Entry: entry, Inventory: inv, Findings: found})
}

func (f *filler) verdicts(ctx context.Context, i int, k gate.Known) error {
	var verdicts []gate.Verdict
	for _, loc := range f.Locations(i) {
		v := gate.Verdict{Location: loc, Decision: gate.Decision{
			Outcome: gate.OutcomeWarn, PolicyRevision: "none", EvaluatedAt: f.o.Now,
			Reasons: []gate.Reason{{Action: gate.OutcomeWarn, Rule: "stock", Msg: "no policy has evaluated this image yet", Findings: []string{}}},
		}}
		if f.Decide != nil {
			var err error
			if v.Decision, err = f.Decide(ctx, i, k, loc); err != nil {
				return err
			}
		}
		verdicts = append(verdicts, v)
	}
	_, err := f.store.PutVerdicts(ctx, k.Record.Digest, k.Record.Basis(), verdicts)
	return err
}
