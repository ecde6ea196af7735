package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestEviction takes away every key that the store has written, one at a time, as
// a server does that may evict: the image is asked for again, and is analysed in
// the end. Nothing is stuck, and a record without its inventory is never scanned.
func TestEviction(t *testing.T) {
	server := redistest.Plain(t, redistest.Options{})
	admin := server.Client(t)
	evicted := map[string]bool{}
	for i := 0; ; i++ {
		c := config(t, server.URL())
		clock := storetest.NewClock()
		s := open(t, c, redis.Options{Clock: clock.Now})
		occupied(t, s, clock)
		keys := must(admin.Keys(t.Context(), "*"+c.Prefix+"*").Result())(t)
		victim := ""
		for _, key := range keys {
			if kind := evictedKind(key, c.Prefix); !evicted[kind] {
				victim, evicted[kind] = key, true
				break
			}
		}
		if victim == "" {
			break
		}
		no(t, admin.Del(t.Context(), victim).Err())
		if err := recovered(t, s, clock); err != nil {
			t.Errorf("without %q: %v", victim, err)
		}
		no(t, s.Remove(t.Context()))
	}
	// A sample of each row of the table is there, but for those that need a limit, a
	// full feed, or a budget.
	if len(evicted) < 20 {
		t.Errorf("only %d kinds of key were evicted: %v", len(evicted), evicted)
	}
}

// evictedKind is a key without what differs from one to another of its kind.
func evictedKind(key, prefix string) string {
	key = strings.ReplaceAll(key, prefix, "P")
	if at := strings.Index(key, "sha256:"); at >= 0 {
		key = key[:at] + "D" + key[min(at+71, len(key)):]
	}
	for _, cut := range []string{"job:", "claimed:", "tag:", "setting:", "key:1:"} {
		if at := strings.Index(key, cut); at >= 0 {
			key = key[:at+len(cut)]
		}
	}
	return key
}

const images = 4

// occupied is a store with a job in every state: done, delayed, running, queued.
func occupied(t *testing.T, s *redis.Store, c *storetest.Clock) {
	t.Helper()
	for i := range images {
		_, _, err := s.Enqueue(t.Context(), analysis(digest(t.Name(), i), gate.TriggerPush))
		no(t, err)
		c.Advance(time.Millisecond)
	}
	done := must(s.Claim(t.Context(), claimFor("w")))(t)
	no(t, analysed(t, s, done))
	waits := must(s.Claim(t.Context(), claimFor("w")))(t)
	must(s.Finish(t.Context(), waits.Lease(), gate.Result{Err: gate.ErrRegistryUnavailable}))(t)
	must(s.Claim(t.Context(), claimFor("lost")))(t)
	must(s.PutTag(t.Context(), gate.TagKey{Location: app, Tag: "v1"}, done.Digest, c.Now(), ""))(t)
	must(s.PutSetting(t.Context(), "tick", nil, 0))(t)
	no(t, s.Avoid(t.Context(), "p", 1))
	must(s.Spend(t.Context(), "namespace", 5, time.Hour))(t)
}

// analysed does what a worker does.
func analysed(t *testing.T, s *redis.Store, job gate.Job) error {
	if err := s.Fence(t.Context(), job.Digest, job.Epoch); err != nil {
		return err
	}
	if err := s.Serve(t.Context(), job.Lease()); err != nil {
		return err
	}
	if err := storetest.PutInventory(t.Context(), s, job.Epoch, inventory(job.Digest, "set")); err != nil {
		return err
	}
	must(s.AddLocation(t.Context(), job.Digest, app))(t)
	return second(s.Finish(t.Context(), job.Lease(), gate.Result{}))
}

// recovered asks again for what has no inventory, as admissions and
// synchronisations do, and works until nothing is left.
func recovered(t *testing.T, s *redis.Store, c *storetest.Clock) error {
	for range 20 {
		c.Advance(20 * time.Second) // the clock of a test is the only one that stands still
		missing := 0
		for i := range images {
			d := digest(t.Name(), i)
			res, err := s.Read(t.Context(), gate.ReadRequest{Digests: []gate.Digest{d}})
			if err != nil {
				return err
			}
			switch _, err := s.Inventory(t.Context(), d); {
			case err == nil && res.Digests[d].Record.InventoryID != "":
				continue
			case err != nil && !errors.Is(err, gate.ErrNotFound):
				return err
			}
			missing++
			if _, _, err := s.Enqueue(t.Context(), analysis(d, gate.TriggerSync)); err != nil {
				return err
			}
		}
		if missing == 0 {
			return nil
		}
		for {
			job, err := s.Claim(t.Context(), claimFor("heir"))
			if errors.Is(err, gate.ErrNoJob) {
				break
			}
			if err != nil {
				return err
			}
			if err := analysed(t, s, job); err != nil {
				return err
			}
		}
	}
	return errors.New("something is stuck")
}
