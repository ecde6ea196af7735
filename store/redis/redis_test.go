package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// servers are shared by all tests that break nothing.
var servers redistest.Shared

func TestMain(m *testing.M) {
	// A third of rapid's usual histories on each kind of server: a step costs
	// round trips here, and SQLite's tests play the same rules in full. The
	// command line wins.
	if err := flag.Set("rapid.checks", "33"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(servers.Around(m))
}

// config is a configuration for the servers at url, with a prefix and keys of
// its own.
func config(t testing.TB, url string) store.Config {
	t.Helper()
	return store.Config{URL: url, Prefix: redistest.Prefix(), MACKeyFile: keyFile(t, strings.Repeat("k", 64))}
}

// digest is a valid digest made of a name and a number.
func digest(name string, i int) gate.Digest {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", name, i))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func keyFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, c store.Config, o redis.Options) *redis.Store {
	t.Helper()
	s, err := redis.Open(context.Background(), c, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// removed is a store that leaves nothing behind: what the suite does after each
// step of a random history, looking at everything, would take longer with each
// store that shares the server.
type removed struct{ *redis.Store }

func (r removed) Close() error {
	return errors.Join(r.Store.Remove(context.Background()), r.Store.Close())
}

// TestStore runs the suite of the contract on every kind of server. A crash is
// that of the process: what it had sent is there, what it had not is not.
func TestStore(t *testing.T) {
	kinds := []struct {
		name string
		url  func(*testing.T) string
	}{
		// A database of its own: what other tests have stored in the server would be
		// looked at after each step of a history.
		{"plain", func(t *testing.T) string { return strings.TrimSuffix(servers.Plain(t).URL(), "/0") + "/1" }},
		{"cluster", func(t *testing.T) string { return servers.Cluster(t).URL() }},
		{"sentinel", func(t *testing.T) string { return servers.Sentinel(t).URL() }},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			url := k.url(t)
			version, _ := redistest.Version()
			t.Logf("on redis-server %s, %s: %s", version, k.name, url)
			storetest.Run(t, func(t *testing.T) storetest.Harness {
				c, config := storetest.NewClock(), config(t, url)
				s := open(t, config, redis.Options{Clock: c.Now})
				return storetest.Harness{
					Store: removed{s}, Advance: c.Advance,
					Reopen: func() store.Store {
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						s = open(t, config, redis.Options{Clock: c.Now})
						return removed{s}
					},
				}
			})
		})
	}
}
