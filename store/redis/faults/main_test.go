package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// roleEnv makes the test binary one of the processes of a run.
const roleEnv = "DIGESTGATE_FAULTS_ROLE"

func TestMain(m *testing.M) {
	if text := os.Getenv(roleEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(redistest.Required(m))
}

// role is what a process is to do.
type role struct {
	Kind  string // worker, pusher, reader
	Who   string
	Store store.Config
	Dir   string // of the histories
	World int    // images
	Seed  uint64
	Skew  time.Duration // of the process's clock
	Every time.Duration // between two calls of a pusher or reader
	First int           // the image a pusher begins with
	Step  int           // and how far it is to the next
}

// Leases are short, so that a run of seconds has many that run out.
const lease = 1500 * time.Millisecond

// node is a process of a run, or the test itself.
type node struct {
	role
	store    recorded
	pipeline *pipeline.Pipeline
	standing *standing.Standing
	rand     *rand.Rand
}

func openNode(ctx context.Context, r role) (*node, error) {
	h, err := openHistory(r.Dir, r.Who)
	if err != nil {
		return nil, err
	}
	codec, err := store.NewCodec()
	if err != nil {
		return nil, err
	}
	var s *redis.Store
	for s == nil { // the servers may be down just now
		if s, err = redis.Open(ctx, r.Store, redis.Options{}); err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	n := &node{role: r, store: recorded{s, codec, h}, rand: rand.New(rand.NewPCG(r.Seed, 1))}
	registries, err := gate.NewRegistries([]gate.Registry{{Name: hub, Type: "harbor", Host: host, Limits: gate.Limits{Concurrency: 20}}})
	if err != nil {
		return nil, err
	}
	// Periods of a day and clocks that are days apart: charges fall into several.
	quota, err := gate.NewQuota(gate.QuotaConfig{Period: "day", TimeZone: "UTC"})
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	n.standing = &standing.Standing{Records: n.store, Matcher: matcher{}, Evaluator: evaluator{}, Registries: registries, Now: n.now, Log: log}
	n.pipeline = &pipeline.Pipeline{
		Records: n.store, Scheduler: n.store, Source: world{r.World},
		Analyzer: analyzer{name: r.Who, took: n.took, gone: world{r.World}.phantoms()}, Verdicts: n.standing,
		Registries: registries, Quota: quota, Now: n.now, Log: log,
	}
	return n, nil
}

func (n *node) now() time.Time { return time.Now().Add(n.Skew) }

// took is how long an analysis takes: one in eight is slow, so that there is always
// one under way.
func (n *node) took() time.Duration {
	if rand.IntN(8) == 0 {
		return time.Duration(100+rand.IntN(150)) * time.Millisecond
	}
	return time.Duration(5+rand.IntN(40)) * time.Millisecond
}

func (n *node) close() error {
	return errors.Join(n.store.Close(), n.store.codec.Close(), n.store.h.file.Close())
}

// child does what a role says until the test that started it is gone.
func child(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test
		cancel()
	}()
	n, err := openNode(ctx, r)
	if ctx.Err() != nil && err != nil {
		return nil // started again shortly before the end, while the servers were down
	}
	if err != nil {
		return err
	}
	switch r.Kind {
	case "worker":
		n.work(ctx)
	case "pusher":
		n.deliver(ctx)
	case "reader":
		n.decide(ctx)
	}
	return n.close()
}
