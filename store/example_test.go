package store_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// whole is all that a store of this project can do: the contract, and the two sides of
// a copy to another store.
type whole interface {
	store.Store
	store.Exporter
	store.Importer
}

// counted is a store that counts claims. A decorator embeds the store and replaces the
// methods that it is about; a new store implements all of them.
type counted struct {
	whole
	claims atomic.Int64
}

func (c *counted) Claim(ctx context.Context, req gate.ClaimRequest) (gate.Job, error) {
	c.claims.Add(1)
	return c.whole.Claim(ctx, req)
}

// A job is queued once for each key, and a worker claims it with a lease.
func Example() {
	dir, err := os.MkdirTemp("", "digestgate-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	inner, err := sqlite.Open(ctx, filepath.Join(dir, "digestgate.db"), sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &counted{whole: inner}
	defer func() { _ = s.Close() }()

	request := gate.JobRequest{
		Kind: gate.JobResolve, Location: gate.Location{Registry: "harbor", Repository: "team/app"}, Tag: "1.0", Trigger: gate.TriggerPush,
	}
	for range 2 {
		_, outcome, err := s.Enqueue(ctx, request)
		fmt.Println(outcome, err)
	}
	claim := gate.ClaimRequest{Worker: "worker-1", Lease: time.Minute, MaxAttempts: 3}
	job, err := s.Claim(ctx, claim)
	fmt.Println(job.Kind, job.Location.Repository, err)
	_, err = s.Claim(ctx, claim)
	fmt.Println(err)
	fmt.Println(s.claims.Load(), "claims")
	// Output:
	// new <nil>
	// joined <nil>
	// resolve team/app <nil>
	// no job to claim
	// 2 claims
}

// TestCounted shows how a store, or a decorator, is held to the contract. The
// properties take fewer steps here than for the stores themselves.
func TestCounted(t *testing.T) {
	if err := flag.Set("rapid.checks", "5"); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		clock := storetest.NewClock()
		s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "digestgate.db"), sqlite.Options{Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return storetest.Harness{Store: &counted{whole: s}, Advance: clock.Advance}
	})
}
