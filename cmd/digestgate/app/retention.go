package app

import (
	"context"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/retention"
)

// forgetter forgets images that no registry has any more.
func (a *App) forgetter() *retention.Forgetter {
	return retention.New(retention.Options{
		Images: a.Config.Retention.Images, Lists: a.Catalog, Store: a.Store, Registries: a.Registries, Compared: a.syncer.Compared,
		Asked: func(ctx context.Context) (func(gate.Digest) time.Time, time.Time, error) {
			return a.Standing.Asked.Record(ctx, a.Store)
		},
		Metrics: retention.NewMetrics(a.Metrics), Log: a.Log,
	})
}
