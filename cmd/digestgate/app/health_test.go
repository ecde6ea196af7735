package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestReadyWithAStoreThatIsNotWritten: a replica of admission that can read its
// store stays ready, whatever admission.storeGrace says, and tells what failed.
func TestReadyWithAStoreThatIsNotWritten(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	key := filepath.Join(t.TempDir(), "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := redis.Open(t.Context(), store.Config{URL: server.URL(), Prefix: "t", MACKeyFile: key}, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	a := &App{Store: st, copies: lookup.NewRecordCopy(st.Admission(), 0, time.Now, nil, slog.New(slog.DiscardHandler))}
	other := &App{Store: st} // of another role
	for _, maxmemory := range []string{"0", "1"} {
		if err := server.Do("config", "set", "maxmemory", maxmemory).Err(); err != nil {
			t.Fatal(err)
		}
		text, ready := a.ready(t.Context())
		want := map[string]string{"0": "ok    store\n", "1": "warn  store: it is read but not written"}[maxmemory]
		if !ready || !strings.Contains(text, want) || strings.Contains(text, "redis is out of memory") != (maxmemory == "1") {
			t.Errorf("maxmemory %s: ready %t, %q; want it ready and %q", maxmemory, ready, text, want)
		}
		if text, ready := other.ready(t.Context()); ready != (maxmemory == "0") {
			t.Errorf("maxmemory %s, a process without admission: ready %t, %q", maxmemory, ready, text)
		}
	}
}
