package redis

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// ClaimAs is Claim as it is sent again when its answer was lost.
func (s *Store) ClaimAs(ctx context.Context, req gate.ClaimRequest, nonce string) (gate.Job, error) {
	return s.claim(ctx, req, nonce)
}

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

// Resign is one look of resignValues.
func (s *Store) Resign(ctx context.Context) (int, error) { return s.resign(ctx) }
