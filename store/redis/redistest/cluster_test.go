package redistest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestClusterServesAllSlots(t *testing.T) {
	t.Parallel()
	c := servers.Cluster(t)
	if !strings.HasPrefix(c.URL(), "redis+cluster://127.0.0.1:") || len(c.Addrs()) != masters {
		t.Errorf("URL %q", c.URL())
	}
	client, prefix := c.Client(t), Prefix()
	served := map[int64]bool{}
	// A random key for each slot takes about 170,000 tries.
	pipe := client.Pipeline()
	for i := 0; len(served) < slots; i++ {
		key := fmt.Sprint(prefix, i)
		if slot := slotOf(key); !served[slot] {
			served[slot] = true
			pipe.Set(t.Context(), key, i, 0)
		}
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	for i := range masters {
		m, err := c.Master(i)
		must(t, err)
		n, err := m.Do("dbsize").Int64()
		// The shared cluster may hold keys of other tests.
		if err != nil || n < slots/masters {
			t.Errorf("master %d has %d keys, %v", i, n, err)
		}
	}
	if err := client.MSet(t.Context(), prefix+"{a}", 1, prefix+"{b}", 1).Err(); err == nil {
		t.Error("it allows a command over several slots")
	}
}

func TestClusterLosesAndRegainsAShard(t *testing.T) {
	t.Parallel()
	c := Cluster(t, Options{AOF: "always", Password: "secret", TLS: true})
	client := c.Client(t)
	must(t, client.Set(t.Context(), "a", 1, 0).Err())
	shard := int(slotOf("a") * masters / slots)
	dead, err := c.Kill(shard)
	must(t, err)
	if _, err := c.Master(shard); err == nil {
		t.Error("the killed master is master")
	}
	if err := client.Get(t.Context(), "a").Err(); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("key of a dead shard: %v", err)
	}
	must(t, dead.Start())
	must(t, c.Well())
	if got, err := client.Get(t.Context(), "a").Result(); err != nil || got != "1" {
		t.Errorf("after its return: %q, %v", got, err)
	}
	must(t, c.Reset())
	if err := client.Get(t.Context(), "a").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("after Reset: %v", err)
	}
	if _, err := c.Crash(0); err == nil {
		t.Error("Crash waits for a replica that does not exist")
	}
}

func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	c := Cluster(t, Options{Replicas: true, ACL: []string{"user app on >secret ~* +@all"}})
	client := c.Client(t)
	shard := int(slotOf("a") * masters / slots)
	replica, err := c.Replica(shard)
	must(t, err)

	must(t, c.Failover(shard))
	master, err := c.Master(shard)
	must(t, err)
	if master != replica {
		t.Errorf("%q is master after the failover, want %q", master.Addr(), replica.Addr())
	}
	replicate(t, master, "a", "2")
	must(t, c.Detach(shard))
	must(t, master.Do("set", "a", 3).Err()) // lost

	dead, err := c.Crash(shard)
	must(t, err)
	if dead != master || dead.Running() {
		t.Errorf("Crash killed %q, want %q", dead.Addr(), master.Addr())
	}
	// The client may still ask the dead server for a moment.
	ctx, cancel := patiently()
	defer cancel()
	must(t, poll(ctx, "the client to follow", func() error { return client.Get(ctx, "a").Err() }))
	if got, err := client.Get(t.Context(), "a").Result(); err != nil || got != "2" {
		t.Errorf("after the crash: %q, %v", got, err)
	}
	must(t, dead.Start())
	must(t, c.Well())
	if err := dead.hasRole("slave"); err != nil {
		t.Errorf("the former master: %v", err)
	}
}

// slotOf is the hash slot of a key (CRC16 of XMODEM, as in the cluster
// specification), without hash tags.
func slotOf(key string) int64 {
	var crc uint16
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int64(crc) % slots
}
