package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/digestgate/digestgate/gate"
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
func (a *App) follow(ctx context.Context, s *Running) {
	if a.Catalog != nil {
		s.work.Go(func() { a.Catalog.Follow(ctx) })
	}
	if a.has(RoleAdmission) {
		s.work.Go(func() { a.Standing.Asked.Run(ctx, a.Store, a.Log) })
	}
	if a.copies != nil {
		s.work.Go(func() { a.copies.Follow(ctx, a.Store) })
	}
	if a.answers != nil {
		s.work.Go(func() {
			<-ctx.Done()
			a.answers.Settle() // what was read of tags is recorded
			a.Standing.Settle()
		})
	}
	if a.established != nil {
		s.work.Go(func() { a.established.Run(ctx) })
	}
	if a.Advisories != nil {
		s.work.Go(func() { a.untilDone(ctx, "advisories", a.Advisories.Run) })
		if a.refresher != nil {
			a.refresher.Address = a.privateURL(s.Addresses["private"])
			s.work.Go(func() { a.refresher.Run(ctx) })
		}
		s.work.Go(func() { a.Standing.Lifts.Follow(ctx, a.Store, a.Matcher, a.Log) })
	}
	if a.policies != nil {
		s.work.Go(func() { a.untilDone(ctx, "policies", a.policies.Run) })
	}
	if a.tables != nil {
		s.work.Go(func() { a.tables.Run(ctx) })
	}
	for _, c := range a.certificates {
		s.work.Go(func() { c.Run(ctx) })
	}
	if a.namespaces != nil {
		s.work.Go(func() { a.namespaces.Run(ctx) })
	}
	if a.keeper != nil {
		s.work.Go(func() { a.keeper.Run(ctx) })
	}
	if a.has(roleWebhooks) {
		s.work.Go(func() { a.lastEvents.Run(ctx) })
	}
}

// work starts everything else that runs without being asked. When the process
// is told to stop, it ends first: another process takes it up.
func (a *App) work(ctx context.Context, s *Running) {
	if a.has(RoleWorker) {
		s.work.Go(func() {
			if err := analyzer.Publish(ctx, a.Store, a.Analyzer.Set()); err != nil && ctx.Err() == nil {
				a.Log.Warn("the set of analysers of this process was not recorded, schedulers do not know it", "error", err)
			}
		})
		for _, w := range a.Workers() {
			s.work.Go(func() { w.Run(ctx, grace) })
		}
	}
	if a.has(roleScheduler) {
		s.work.Go(func() { a.holdings.Run(ctx) })
		s.work.Go(func() { a.lifter.Run(ctx, a.Advisories.Changed) })
		current := a.current()
		s.work.Go(func() { current.Run(ctx) })
		s.work.Go(func() { a.scans(current).Run(ctx) })
		s.work.Go(func() { a.followSchedules(ctx) })
		s.work.Go(func() { a.syncer.Run(ctx) })
		s.work.Go(func() { a.notifier.Run(ctx) })
		forgetter := a.forgetter()
		s.work.Go(func() { forgetter.Run(ctx) })
	}
}

func (a *App) untilDone(ctx context.Context, what string, run func(context.Context) error) {
	if err := run(ctx); err != nil && ctx.Err() == nil {
		a.Log.Error("background work ended", "work", what, "error", err)
	}
}

// Workers are two: manifests are read beside analyses, so that a long one does
// not keep a new push from being looked at.
func (a *App) Workers() []*work.Worker {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fmt.Sprintf("%s-%s", host, rand.Text()[:8])
	stats := work.NewMetrics(a.Metrics)
	make := func(kind gate.JobKind, concurrency int) *work.Worker {
		return work.NewWorker(a.Store, work.Options{
			Name: name + "/" + string(kind), Kinds: []gate.JobKind{kind}, Concurrency: concurrency,
			MaxAttempts: a.Config.Scan.MaxAttempts, Registries: a.Registries, Rests: a.Source.Rests, Quota: a.quota,
			Handlers: a.Pipeline.Handlers(), Metrics: stats, Log: a.Log, Now: time.Now,
		})
	}
	return []*work.Worker{make(gate.JobResolve, resolvers), make(gate.JobAnalyze, a.Config.Scan.Concurrency)}
}

// current keeps stored answers current.
func (a *App) current() *standing.Current {
	return &standing.Current{
		Sweeper: a.sweeper, Advisories: a.Advisories, Policies: a.policies,
		Store: a.Store, Shared: a.Config.Store.Shared(), Ready: a.Catalog.CatchUp, Lift: a.lifter.Lift, FullEvery: a.Config.Advisories.FullSweepEvery, Metrics: a.swept, Log: a.Log,
	}
}

// analyzerSet is that of this process, or of the worker that started last.
func (a *App) analyzerSet(ctx context.Context) (string, error) {
	if a.Analyzer != nil {
		return a.Analyzer.Set(), nil
	}
	return analyzer.Published(ctx, a.Store)
}
