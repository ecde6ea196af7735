package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestFeedRetention: the oldest changes go, and a reader that would need them is
// told to build anew.
func TestFeedRetention(t *testing.T) {
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{FeedRetention: 100})
	for i := range 1500 {
		if err := s.PutManifest(t.Context(), gate.Manifest{Digest: digest("d", i%20), Size: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Changes(t.Context(), 0, 10); !errors.Is(err, gate.ErrConflict) {
		t.Fatalf("a reader far behind: got %v, want ErrConflict", err)
	}
	newest, err := s.Scan(t.Context(), func(gate.Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	floor, err := s.Floor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, next, err := s.Changes(t.Context(), floor, 2000)
	if err != nil || len(all) < 100 || len(all) > 1100 || next != newest {
		t.Fatalf("at the floor: got %d changes up to %d, want 100 to 1,100 up to %d, %v", len(all), next, newest, err)
	}
	if _, _, err := s.Changes(t.Context(), floor-1, 1); !errors.Is(err, gate.ErrConflict) {
		t.Fatalf("below the floor: got %v, want ErrConflict", err)
	}
}

func TestFeedFollowsRecords(t *testing.T) {
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{FeedRetention: 100})
	storetest.FeedFollowsRecords(t, storetest.Harness{Store: s})
}

// TestJobRetention: claims remove what is over, once a minute.
func TestJobRetention(t *testing.T) {
	c := storetest.NewClock()
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{Clock: c.Now, JobRetention: time.Hour})
	storetest.Retention(t, storetest.Harness{Store: s, Advance: c.Advance}, func(store.Store) store.Store {
		if _, err := s.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: time.Minute}); !errors.Is(err, gate.ErrNoJob) {
			t.Fatal(err)
		}
		return s
	})
}

func TestHistoryRetention(t *testing.T) {
	c := storetest.NewClock()
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{Clock: c.Now, HistoryRetention: 24 * time.Hour})
	storetest.HistoryRetention(t, storetest.Harness{Store: s, Advance: c.Advance})
}
