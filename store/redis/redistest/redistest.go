// Package redistest runs real Redis servers for tests: a plain one, a cluster
// of three masters, a pair behind three Sentinels, and a proxy that breaks the
// connections to any of them. They are the redis-server of the PATH, listen on
// loopback only, keep their data in a directory of the test, and end with it,
// even when the test is killed (on Linux).
//
// A test that damages its server (kills, pauses, loses data) starts one of its
// own with Plain, Cluster or Sentinel. All others take one from a Shared, and
// keep apart by a Prefix: a cluster needs three seconds to start, a subtest
// should need none.
//
// It knows nothing of digestgate and is not a model of Redis: what a test sees is what
// Redis does. It is neither fast nor safe enough for anything but tests. Everything is
// safe for concurrent use. Faults answer with errors instead of ending the test, so
// that goroutines can cause them.
package redistest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// patience bounds every wait for a server to become ready. It only decides how
// late a test fails: the slowest wait, a Sentinel failover, takes 3 s on an
// idle machine.
const patience = 60 * time.Second

// Options configure servers. The zero value keeps everything in memory, speaks
// without TLS and asks for no password.
type Options struct {
	// Dir is where data, configuration, log and certificates are kept; "" is a
	// directory that goes with the test.
	Dir string
	// AOF is the value of appendfsync: "always", "everysec" or "no"; "" has no
	// append-only file, so that data ends with the process. With "always" a
	// process that is killed loses nothing that it acknowledged. With the others
	// the system has it as well, unless it was busy with the fsync of a second
	// before: then Redis holds the write back, for 2 s at most (aof.c,
	// flushAppendOnlyFile). Snapshot and Restore lose a part for certain.
	AOF string
	// Password is what the default user must give. For Sentinel it guards the
	// servers, not the Sentinels.
	Password string
	// SentinelPassword is what the Sentinels ask for.
	SentinelPassword string
	// ACL are lines of a users file ("user app on >secret ~* +@all"), with
	// which Password must be "". The default user is open unless a line says
	// otherwise.
	ACL []string
	// TLS makes a CA and certificates, and leaves no port without it.
	TLS bool
	// MaxMemory ("16mb") and MaxMemoryPolicy ("allkeys-lru") are as in
	// redis.conf; "" is no limit and noeviction.
	MaxMemory, MaxMemoryPolicy string
	// Replicas gives each master of a Cluster a replica.
	Replicas bool
	// Config are further lines of redis.conf; they win over those made here.
	Config []string
}

// lines are what options say in redis.conf.
func (o Options) lines(v release) []string {
	// Redis itself must not start anything that a test did not ask for: no
	// RDB dumps, no rewriting of the AOF. DEBUG is how tests stall a server.
	lines := []string{`save ""`, "auto-aof-rewrite-percentage 0", "repl-diskless-sync-delay 0"}
	if !v.before(7, 0) { // earlier servers let every user
		lines = append(lines, "enable-debug-command local")
	}
	if o.AOF != "" {
		lines = append(lines, "appendonly yes", "appendfsync "+o.AOF)
	}
	if o.MaxMemory != "" {
		lines = append(lines, "maxmemory "+o.MaxMemory)
	}
	if o.MaxMemoryPolicy != "" {
		lines = append(lines, "maxmemory-policy "+o.MaxMemoryPolicy)
	}
	return lines
}

// Prefix is a prefix of keys that no other call, in no other process, gets.
func Prefix() string { return "t-" + strings.ToLower(rand.Text()) }

// Remove removes all keys below a Prefix, as a client that may do everything.
func Remove(ctx context.Context, client redis.UniversalClient, prefix string) error {
	remove := func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			// In one slot or in many, a key has its prefix in front or in braces.
			keys, next, err := node.Scan(ctx, cursor, "*"+prefix+"*", 1000).Result()
			if err != nil {
				return err
			}
			_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, key := range keys {
					p.Unlink(ctx, key)
				}
				return nil
			})
			if cursor = next; err != nil || cursor == 0 {
				return err
			}
		}
	}
	if c, ok := client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return remove(ctx, node) })
	}
	return remove(ctx, client)
}

// refuse ends a test whose servers did not start: it is skipped when this
// machine has no redis-server, otherwise it fails.
func refuse(tb testing.TB, err error) {
	tb.Helper()
	if skippable(err) {
		tb.Skip(err)
	}
	tb.Fatal(err)
}

// dirFor is the directory of the options, or one of the test.
func dirFor(tb testing.TB, o Options) string {
	if o.Dir != "" {
		return o.Dir
	}
	return tb.TempDir()
}

// poll asks until the answer is nil or the context ends. Servers are foreign
// processes; nothing but asking tells that they are ready.
func poll(ctx context.Context, what string, ready func() error) error {
	tick := time.NewTicker(10 * time.Millisecond) // short against what a server needs to start, 30 ms
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// patiently is the context of a wait.
func patiently() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}
