package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest"
)

// TestUpgrade: what a store of the first version has queued is claimed, in the
// order of its age, and what waits or runs in it goes on.
func TestUpgrade(t *testing.T) {
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	statement(t, path, fmt.Sprintf("%s PRAGMA application_id = %d; PRAGMA user_version = 1;", sqlite.SchemaV1, sqlite.ApplicationID))
	const ready, delayed, parked, running, done = 0, 1, 2, 3, 4
	now := clock.Now()
	states := []int{ready, ready, ready, delayed, running, parked, done}
	for i, state := range states {
		var notBefore, lease int64
		switch state {
		case delayed:
			notBefore = now.Add(time.Minute).UnixNano()
		case running:
			lease = now.Add(time.Minute).UnixNano()
		}
		d := fmt.Sprintf("sha256:%064x", i)
		statement(t, path, `INSERT INTO jobs (seq, id, kind, key, registry, repository, digest, tags, triggered, priority, force, state, epoch,
			attempts, retries, worker, mask, again, repeat, charge, created_at, updated_at, started_at, finished_at, not_before,
			lease_until, progress, error, reason)
			VALUES (?1, ?2, 2, ?3, 'harbor', 'app', ?3, '', 'push', 1, 0, ?4, 0, 0, 0, '', 0, 0, 0, 1, ?5, ?5, 0, 0, ?6, ?7, '', '', '')`,
			i+1, fmt.Sprintf("%d-old", i+1), d, state, now.Add(time.Duration(i)*time.Second-time.Hour).UnixNano(), notBefore, lease)
	}
	s := open(t, path, sqlite.Options{Clock: clock.Now})
	for _, step := range []struct {
		after time.Duration
		ids   []string
	}{
		{0, []string{"1-old", "2-old", "3-old", "6-old"}},
		{time.Minute, []string{"5-old", "4-old"}}, // the lost worker's keeps its place
	} {
		clock.Advance(step.after)
		for _, id := range step.ids {
			job, err := s.Claim(t.Context(), gate.ClaimRequest{Worker: "w", Lease: time.Hour, Period: gate.Period{Key: "p"}})
			if err != nil {
				t.Fatalf("claiming %s: %v", id, err)
			}
			if job.ID != id {
				t.Fatalf("claimed %s, want %s", job.ID, id)
			}
		}
	}
}

// TestUpgradeTags: tags that were stored without their host have none.
func TestUpgradeTags(t *testing.T) {
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	statement(t, path, fmt.Sprintf("%s PRAGMA application_id = %d; PRAGMA user_version = 1;", sqlite.SchemaV1, sqlite.ApplicationID))
	d := gate.Digest(fmt.Sprintf("sha256:%064x", 1))
	statement(t, path, `INSERT INTO tags (key, digest, read_at, dirty, dirty_at, gone) VALUES (?1, ?2, ?3, 0, 0, 0)`,
		"harbor\nteam/app\nv1", string(d), clock.Now().UnixNano())
	s := open(t, path, sqlite.Options{Clock: clock.Now})
	key := gate.TagKey{Location: gate.Location{Registry: "harbor", Repository: "team/app"}, Tag: "v1"}
	res, err := s.Read(t.Context(), gate.ReadRequest{Tags: []gate.TagKey{key}})
	if m := res.Tags[key]; err != nil || m.Digest != d || m.Host != "" || !m.At("hub.example.com").Usable(clock.Now(), time.Minute) {
		t.Fatalf("after the upgrade: %+v, %v", m, err)
	}
}
