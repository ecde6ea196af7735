package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

func TestFeedRetention(t *testing.T) {
	s := open(t, filepath.Join(memoryDir(t), "store.db"), sqlite.Options{FeedRetention: 100})
	for i := range 2500 {
		if err := s.PutManifest(t.Context(), gate.Manifest{Digest: digestOf(fmt.Sprint(i % 20)), Size: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Changes(t.Context(), 0, 10); !errors.Is(err, gate.ErrConflict) {
		t.Fatalf("a reader far behind: got %v, want ErrConflict", err)
	}
	all, next, err := s.Changes(t.Context(), 2400, 1000)
	if err != nil || len(all) != 100 || next != 2500 {
		t.Fatalf("a reader within the retention: got %d changes, next %d, %v", len(all), next, err)
	}
	// The floor itself is a good place to go on from, one below is not.
	floor := int64(0)
	for after := int64(2400); ; after-- {
		if _, _, err := s.Changes(t.Context(), after, 1); err != nil {
			floor = after + 1
			break
		}
	}
	if all, _, err := s.Changes(t.Context(), floor, 10); err != nil || all[0].Seq != floor+1 {
		t.Fatalf("at the floor %d: got %+v, %v", floor, all, err)
	}
}

func TestFeedFollowsRecords(t *testing.T) {
	s := open(t, filepath.Join(memoryDir(t), "store.db"), sqlite.Options{FeedRetention: 100})
	storetest.FeedFollowsRecords(t, storetest.Harness{Store: s})
}

// TestJobRetention: opening removes what is over.
func TestJobRetention(t *testing.T) {
	c := storetest.NewClock()
	path := filepath.Join(memoryDir(t), "store.db")
	o := sqlite.Options{Clock: c.Now, JobRetention: time.Hour}
	storetest.Retention(t, storetest.Harness{Store: open(t, path, o), Advance: c.Advance}, func(s store.Store) store.Store {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return open(t, path, o)
	})
}

func TestHistoryRetention(t *testing.T) {
	c := storetest.NewClock()
	o := sqlite.Options{Clock: c.Now, HistoryRetention: 24 * time.Hour}
	storetest.HistoryRetention(t, storetest.Harness{Store: open(t, filepath.Join(memoryDir(t), "store.db"), o), Advance: c.Advance})
}
