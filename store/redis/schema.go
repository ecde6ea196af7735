package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
)

// migrations bring the layout from the version before to the next; a released
// one is never changed. The first makes the layout, for which nothing need be
// written. Each must be harmless when two processes run it at the same time, and
// when it is repeated after it broke off.
var migrations = [...]func(context.Context, *Store) error{
	func(context.Context, *Store) error { return nil },
	// Values may be in the form of store/packed from now on, which an older program would
	// take for damage.
	func(context.Context, *Store) error { return nil },
}

// migrate brings the layout up to date, or refuses one that a newer version has
// written.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.client.Get(ctx, s.keys.schema()).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return s.failed("reading the version of the layout", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("it has layout version %d, written by a newer digestgate; this one knows versions up to %d: %w",
			version, len(migrations), gate.ErrStoreUnavailable)
	}
	for v := version; v < len(migrations); v++ {
		if err := migrations[v](ctx, s); err != nil {
			return s.failed(fmt.Sprintf("bringing the layout to version %d", v+1), err)
		}
		if err := s.client.Set(ctx, s.keys.schema(), v+1, 0).Err(); err != nil {
			return s.failed(fmt.Sprintf("writing layout version %d", v+1), err)
		}
	}
	return nil
}

// examine looks at the server: it must be new enough, and the operator is told of
// settings under which it forgets.
func (s *Store) examine(ctx context.Context) error {
	text, err := s.client.Info(ctx).Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		s.options.Logger.Warn("the server's settings cannot be looked at", "error", err)
		return nil
	}
	if err != nil {
		return s.failed("asking the server who it is", err)
	}
	info := parseInfo(text)
	if !atLeast(info["redis_version"], 6, 2) {
		return fmt.Errorf("the server has version %s; Redis 6.2 or Valkey 7.2 is the oldest that works: %w",
			gate.Quoted(info["redis_version"], 40), gate.ErrInvalid)
	}
	log := s.options.Logger
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && strings.HasPrefix(policy, "allkeys-") {
		log.Warn("redis may evict records of the gate: set maxmemory-policy noeviction", "maxmemoryPolicy", policy)
	}
	if info["aof_enabled"] == "0" {
		log.Warn("redis loses what it has not saved when it stops: set appendonly yes", "appendonly", "no")
	}
	log.Info("store opened", "store", "redis", "redisVersion", info["redis_version"], "redisMode", info["redis_mode"], "prefix", s.keys.prefix)
	return nil
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	x, errX := strconv.Atoi(parts[0])
	y, errY := strconv.Atoi(parts[1])
	return errX == nil && errY == nil && (x > major || (x == major && y >= minor))
}
