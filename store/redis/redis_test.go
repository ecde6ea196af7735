package redis_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
)

// servers are shared by all tests that break nothing.
var servers redistest.Shared

func TestMain(m *testing.M) {
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
