package standing

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/digestgate/digestgate/gate"
)

// Again matches stored images with the advisory data in force and evaluates them, workers
// at a time and no more than a sweep does. Findings that stand because new data does
// not touch them are matched too, and replaced when that finds something else. It
// pulls nothing and charges nothing, and sweeps do not wait for it. skipped are images
// without an inventory; failed ones are logged. Errors: gate.ErrAdvisoriesUnavailable,
// those of the store, ErrTimeout when ctx ended; to repeat all of them is harmless.
func (s *Sweeper) Again(ctx context.Context, digests []gate.Digest, workers int) (done, failed, skipped int, err error) {
	if !s.standing.Loaded() {
		return 0, 0, 0, fmt.Errorf("matching images again: %w", gate.ErrAdvisoriesUnavailable)
	}
	res, err := s.standing.Records.Read(ctx, gate.ReadRequest{Digests: digests})
	if err != nil {
		return 0, 0, 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer s.busy.end()
	work, places := make(chan gate.Known), make(chan struct{}, min(max(workers, 1), computing()))
	var mu sync.Mutex // guards the numbers
	var wg sync.WaitGroup
	for range min(max(workers, 1), len(digests)) {
		wg.Go(func() {
			for k := range work {
				err := s.againOne(ctx, places, k)
				mu.Lock()
				switch {
				case errors.Is(err, gate.ErrAdvisoriesUnavailable), errors.Is(err, gate.ErrStoreUnavailable):
					stop(err)
				case err != nil && ctx.Err() == nil:
					failed++
					s.standing.Log.Warn("matching an image again", "digest", k.Record.Digest, "error", err)
				case err == nil:
					done++
				}
				mu.Unlock()
			}
		})
	}
	for _, d := range digests {
		k := gate.Known{Entry: res.Digests[d]}
		if k.Record.InventoryID == "" {
			skipped++
			continue
		}
		k.Record.Digest = d
		select {
		case work <- k:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, gate.ErrAdvisoriesUnavailable) || errors.Is(cause, gate.ErrStoreUnavailable) {
			return 0, 0, 0, cause
		}
		return 0, 0, 0, fmt.Errorf("matching images again: %w", errors.Join(gate.ErrTimeout, cause))
	}
	return done, failed, skipped, nil
}

// againOne is one image of Again.
func (s *Sweeper) againOne(ctx context.Context, places chan struct{}, k gate.Known) error {
	p := s.standing
	p.matching.calm(ctx)
	places <- struct{}{}
	defer func() { <-places }()
	ctx = context.WithValue(ctx, placeKey{}, places)
	o := gate.Occasion{Event: gate.EventRescan}
	if p.outdated(k.Record) {
		s.busy.begin()
		_, err := p.matchAll(ctx, k, o, nil)
		return err
	}
	if g, _ := p.Matcher.Generation(); p.lifted(&k.Record, g) {
		if err := s.verify(ctx, seen{Known: k}, new(Swept)); err != nil {
			return err
		}
	}
	_, err := p.evaluateAll(ctx, k, o)
	return err
}
