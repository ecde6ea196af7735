package redis_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestBackupAndRestore does what docs/operations.md says: BGSAVE, and the file in
// the place of another server's. What was stored then is there and believed,
// what came later is gone, and no number is handed out twice.
func TestBackupAndRestore(t *testing.T) {
	ctx := t.Context()
	server := redistest.Plain(t, redistest.Options{AOF: "everysec"})
	c := config(t, server.URL())
	s := open(t, c, redis.Options{})
	claim := gate.ClaimRequest{Worker: "w", Lease: time.Minute, Period: gate.Period{Key: "p"}}
	analyzed := func(s *redis.Store, d gate.Digest) gate.Job {
		t.Helper()
		_, _, err := s.Enqueue(ctx, gate.JobRequest{Kind: gate.JobAnalyze, Location: app, Digest: d, Trigger: gate.TriggerPush})
		no(t, err)
		job, err := s.Claim(ctx, claim)
		no(t, err)
		no(t, s.Fence(ctx, d, job.Epoch))
		no(t, s.Serve(ctx, job.Lease()))
		no(t, storetest.PutInventory(ctx, s, job.Epoch, &gate.Inventory{Format: 1, Digest: d, AnalyzerSet: "set"}))
		_, err = s.Finish(ctx, job.Lease(), gate.Result{})
		no(t, err)
		return job
	}
	honest.fill(t, watched{Store: s}, 1)
	before := analyzed(s, digest(t.Name(), 1))

	no(t, server.Do("BGSAVE").Err())
	saved, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	file := filepath.Join(server.Dir(), "data", "dump.rdb") // it gets this name when it is whole
	for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
		select {
		case <-saved.Done():
			t.Fatal("the dump is not written")
		case <-time.After(10 * time.Millisecond): // by another process
		}
	}
	after := analyzed(s, digest(t.Name(), 2))
	position := newest(t, s, 0)

	dump, err := os.ReadFile(file)
	no(t, err)
	fresh := redistest.Plain(t, redistest.Options{})
	no(t, fresh.Kill())
	no(t, os.WriteFile(filepath.Join(fresh.Dir(), "data", "dump.rdb"), dump, 0o600))
	no(t, fresh.Start())
	c.URL = fresh.URL()
	restored := watch(t, c)
	no(t, fresh.Do("CONFIG", "SET", "appendonly", "yes").Err())

	for thing, there := range honest.there(t, restored) {
		if !there {
			t.Errorf("the %s is not believed: %s", thing, restored.log)
		}
	}
	charge, err := restored.Charged(ctx, before.Digest)
	if err != nil || !charge.Served {
		t.Errorf("the charge of the backup: got %+v, %v", charge, err)
	}
	if _, err := restored.Job(ctx, after.ID); !errors.Is(err, gate.ErrNotFound) {
		t.Errorf("a job that came after the backup: got %v", err)
	}
	if _, _, err := restored.Changes(ctx, position, 10); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("a follower from after the backup: got %v, want ErrConflict", err)
	}
	if job := analyzed(restored.Store, digest(t.Name(), 2)); job.Epoch <= after.Epoch || job.ID == after.ID {
		t.Errorf("got job %s with epoch %d after %s with %d", job.ID, job.Epoch, after.ID, after.Epoch)
	}
}
