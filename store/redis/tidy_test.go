package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
)

var loc = gate.Location{Registry: "harbor", Repository: "library/app"}

// TestFeedRetention: the oldest changes go, and a reader that would need them is
// told to build anew.
func TestFeedRetention(t *testing.T) {
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{FeedRetention: 100})
	for i := range 1500 {
		if err := s.PutManifest(t.Context(), gate.Manifest{Digest: digest("d", i)}); err != nil {
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

// TestJobRetention: jobs that are done, or that a later one has replaced, can be
// read for a while; what says whether an image may be asked for again stays.
func TestJobRetention(t *testing.T) {
	c := newClock()
	s := open(t, config(t, servers.Plain(t).URL()), redis.Options{Clock: c.Now, JobRetention: time.Hour})
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Minute}
	run := func(name string, result gate.Result) string {
		t.Helper()
		req := gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digest(name, 0), Trigger: gate.TriggerAPI}
		if _, _, err := s.Enqueue(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		job, err := s.Claim(t.Context(), claim)
		if err != nil {
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
	c.Advance(time.Hour + time.Minute)
	kept = append(kept, run("fresh", gate.Result{}))
	before, err := s.Scan(t.Context(), func(gate.Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Minute) // tidied once a minute
	if _, err := s.Claim(t.Context(), claim); !errors.Is(err, gate.ErrNoJob) {
		t.Fatal(err)
	}
	told := map[string]bool{}
	changes, _, err := s.Changes(t.Context(), before, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		told[c.Key] = true
	}
	for i, id := range gone {
		// The claim that made the last job has tidied too.
		if _, err := s.Job(t.Context(), id); !errors.Is(err, gate.ErrNotFound) {
			t.Errorf("job %d %q: got %v, want it gone", i, id, err)
		}
	}
	for _, id := range kept {
		if _, err := s.Job(t.Context(), id); err != nil || told[id] {
			t.Errorf("job %q: %v; told: %v", id, err, told[id])
		}
	}
	// A digest whose job has been removed can be asked for again.
	if _, outcome, err := s.Enqueue(t.Context(), gate.JobRequest{Kind: gate.JobAnalyze, Location: loc, Digest: digest("done", 0), Trigger: gate.TriggerAdmission}); err != nil || outcome != gate.EnqueuedNew {
		t.Errorf("asking again: got %q, %v", outcome, err)
	}
}
