package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// failed gives an error of the client or the server its place in the closed set
// of gate. Nothing of what a server says is taken for an answer: an error is
// never "not found".
func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := gate.Classify(err); ok && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch {
	case s.closed.Load() || errors.Is(err, redis.ErrClosed):
		err = fmt.Errorf("store is closed: %w", gate.ErrStoreUnavailable)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", gate.ErrTimeout, err)
	case redis.HasErrorPrefix(err, "OOM"):
		err = fmt.Errorf("redis is out of memory (maxmemory): %w: %w: %w", gate.ErrStoreUnavailable, gate.ErrResource, err)
	case redis.HasErrorPrefix(err, "MISCONF"):
		err = fmt.Errorf("redis cannot write to its disk: %w: %w: %w", gate.ErrStoreUnavailable, gate.ErrResource, err)
	case redis.HasErrorPrefix(err, "NOPERM"), strings.Contains(err.Error(), "The user executing the script can't"), // Redis 7.0
		strings.Contains(err.Error(), "ACL failure in script"): // Redis 7.2 and later, Valkey
		err = fmt.Errorf("the user of store.username lacks a permission, docs/redis.md lists them: %w: %w", gate.ErrStoreUnavailable, err)
	case redis.HasErrorPrefix(err, "WRONGPASS"), redis.HasErrorPrefix(err, "NOAUTH"):
		err = fmt.Errorf("redis refuses the credentials of store.username and store.passwordFile: %w: %w", gate.ErrStoreUnavailable, err)
	default:
		err = fmt.Errorf("%w: %w", gate.ErrStoreUnavailable, err)
	}
	s.metrics.failed(err)
	return fmt.Errorf("%s: %w", what, err)
}

// failedIn is failed, where the end of ctx counts as a time-out whatever the
// client makes of it: it reports a deadline on the connection as one of the
// network.
func (s *Store) failedIn(ctx context.Context, what string, err error) error {
	var timeout net.Error
	if ended := ctx.Err(); err != nil && ended != nil && !s.closed.Load() && (errors.Is(err, ended) || (errors.As(err, &timeout) && timeout.Timeout())) {
		return fmt.Errorf("%s: %w: %w", what, gate.ErrTimeout, ended)
	}
	return s.failed(what, err)
}
