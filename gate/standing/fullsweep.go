package standing

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

// fullSweep matches every image again whose findings were left alone, once in
// Current.FullEvery for all processes: what a difference of advisory data missed is then
// found, counted and mended. New data and other policies end it, because their sweep is
// waited for; it is then repeated from the beginning by a later sweep.
func (c *Current) fullSweep(ctx context.Context) {
	if c.FullEvery <= 0 {
		return
	}
	started := time.Now()
	var swept Swept
	here, err := agree.NewTurn(c.Store, "full-sweep").Do(ctx, "full", c.FullEvery, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		changed, revision := c.Advisories.Changed(), c.Policies.Revision()
		go func() {
			look := time.NewTicker(time.Second) // two strings
			defer look.Stop()
			for {
				select {
				case <-changed:
					cancel()
					return
				case <-ctx.Done():
					return
				case <-look.C:
					if c.Policies.Revision() != revision {
						cancel()
					}
				}
			}
		}()
		swept, err = c.Sweeper.Verify(ctx)
		return err
	})
	switch {
	case ctx.Err() != nil || errors.Is(err, gate.ErrAdvisoriesUnavailable):
	case errors.Is(err, gate.ErrTimeout):
		c.Log.Info("the full sweep is stopped and repeated later, new advisory data is swept first")
	case err != nil:
		c.Log.Error("the full sweep failed and is repeated", "error", err)
	case here:
		c.Metrics.fullSweep()
		c.Log.Info("the full sweep is done", "images", swept.Seen, "matched", swept.Matched, "missed", swept.Missed,
			"failed", swept.Failed, "duration", time.Since(started).Round(time.Millisecond))
	}
}

// Verify matches every image whose findings stand in the generation in force without
// having been matched with it, and compares. What is as it was is not written; what is
// not is counted as missed, logged and matched like any other. It pulls nothing and
// charges nothing. Errors: as for Rematch.
func (s *Sweeper) Verify(ctx context.Context) (Swept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep(ctx, task{
		page: func(_ context.Context, list []seen, _ *Swept) ([]seen, error) {
			g, _ := s.standing.Matcher.Generation()
			return slices.DeleteFunc(list, func(k seen) bool { return !s.standing.lifted(&k.Record, g) }), nil
		},
		visit: s.verify,
	})
}

func (s *Sweeper) verify(ctx context.Context, k seen, swept *Swept) error {
	p := s.standing
	d := k.Record.Digest
	inv, err := p.Records.Inventory(ctx, d)
	if err != nil {
		return err
	}
	stored, err := p.Records.Findings(ctx, d)
	if err != nil {
		return err
	}
	fresh, err := p.Matcher.Match(ctx, inv)
	if err != nil {
		return err
	}
	swept.Matched++
	s.busy.begin()
	if g, _ := p.Matcher.Generation(); fresh.Generation != g.Number || !p.lifted(&k.Record, g) || sameFindings(stored, fresh) && stored.EOL == fresh.EOL {
		return nil
	}
	if !sameFindings(stored, fresh) { // the end of a release's life comes with time
		swept.Missed++
		s.o.Metrics.missed()
		p.Log.Error("the comparison of advisory data missed an image, its findings are replaced", "digest", d, "generation", fresh.Generation, "former", stored.Generation)
	}
	p.Lifts.drop(k.Record.FindingsID)
	k.Inventory, k.Findings = inv, stored
	return p.Match(ctx, k.Known, gate.Occasion{Event: gate.EventRescan})
}

// sameFindings compares what two matches of one inventory found.
func sameFindings(a, b *gate.Findings) bool {
	return a.Unassessable == b.Unassessable && slices.Equal(a.Gaps, b.Gaps) &&
		slices.EqualFunc(a.Vulnerabilities, b.Vulnerabilities, func(x, y gate.Vulnerability) bool {
			x.FirstSeen, y.FirstSeen = time.Time{}, time.Time{}
			if x.PublishedAt != nil && y.PublishedAt != nil && x.PublishedAt.Equal(*y.PublishedAt) {
				x.PublishedAt, y.PublishedAt = nil, nil
			}
			return reflect.DeepEqual(x, y)
		})
}

// drop forgets here that findings stand. Elsewhere they are not stored any more soon.
func (l *Lifts) drop(findingsID string) {
	key, _ := findingsKeyOf(findingsID)
	l.same.drop(key)
	for {
		old := l.held.Load()
		if old == nil || !slices.ContainsFunc(*old, func(one *lift) bool { return one.findings.has(key) }) {
			return
		}
		less := make([]*lift, len(*old))
		for i, one := range *old {
			less[i] = one
			if one.findings.has(key) {
				less[i] = &lift{one.liftHeader, slices.DeleteFunc(slices.Clone(one.findings), func(k findingsKey) bool { return k == key }), one.touched}
			}
		}
		if l.held.CompareAndSwap(old, &less) {
			return
		}
	}
}

// unchanged is how many findings stand here without having been matched.
func (l *Lifts) unchanged() int {
	if held := l.held.Load(); held != nil && len(*held) > 0 {
		return len((*held)[0].findings)
	}
	return 0
}
