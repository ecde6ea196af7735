package faults_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/store"
)

// known is what the store holds of the registry.
type known map[string][]string // tags by repository

func (k known) Repositories(context.Context, string) (list []string, err error) {
	for repo := range k {
		list = append(list, repo)
	}
	return list, nil
}

func (k known) RepositoryTags(_ context.Context, loc gate.Location) ([]string, error) {
	return k[loc.Repository], nil
}

// synchronise runs the real synchronisation once, over everything.
func synchronise(t *testing.T, n *node) {
	t.Helper()
	tags := known{}
	_, err := n.store.Scan(t.Context(), func(item store.Item) error {
		if item.Tag != nil {
			tags[item.Tag.Repository] = append(tags[item.Tag.Repository], item.Tag.Tag)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := registrysync.New(n.pipeline.Registries, nil, world{n.World}, tags, n.store, nil, slog.New(slog.DiscardHandler))
	if _, err := s.Request(ctx, hub, true); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	var status registrysync.SyncStatus
	poll(t, "the synchronisation", func() string {
		if status, err = s.Status(ctx, hub); err != nil {
			return err.Error()
		}
		if status.Phase != registrysync.Done || status.LastFull.IsZero() {
			return fmt.Sprintf("%+v", status)
		}
		return ""
	})
	stop()
	<-ended
	t.Logf("synchronised: %d tags compared, %d resolves queued", status.Counts.Tags, status.Counts.Queued)
}

// poll asks until the answer is "". The processes are foreign, nothing but asking
// tells what they have done.
func poll(t *testing.T, what string, ask func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute) // leases end, workers look again
	for {
		missing := ask()
		if missing == "" {
			return
		}
		select {
		case <-t.Context().Done():
			t.FailNow()
		case <-deadline:
			t.Fatalf("waiting for %s: %s", what, missing)
		case <-tick.C:
		}
	}
}

// queue are the jobs that wait or run, by the key that holds them. lanes may name
// lines that are empty.
func queue(ctx context.Context, c redis.UniversalClient, prefix string) (map[string]int64, error) {
	base := "{" + prefix + "}:"
	names := []string{"leases", "delayed", "parked"}
	lanes, err := c.SMembers(ctx, base+"lanes").Result()
	if err != nil {
		return nil, err
	}
	for _, l := range lanes {
		names = append(names, "lane:"+l)
	}
	found := map[string]int64{}
	for _, name := range names {
		n, err := c.ZCard(ctx, base+name).Result()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			found[name] = n
		}
	}
	for _, kind := range []string{"1", "2", "4"} {
		n, err := c.SCard(ctx, base+"running:"+kind+":"+hub).Result()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			found["running:"+kind] = n
		}
	}
	return found, nil
}

// hurry ends the waits of jobs that were returned: an attempt that is counted
// waits for up to a quarter of an hour, longer than a run.
func hurry(ctx context.Context, c redis.UniversalClient, prefix string) error {
	delayed := "{" + prefix + "}:delayed"
	ids, err := c.ZRange(ctx, delayed, 0, -1).Result()
	if err != nil || len(ids) == 0 {
		return err
	}
	due := make([]redis.Z, len(ids))
	for i, id := range ids {
		due[i] = redis.Z{Score: 1, Member: id}
	}
	return c.ZAddXX(ctx, delayed, due...).Err()
}

// drain waits until nothing is in the queue.
func drain(t *testing.T, s *site, prefix string) {
	t.Helper()
	poll(t, "the queue to be empty", func() string {
		if err := hurry(t.Context(), s.client, prefix); err != nil {
			return err.Error()
		}
		left, err := queue(t.Context(), s.client, prefix)
		if err != nil {
			return err.Error()
		}
		if len(left) > 0 {
			return fmt.Sprint(left)
		}
		return ""
	})
}

// listed is the catalog's part in a sweep.
type listed []gate.Digest

func (l listed) Scanned(_ context.Context, after gate.Digest, limit int) ([]gate.Digest, error) {
	i, _ := slices.BinarySearchFunc(l, after+"\x00", func(a, b gate.Digest) int { return strings.Compare(string(a), string(b)) })
	return l[i:min(i+limit, len(l))], nil
}

// sweep runs the real sweep once, over everything that has an inventory.
func sweep(t *testing.T, n *node) {
	t.Helper()
	var scanned listed
	_, err := n.store.Scan(t.Context(), func(item store.Item) error {
		if item.Record != nil && item.Record.InventoryID != "" {
			scanned = append(scanned, item.Record.Digest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(scanned)
	scanned = slices.Compact(scanned)
	swept, err := standing.NewSweeper(n.standing, standing.SweepOptions{Digests: scanned, Scheduler: n.store, Quota: n.pipeline.Quota}).Rematch(t.Context())
	if err != nil || swept.Failed > 0 {
		t.Fatalf("sweeping: %+v, %v", swept, err)
	}
	t.Logf("swept: %d seen, %d matched, %d charges restored", swept.Seen, swept.Matched, swept.Charged)
}

// decideAll asks for every image once: now nothing is in the way of an answer.
func decideAll(t *testing.T, n *node) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w, lookup := world{n.World}, n.lookup(ctx)
	for i := range n.World {
		p := w.push(i, false)
		want := gate.OutcomeAllow
		if bad(p.Digest) {
			want = gate.OutcomeDeny
		}
		poll(t, "a decision about "+string(p.Digest), func() string {
			if a := n.ask(ctx, lookup, p, i%4 == 0); a.Outcome != want {
				return fmt.Sprintf("%+v, want %q", a, want)
			}
			return ""
		})
	}
}
