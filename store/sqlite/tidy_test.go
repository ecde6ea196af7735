package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
)

func TestFeedRetention(t *testing.T) {
	s := open(t, filepath.Join(memoryDir(t), "store.db"), sqlite.Options{FeedRetention: 100})
	for i := range 2500 {
		if err := s.PutManifest(t.Context(), gate.Manifest{Digest: digestOf(fmt.Sprint(i))}); err != nil {
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

func TestJobRetention(t *testing.T) {
	c := newClock()
	path := filepath.Join(memoryDir(t), "store.db")
	s := open(t, path, sqlite.Options{Clock: c.Now, JobRetention: time.Hour})
	run := func(name string, result gate.Result) string {
		t.Helper()
		req := gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digestOf(name), Trigger: gate.TriggerAPI}
		job, _, err := s.Enqueue(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if job, err = s.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Finish(t.Context(), job.Lease(), result); err != nil {
			t.Fatal(err)
		}
		return job.ID
	}
	fail := gate.Result{Err: gate.ErrScanFailed, Final: true}
	gone := []string{run("done", gate.Result{}), run("failed", fail)}
	kept := []string{run("failed", fail), run("cancelled", gate.Result{Err: gate.ErrCancelled})}
	c.Advance(time.Hour + time.Second)
	kept = append(kept, run("fresh", gate.Result{}))
	before := feedEnd(t, s)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, sqlite.Options{Clock: c.Now, JobRetention: time.Hour}) // opening tidies
	told := map[string]bool{}
	changes, _, err := s.Changes(t.Context(), before, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		told[c.Key] = true
	}
	for _, id := range gone {
		if _, err := s.Job(t.Context(), id); !errors.Is(err, gate.ErrNotFound) || !told[id] {
			t.Errorf("job %q: got %v, want it gone; told: %v", id, err, told[id])
		}
	}
	for _, id := range kept {
		if _, err := s.Job(t.Context(), id); err != nil || told[id] {
			t.Errorf("job %q: %v; told: %v", id, err, told[id])
		}
	}
}

func feedEnd(t *testing.T, s *sqlite.Store) int64 {
	t.Helper()
	_, next, err := s.Changes(t.Context(), 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return next
}
