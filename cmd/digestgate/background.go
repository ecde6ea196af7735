package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/gate/work"
	"github.com/digestgate/digestgate/scanner/analyzer"
)

const (
	// resolvers is how many manifests are read at once: small requests that
	// wait for the network.
	resolvers = 8
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
			if err := analyzer.Publish(ctx, a.store, a.analyzer.Set()); err != nil && ctx.Err() == nil {
				a.log.Warn("the set of analysers of this process was not recorded, schedulers do not know it", "error", err)
			}
		})
		for _, w := range a.workers() {
			s.work.Go(func() { w.Run(ctx, grace) })
		}
	}
	if a.has(roleScheduler) {
		current := a.current()
		s.work.Go(func() { current.Run(ctx) })
		s.work.Go(func() { a.followSchedules(ctx, current) })
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

// current keeps stored answers current.
func (a *app) current() *standing.Current {
	return &standing.Current{
		Sweeper: a.sweeper, Advisories: a.advisories, Policies: a.policies, Set: a.analyzerSet,
		Store: a.store, Shared: a.config.Store.Shared(), Log: a.log,
	}
}

// analyzerSet is that of this process, or of the worker that started last.
func (a *app) analyzerSet(ctx context.Context) (string, error) {
	if a.analyzer != nil {
		return a.analyzer.Set(), nil
	}
	return analyzer.Published(ctx, a.store)
}

func (a *app) followSchedules(ctx context.Context, current *standing.Current) {
	s, err := schedule.New(a.config.Schedules, a.store, rescans{current, a.log}, a.log)
	if err != nil {
		a.log.Error("schedules cannot be followed", "error", err)
		return
	}
	s.Run(ctx)
}

// rescans does the work of a schedule's tick.
type rescans struct {
	current *standing.Current
	log     *slog.Logger
}

// Rescan implements schedule.Rescanner.
func (r rescans) Rescan(ctx context.Context, kind schedule.Kind, tick time.Time) error {
	swept, err := r.current.Rescan(ctx, kind == schedule.KindContent)
	if err != nil {
		return err
	}
	r.log.Info("rescan done", "rescan", kind, "tick", tick, "images", swept.Seen, "matched", swept.Matched,
		"evaluated", swept.Evaluated, "queued", swept.Queued, "failed", swept.Failed)
	return nil
}
