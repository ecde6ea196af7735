package app

import (
	"context"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/scantask"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/gate/standing"
)

// scans runs the scan tasks of the store.
func (a *App) scans(current *standing.Current) *scantask.Runner {
	return scantask.NewRunner(a.tasks, scantask.Options{
		Lists: a.Catalog, Queue: a.Store, Matcher: a.sweeper, Registries: a.Registries,
		Asked: func(ctx context.Context) ([]gate.Digest, error) { return a.Standing.Asked.Look(ctx, a.Store) },
		Set:   a.analyzerSet,
		Refresh: func(ctx context.Context) { // new data may be there already and wait for its turn to be seen
			if _, err := current.Advisories.Refresh(ctx); err != nil && ctx.Err() == nil {
				a.Log.Warn("looking for new advisories", "error", err)
			}
		},
		Metrics: scantask.NewMetrics(a.Metrics), Log: a.Log,
	})
}

// followSchedules makes scan tasks at the ticks of schedules.
func (a *App) followSchedules(ctx context.Context) {
	s, err := schedule.New(a.Config.Schedules, schedule.Options{Store: a.Store, Tasks: a.tasks, Metrics: schedule.NewMetrics(a.Metrics), Log: a.Log})
	if err != nil {
		a.Log.Error("schedules cannot be followed", "error", err)
		return
	}
	s.Run(ctx)
}

// scanKnown is what scans are checked against.
func (c Config) scanKnown() gate.ScanKnown {
	return gate.ScanKnown{Registries: c.RegistryList(), Risks: c.Scan.Risks}
}

// scanKnown is what scans are checked against now: registries change while a process runs.
func (a *App) scanKnown() gate.ScanKnown {
	return gate.ScanKnown{Registries: a.Registries.All(), Risks: a.Config.Scan.Risks}
}

// scheduleDesk shows and changes schedules.
func (a *App) scheduleDesk() *schedule.Desk {
	return &schedule.Desk{File: a.Config.Schedules, Store: a.Store, Tasks: a.tasks, Known: a.scanKnown, Log: a.Log}
}
