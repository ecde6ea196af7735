package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis/redistest"
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
	return redistest.Remove(ctx, s.client, s.keys.prefix)
}

// Floor is the newest change that was removed.
func (s *Store) Floor(ctx context.Context) (int64, error) {
	return s.client.Get(ctx, s.keys.floor()).Int64()
}

// Resign is one look of resignValues.
func (s *Store) Resign(ctx context.Context) (int, error) { return s.resign(ctx) }

// HookReads has a hook called for what admission reads.
func (s *Store) HookReads(h redis.Hook) { s.reads.AddHook(h) }

// HookCalls has a hook called for everything but what admission reads.
func (s *Store) HookCalls(h redis.Hook) { s.client.AddHook(h) }

// LookAtKeys has the key file looked at before the next use of the keys.
func (s *Store) LookAtKeys() {
	s.seals.file.mu.Lock()
	defer s.seals.file.mu.Unlock()
	s.seals.file.looked = time.Time{}
}
