package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/sqlite"
)

// openStore opens the store that the configuration names.
func openStore(ctx context.Context, c store.Config, log *slog.Logger, metrics prometheus.Registerer) (store.Store, error) {
	if store.IsRedis(c.URL) {
		s, err := redis.Open(ctx, c, redis.Options{Logger: log, Metrics: redis.NewMetrics(metrics)})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	path, err := c.SQLitePath()
	if err != nil {
		return nil, fmt.Errorf("store.url: %w", err)
	}
	s, err := sqlite.Open(ctx, path, sqlite.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	return s, nil
}
