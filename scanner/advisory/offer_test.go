package advisory_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store/sqlite"
)

// placeAt places data that differs by its release and is as of n hours.
func placeAt(t *testing.T, dir, release string, n int) gate.Digest {
	t.Helper()
	place(t, dir, debianRelease("12", release))
	file := filepath.Join(dir, "metadata.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(b, &metadata); err != nil {
		t.Fatal(err)
	}
	metadata["UpdatedAt"] = clock.Add(time.Duration(n-100) * time.Hour).Format(time.RFC3339)
	if b, err = json.Marshal(metadata); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.Inspect(t.Context(), dir, clock)
	if err != nil {
		t.Fatal(err)
	}
	return db.Content
}

// replica is a process with a directory of advisory data and a data directory.
type replica struct {
	*advisory.Manager
	t          *testing.T
	s          *sqlite.Store
	path, data string
	observe    bool
}

func newReplica(t *testing.T, s *sqlite.Store) *replica {
	return &replica{t: t, s: s, path: filepath.Join(t.TempDir(), "live"), data: t.TempDir()}
}

// start begins a new process.
func (r *replica) start() {
	r.t.Helper()
	r.Manager = newManager(r.path, r.data, r.s, &loader{}, func(o *advisory.Options) { o.Observe = r.observe })
	if err := r.Open(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) look() {
	r.t.Helper()
	if _, err := r.Refresh(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// want checks what is active, and with which number this replica matches.
func (r *replica) want(what string, active gate.Digest, number, ours int64) {
	r.t.Helper()
	g, ok, err := inForce(r.s).Active(r.t.Context())
	if err != nil || !ok || g.Content != active || g.Number != number {
		r.t.Errorf("%s: active is %d %s, %t, %v; want %d %s", what, g.Number, g.Content.Short(), ok, err, number, active.Short())
	}
	st := r.Status()
	if st.Generation.Number != ours || (st.Elsewhere.Number != 0) != (number != ours) || (st.Problem != "") != (number != ours) {
		r.t.Errorf("%s: matches with %d, elsewhere %d, problem %q; want %d", what, st.Generation.Number, st.Elsewhere.Number, st.Problem, ours)
	}
}

// TestOldDataOfOneReplica: a replica with old data does not bring it back over
// the newer data of the others, however often it starts.
func TestOldDataOfOneReplica(t *testing.T) {
	s := openStore(t)
	a, b := newReplica(t, s), newReplica(t, s)
	placeAt(t, a.path, "1", 1)
	a.start()
	newer := placeAt(t, b.path, "2", 2)
	b.start()
	b.want("newer data on a new replica", newer, 2, 2)
	a.look()
	a.want("the other replica", newer, 2, 1)
	for range 2 {
		a.start()
		a.look()
		a.want("restarted with old data", newer, 2, 1)
	}
	a.data = t.TempDir()
	a.start()
	a.want("and without memory", newer, 2, 1)
	// What the others had long ago arrives late: no change for them.
	newest := placeAt(t, b.path, "3", 4)
	b.look()
	placeAt(t, a.path, "2", 3)
	a.look()
	a.want("data that is late", newest, 3, 2)
	b.look()
	b.want("nothing came back", newest, 3, 3)
	if got := placeAt(t, a.path, "3", 4); got != newest {
		t.Fatalf("content %s, want %s", got, newest)
	}
	a.look()
	a.want("caught up", newest, 3, 3)
}

// TestObserving: a command that asks activates nothing, and the next server on
// its data directory still does.
func TestObserving(t *testing.T) {
	s := openStore(t)
	r := newReplica(t, s)
	r.observe = true
	placeAt(t, r.path, "1", 1)
	r.start()
	if g, ok, err := inForce(s).Active(t.Context()); ok || err != nil || r.Status().Generation.Number != 1 {
		t.Errorf("active is %d, %v; it matches with %d", g.Number, err, r.Status().Generation.Number)
	}
	first := newReplica(t, s)
	active := placeAt(t, first.path, "0", 0)
	first.start()
	r.start()
	r.want("newer data of one that asks", active, 1, 0)
	r.observe = false
	newer := placeAt(t, r.path, "1", 1)
	r.start()
	r.want("the server on its directory", newer, 2, 2)
}

// TestRollback: a person puts older data in place, of one replica after the
// other, while they run or between two runs.
func TestRollback(t *testing.T) {
	s := openStore(t)
	a, b := newReplica(t, s), newReplica(t, s)
	for _, r := range []*replica{a, b} {
		placeAt(t, r.path, "2", 2)
		r.start()
	}
	older := placeAt(t, a.path, "1", 1)
	a.look()
	a.want("rolled back while running", older, 2, 2)
	b.look()
	b.start()
	b.want("not rolled back yet", older, 2, 1)
	placeAt(t, b.path, "1", 1)
	b.look()
	b.want("rolled back too", older, 2, 2)

	oldest := placeAt(t, a.path, "0", 0)
	a.start()
	a.want("rolled back between two runs", oldest, 3, 3)
}

// TestLostActivation: the store has lost its last second and with it a
// generation: its number is not issued again.
func TestLostActivation(t *testing.T) {
	for name, restart := range map[string]bool{"while_running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			a := newReplica(t, s)
			placeAt(t, a.path, "1", 1)
			a.start()
			value, _, err := s.Setting(t.Context(), agree.SettingAdvisories)
			if err != nil {
				t.Fatal(err)
			}
			content := placeAt(t, a.path, "2", 2)
			a.look()
			a.want("before", content, 2, 2)
			_, version, err := s.Setting(t.Context(), agree.SettingAdvisories)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.PutSetting(t.Context(), agree.SettingAdvisories, value, version); err != nil {
				t.Fatal(err)
			}
			if restart {
				a.start()
			} else {
				a.look()
			}
			a.want("after the loss", content, 3, 3)
		})
	}
}

// TestUnreadableSetting: what a newer version has stored is neither overwritten
// nor hidden, and the data in use stays.
func TestUnreadableSetting(t *testing.T) {
	s := openStore(t)
	a := newReplica(t, s)
	placeAt(t, a.path, "1", 1)
	a.start()
	const newer = `{"format":9,"number":7}`
	_, version, err := s.Setting(t.Context(), agree.SettingAdvisories)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutSetting(t.Context(), agree.SettingAdvisories, []byte(newer), version); err != nil {
		t.Fatal(err)
	}
	for _, change := range []bool{false, true} {
		if change {
			placeAt(t, a.path, "2", 2)
		}
		if _, err := a.Refresh(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) {
			t.Errorf("changed %t: got %v", change, err)
		}
		if st := a.Status(); st.Generation.Number != 1 || !strings.Contains(st.Problem, agree.SettingAdvisories) {
			t.Errorf("changed %t: status %+v", change, st)
		}
	}
	if value, _, err := s.Setting(t.Context(), agree.SettingAdvisories); err != nil || string(value) != newer {
		t.Errorf("the store has %s, %v", value, err)
	}
}
