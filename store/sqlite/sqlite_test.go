package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, path string, o sqlite.Options) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, o)
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

// memoryDir is a directory in memory where the system has one: the suite
// commits tens of thousands of times one by one, and what a disk adds to that
// is only waiting. The tests of durability use the disk.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "digestgate-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		c := storetest.NewClock()
		dir := memoryDir(t)
		s := open(t, filepath.Join(dir, "0.db"), sqlite.Options{Clock: c.Now})
		n := 0
		return storetest.Harness{
			Store:   s,
			Advance: c.Advance,
			// A crash leaves the file and its log as they are. They are copied
			// while the store is open, so that nothing that Close writes helps.
			Reopen: func() store.Store {
				from, to := filepath.Join(dir, string(rune('0'+n%60))+".db"), filepath.Join(dir, string(rune('0'+(n+1)%60))+".db")
				n++
				for _, suffix := range []string{"", "-wal"} {
					data, err := os.ReadFile(from + suffix)
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(to+suffix, data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, to, sqlite.Options{Clock: c.Now})
				return s
			},
		}
	})
}
