package sqlite_test

import (
	"fmt"
	"hash/crc32"
	"path/filepath"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
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

// TestUpgradeHistory: a store of the version before histories gets them, and the change of a
// feed that was written without keeps its place.
func TestUpgradeHistory(t *testing.T) {
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	statement(t, path, sqlite.SchemaOf(5))
	d := gate.Digest(fmt.Sprintf("sha256:%064x", 1))
	statement(t, path, `INSERT INTO feed (seq, kind, key, at) VALUES (1, 0, ?1, ?2)`, string(d), clock.Now().UnixNano())
	s := open(t, path, sqlite.Options{Clock: clock.Now})
	changes, next, err := s.Changes(t.Context(), 0, 10)
	if err != nil || len(changes) != 1 || changes[0].Key != string(d) || changes[0].History != 0 || next != 1 {
		t.Fatalf("the feed: %+v, %d, %v", changes, next, err)
	}
	if list, err := s.History(t.Context(), d, gate.HistoryQuery{}); err != nil || len(list) > 0 {
		t.Fatalf("the history before any change: %+v, %v", list, err)
	}
	inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: d}
	put, err := s.PutInventory(t.Context(), 1, inv)
	if err != nil {
		t.Fatal(err)
	}
	f := &gate.Findings{Digest: d, InventoryID: put.ID, Generation: 1, Change: &gate.StandingChange{
		Event: gate.EventPush, Generation: 1, Findings: &gate.FindingsChange{First: true, After: gate.FindingsRef{Generation: 1}},
	}}
	if _, err := s.PutFindings(t.Context(), f, ""); err != nil {
		t.Fatal(err)
	}
	list, err := s.History(t.Context(), d, gate.HistoryQuery{})
	if err != nil || len(list) != 1 || list[0].Findings == nil || !list[0].Findings.First {
		t.Fatalf("the history after the first change: %+v, %v", list, err)
	}
}

// TestUpgradeGone: a location that was gone before the time of that was kept has none, gets
// one when it is marked again, and a history of the version before is still read.
func TestUpgradeGone(t *testing.T) {
	clock := storetest.NewClock()
	path := filepath.Join(t.TempDir(), "store.db")
	statement(t, path, sqlite.SchemaOf(6))
	d := gate.Digest(fmt.Sprintf("sha256:%064x", 1))
	body := `{"digest":"` + string(d) + `","manifest":{"digest":"` + string(d) + `","kind":"image"},"locations":null}`
	statement(t, path, `INSERT INTO records (digest, version, epoch, body, crc) VALUES (?, 4, 2, ?, ?)`,
		string(d), body, int64(crc32.Checksum([]byte(string(d)+body), crc32.MakeTable(crc32.Castagnoli))))
	statement(t, path, `INSERT INTO locations (digest, registry, repository, seen_at, gone, verdict) VALUES (?, 'harbor', 'team/app', ?, 1, '')`,
		string(d), clock.Now().Add(-time.Hour).UnixNano())
	entry, err := store.EncodeHistory(&gate.StandingChange{Event: gate.EventPush, Generation: 7, Findings: &gate.FindingsChange{First: true}})
	if err != nil {
		t.Fatal(err)
	}
	statement(t, path, `INSERT INTO history (digest, number, at, data) VALUES (?, 3, ?, ?)`, bytesOf(t, d), clock.Now().UnixNano(), entry)
	s := open(t, path, sqlite.Options{Clock: clock.Now})
	at := func() gate.LocationState {
		t.Helper()
		e, err := gate.ReadEntry(t.Context(), s, d)
		if err != nil || !e.Record.Known() || e.Record.Manifest.Kind != gate.KindImage || len(e.Record.Locations) != 1 {
			t.Fatalf("after the upgrade: %+v, %v", e.Record, err)
		}
		return e.Record.Locations[0]
	}
	if l := at(); !l.Gone || !l.GoneAt.IsZero() {
		t.Fatalf("after the upgrade: %+v, want gone at a time that is not known", l)
	}
	if err := s.MarkGone(t.Context(), d, at().Location); err != nil {
		t.Fatal(err)
	}
	if l := at(); !l.Gone || !l.GoneAt.Equal(clock.Now()) {
		t.Fatalf("marked again: %+v, want gone at %s", l, clock.Now())
	}
	list, err := s.History(t.Context(), d, gate.HistoryQuery{})
	if err != nil || len(list) != 1 || list[0].Number != 3 || list[0].Generation != 7 {
		t.Fatalf("the history of before: %+v, %v", list, err)
	}
}

func bytesOf(t *testing.T, d gate.Digest) []byte {
	t.Helper()
	hash, ok := d.Hash()
	if !ok {
		t.Fatalf("%s is not a digest", d)
	}
	return hash[:]
}
