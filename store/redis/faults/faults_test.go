package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// Environment of a run; see docs/redis.md. Unset, a run is as short as CI
// wants it.
const (
	durationEnv = "DIGESTGATE_FAULTS_DURATION" // of the faults, on each kind of server
	seedEnv     = "DIGESTGATE_FAULTS_SEED"
	worldEnv    = "DIGESTGATE_FAULTS_DIGESTS"
)

// TestFaults runs on every kind of server, one after the other: each has the
// machine for itself. The cluster, whose faults are those of the pair for each
// shard, waits for a run that is asked for.
func TestFaults(t *testing.T) {
	redistest.Available(t)
	for _, k := range []struct {
		name string
		make func(*testing.T) *site
	}{{"plain", plainSite}, {"sentinel", sentinelSite}, {"cluster", clusterSite}} {
		t.Run(k.name, func(t *testing.T) {
			if k.name == "cluster" && os.Getenv(durationEnv) == "" {
				t.Skipf("takes as long as the others; %s=12s runs it", durationEnv)
			}
			run(t, k.make)
		})
	}
}

// fromEnv is a value of the environment, or what stands for it.
func fromEnv[T any](t *testing.T, name string, otherwise T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func run(t *testing.T, servers func(*testing.T) *site) {
	seed := fromEnv(t, seedEnv, rand.Uint64()>>1, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
	duration := fromEnv(t, durationEnv, 8*time.Second, time.ParseDuration)
	images := fromEnv(t, worldEnv, 1000, strconv.Atoi)
	t.Logf("seed %d: %s=%d %s=%s %s=%d go test -run '%s$' ./store/redis/faults", seed, seedEnv, seed, durationEnv, duration, worldEnv, images, t.Name())
	s := servers(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "mac.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := role{Dir: dir, World: images, Seed: seed, Store: store.Config{URL: s.url, Prefix: redistest.Prefix(), MACKeyFile: key}}
	n := &nemesis{T: t, rand: rand.New(rand.NewPCG(seed, 0)), site: s, end: time.Now().Add(duration)}
	start(n, base, duration)
	started := time.Now()
	n.run()
	t.Logf("the faults took %s", time.Since(started).Round(time.Second))
	if err := s.heal(); err != nil {
		t.Fatalf("healing: %v", err)
	}
	for _, p := range n.others {
		if err := p.end(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
	base.Who = "end"
	last, err := openNode(context.Background(), base)
	if err != nil {
		t.Fatal(err)
	}
	synchronise(t, last)
	drain(t, s, base.Store.Prefix)
	sweep(t, last)
	decideAll(t, last)
	for _, p := range n.workers {
		if err := p.end(); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
	events, err := readHistories(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker(t, events, n.lost)
	c.checkClaims()
	c.checkCommits()
	c.checkAllows()
	c.checkAttempts(len(n.done))
	c.checkState(last, s)
	c.report()
	faults := map[string]int{}
	for _, name := range n.done {
		faults[name]++
	}
	t.Logf("seed %d on %s: faults: %v", seed, s.name, faults)
	if err := last.close(); err != nil {
		t.Error(err)
	}
}

// start starts the processes. Their clocks are up to a day and a half apart; the
// deliveries of all images take as long as the faults.
func start(n *nemesis, base role, duration time.Duration) {
	urls := 0
	next := func(kind string, i int, every time.Duration, first, step int) *process {
		r := base
		r.Kind, r.Every, r.First, r.Step = kind, every, first, step
		r.Seed += uint64(len(n.workers)+len(n.others)+1) << 40
		r.Skew = time.Duration(n.rand.Int64N(int64(72*time.Hour))) - 36*time.Hour
		r.Store.URL = base.Store.URL
		if urls++; len(n.site.urls) > 0 {
			r.Store.URL = n.site.urls[urls%len(n.site.urls)]
		}
		p := &process{role: r, name: fmt.Sprint(kind, "-", i)}
		p.start(n.T)
		n.Cleanup(func() { _ = p.cmd.Process.Kill() }) // of one that has ended it does nothing
		return p
	}
	const workers, pushers, readers = 3, 2, 2
	for i := range workers {
		n.workers = append(n.workers, next("worker", i, time.Second, 0, 0))
	}
	for i := range pushers {
		every := duration * pushers / time.Duration(base.World)
		n.others = append(n.others, next("pusher", i, every, i, pushers))
	}
	for i := range readers {
		n.others = append(n.others, next("reader", i, 5*time.Millisecond, 0, 0))
	}
}
