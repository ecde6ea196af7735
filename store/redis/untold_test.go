package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestChangeIsToldLate: on a cluster a record is written while the node of the
// feed is down. The feed tells of it afterwards, although whoever repeats
// the write finds nothing to change.
func TestChangeIsToldLate(t *testing.T) {
	t.Parallel() // it waits for a cluster
	cluster := redistest.Cluster(t, redistest.Options{AOF: "always"})
	c := config(t, cluster.URL())
	s := open(t, c, redis.Options{})
	client := cluster.Client(t)
	holder := func(key string) string {
		t.Helper()
		node, err := client.MasterForKey(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return node.Options().Addr
	}
	feed := holder("{" + c.Prefix + "}:feed")
	var d gate.Digest
	for i := 0; d == "" || holder(c.Prefix+":{"+string(d)+"}:record") == feed; i++ {
		d = digest(t.Name(), i)
	}
	// A first write loads the scripts and opens the connections.
	if err := s.PutManifest(t.Context(), gate.Manifest{Digest: d}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Scan(t.Context(), func(gate.Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		server, err := cluster.Master(i)
		if err != nil {
			t.Fatal(err)
		}
		if server.Addr() != feed {
			continue
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err = s.PutManifest(ctx, gate.Manifest{Digest: d, Kind: gate.KindImage})
		cancel()
		if started := server.Start(); started != nil || err == nil {
			t.Fatalf("the write: %v; starting again: %v", err, started)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		changed := s.Changed()
		changes, _, err := s.Changes(t.Context(), before, 10)
		for _, c := range changes {
			if c.Kind == gate.ChangeRecord && c.Key == string(d) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody was told: %v, %v", changes, err)
		}
		select {
		case <-changed:
		case <-time.After(200 * time.Millisecond):
		}
	}
}
