package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate/retention"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/transfer"
)

// OpenStore opens the store that the configuration names, unless a copy to it is
// not finished.
func OpenStore(ctx context.Context, c store.Config, keep retention.Config, log *slog.Logger, metrics prometheus.Registerer) (store.Store, error) {
	s, err := OpenAnyStore(ctx, c, keep, log, metrics)
	if err != nil {
		return nil, err
	}
	if err := transfer.Refuse(ctx, s); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), s.Close())
	}
	return s, nil
}

// OpenAnyStore is the table of stores: all that are shared are on Redis.
func OpenAnyStore(ctx context.Context, c store.Config, keep retention.Config, log *slog.Logger, metrics prometheus.Registerer) (transfer.Movable, error) {
	if c.Shared() {
		s, err := redis.Open(ctx, c, redis.Options{Logger: log, Metrics: redis.NewMetrics(metrics), JobRetention: keep.Jobs, HistoryRetention: keep.History})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	path, err := c.SQLitePath()
	if err != nil {
		return nil, fmt.Errorf("store.url: %w", err)
	}
	s, err := sqlite.Open(ctx, path, sqlite.Options{Logger: log, JobRetention: keep.Jobs, HistoryRetention: keep.History})
	if err != nil {
		return nil, err
	}
	return s, nil
}
