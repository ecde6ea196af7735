package redis

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Remove removes everything that a store has written.
func (s *Store) Remove(ctx context.Context) error {
	if s.closed.Load() {
		return nil
	}
	return s.eachNode(ctx, func(ctx context.Context, node *redis.Client) error {
		return scanNode(ctx, node, "*"+escape(s.keys.prefix)+"*", func(keys []string) error {
			return each(ctx, node, func(p redis.Pipeliner) {
				for _, key := range keys {
					p.Unlink(ctx, key)
				}
			})
		})
	})
}

// Floor is the newest change that was removed.
func (s *Store) Floor(ctx context.Context) (int64, error) {
	return s.client.Get(ctx, s.keys.floor()).Int64()
}
