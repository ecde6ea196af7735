package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/gate/work"
	"github.com/digestgate/digestgate/store"
)

const (
	// resolvers is how many manifests are read at once: small requests that
	// wait for the network.
	resolvers = 8
	// judgeEvery is how often standing verdicts are evaluated again, for the
	// policies that depend on the time (DESIGN.md §2).
	judgeEvery = 5 * time.Minute
	// judgeSlack is how much sooner than that a process may sweep again for
	// all: its ticker and the store's clock are not the same.
	judgeSlack = 10 * time.Second
)

// follow starts what keeps the answers of the listeners true; it runs as long
// as they do.
func (a *app) follow(ctx context.Context, s *running) {
	if a.catalog != nil {
		s.work.Go(func() { a.catalog.Follow(ctx) })
	}
	if a.copies != nil {
		s.work.Go(func() { a.copies.Follow(ctx, a.store) })
	}
	if a.established != nil {
		s.work.Go(func() { a.established.Run(ctx) })
	}
	if a.advisories != nil {
		s.work.Go(func() { a.untilDone(ctx, "advisories", a.advisories.Run) })
	}
	if a.policies != nil {
		s.work.Go(func() { a.untilDone(ctx, "policies", a.policies.Run) })
	}
	for _, c := range a.certificates {
		s.work.Go(func() { c.Run(ctx) })
	}
	if a.has(roleWebhooks) {
		s.work.Go(func() { a.lastEvents.Run(ctx) })
	}
}

// work starts everything else that runs without being asked. When the process
// is told to stop, it ends first: another process takes it up.
func (a *app) work(ctx context.Context, s *running) {
	if a.has(roleWorker) {
		s.work.Go(func() {
			if err := a.publishAnalyzerSet(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("schedulers are not told of the analysers here", "error", err)
			}
		})
		for _, w := range a.workers() {
			s.work.Go(func() { w.Run(ctx, grace) })
		}
	}
	if a.has(roleScheduler) {
		s.work.Go(func() { a.keepCurrent(ctx) })
		s.work.Go(func() { a.followSchedules(ctx) })
		s.work.Go(func() { a.syncer.Run(ctx) })
	}
}

func (a *app) untilDone(ctx context.Context, what string, run func(context.Context) error) {
	if err := run(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("background work ended", "work", what, "error", err)
	}
}

// workers are two: manifests are read beside analyses, so that a long one does
// not keep a new push from being looked at.
func (a *app) workers() []*work.Worker {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fmt.Sprintf("%s-%s", host, rand.Text()[:8])
	stats := work.NewMetrics(a.metrics)
	make := func(kind gate.JobKind, concurrency int) *work.Worker {
		return work.NewWorker(a.store, work.Options{
			Name: name + "/" + string(kind), Kinds: []gate.JobKind{kind}, Concurrency: concurrency,
			MaxAttempts: a.config.Scan.MaxAttempts, Registries: a.registries, Quota: a.quota,
			Handlers: a.pipeline.Handlers(), Metrics: stats, Log: a.log, Now: time.Now,
		})
	}
	return []*work.Worker{make(gate.JobResolve, resolvers), make(gate.JobAnalyze, a.config.Scan.Concurrency)}
}

// keepCurrent sweeps when the advisories or the policies changed, and now and
// then for what depends on the time.
func (a *app) keepCurrent(ctx context.Context) {
	repeat(ctx, a.advisories.Changed, a.policies.Revision, judgeEvery, a.rematch)
}

// repeat runs work now, and again after each change, each new revision and
// each interval, until ctx ends.
func repeat(ctx context.Context, changes func() <-chan struct{}, revision func() string, every time.Duration, work func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	compare := time.NewTicker(time.Second) // two strings
	defer compare.Stop()
	for {
		// Asked before the work, which may not see what changes meanwhile.
		changed, done := changes(), revision()
		work(ctx)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case <-ticker.C:
				waiting = false
			case <-compare.C:
				waiting = revision() == done
			}
		}
	}
}

func (a *app) rematch(ctx context.Context) {
	// What was put in force elsewhere a moment ago would have to be swept for
	// twice. If the store does not say, the sweep does not go on either.
	_ = a.policies.Follow(ctx)
	started := time.Now()
	var swept standing.Swept
	sweep := func(ctx context.Context) (err error) {
		swept, err = a.sweeper.Rematch(ctx)
		return err
	}
	var err error
	if store.IsRedis(a.config.Store.URL) {
		_, err = agree.NewTurn(a.store, "sweep").Do(ctx, a.sweepsFor(), judgeEvery-judgeSlack, sweep)
	} else {
		err = sweep(ctx)
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, gate.ErrAdvisoriesUnavailable):
	case err != nil:
		a.log.Error("matching stored images again", "error", err)
	case swept.Matched > 0 || swept.Failed > 0 || swept.Charged > 0:
		a.log.Info("stored images matched again", "images", swept.Seen, "matched", swept.Matched, "failed", swept.Failed,
			"charged", swept.Charged, "duration", time.Since(started).Round(time.Millisecond))
	}
}

// sweepsFor is what a sweep here would bring the stored answers to; one of all
// processes that would do the same is enough.
func (a *app) sweepsFor() string {
	g, _ := a.matcher.Generation()
	return fmt.Sprintf("%d %s %s %s", g.Number, g.Content, a.matcher.Version(), a.policies.Revision())
}

func (a *app) followSchedules(ctx context.Context) {
	s, err := schedule.New(a.config.Schedules, a.store, rescans{a}, a.log)
	if err != nil {
		a.log.Error("schedules cannot be followed", "error", err)
		return
	}
	s.Run(ctx)
}

// rescans does the work of a schedule's tick.
type rescans struct{ *app }

// Rescan implements schedule.Rescanner.
func (r rescans) Rescan(ctx context.Context, kind schedule.Kind, tick time.Time) error {
	var swept standing.Swept
	var err error
	if kind == schedule.KindContent {
		set, unknown := r.analyzerSet(ctx)
		if unknown != nil {
			return unknown
		}
		swept, err = r.sweeper.Reanalyze(ctx, set)
	} else {
		// New data may lie there already and wait for its turn to be seen.
		if _, refreshed := r.advisories.Refresh(ctx); refreshed != nil {
			r.log.Warn("looking for new advisories", "error", refreshed)
		}
		swept, err = r.sweeper.Rematch(ctx)
	}
	if err != nil {
		return err
	}
	r.log.Info("rescan done", "kind", kind, "tick", tick, "images", swept.Seen, "matched", swept.Matched,
		"evaluated", swept.Evaluated, "queued", swept.Queued, "failed", swept.Failed)
	return nil
}
