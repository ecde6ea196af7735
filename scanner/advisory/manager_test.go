package advisory_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store/sqlite"
)

// loader records what it was given, like a matcher that finds nothing.
type loader struct {
	mu     sync.Mutex
	loaded []gate.Generation
	fail   error
}

func (l *loader) Load(_ context.Context, dir string, g gate.Generation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	for _, name := range []string{"trivy.db", "metadata.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	l.loaded = append(l.loaded, g)
	return nil
}

func (l *loader) numbers() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n []int64
	for _, g := range l.loaded {
		n = append(n, g.Number)
	}
	return n
}

// openStore is a real store: activations are compare-and-swap on its settings.
func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// inForce is what is active on a store.
func inForce(s agree.Store) *agree.Activations {
	return agree.NewActivations(s, advisory.Kind(), "me", "v1")
}

func newManager(path, dataDir string, s agree.Store, l advisory.Loader, change ...func(*advisory.Options)) *advisory.Manager {
	o := advisory.Options{Config: advisory.Default(), DataDir: dataDir, Store: s, Loader: l, Now: now}
	o.Config.Path = path
	for _, f := range change {
		f(&o)
	}
	return advisory.NewManager(o)
}

func refresh(t *testing.T, m *advisory.Manager, wantChanged bool) {
	t.Helper()
	if changed, err := m.Refresh(t.Context()); err != nil || changed != wantChanged {
		t.Fatalf("Refresh: got %v %v, want %v", changed, err, wantChanged)
	}
}

func wantStatus(t *testing.T, m *advisory.Manager, f advisory.Freshness, number int64, problem string) {
	t.Helper()
	s := m.Status()
	if s.Freshness != f || s.Generation.Number != number || !strings.Contains(s.Problem, problem) || (problem == "") != (s.Problem == "") {
		t.Errorf("Status: got %s, generation %d, problem %q; want %s, %d, %q", s.Freshness, s.Generation.Number, s.Problem, f, number, problem)
	}
}

func TestManager_generations(t *testing.T) {
	path, l := filepath.Join(t.TempDir(), "live"), &loader{}
	m := newManager(path, t.TempDir(), openStore(t), l)
	first := place(t, path, debianRelease("12", "3.0.17-1"))
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, m, advisory.Fresh, 1, "")
	if s := m.Status(); s.Age != 12*time.Hour || s.Generation.Content != first || s.Summary.Advisories() != 1 {
		t.Errorf("Status: got %+v", s)
	}
	refresh(t, m, false) // nothing changed

	changed := m.Changed()
	second := place(t, path, debianRelease("12", "3.0.17-1~deb12u3")) // rewritten in place
	refresh(t, m, true)
	select {
	case <-changed:
	default:
		t.Error("Changed was not signalled")
	}
	// A rollback is old content under a new number.
	if got := place(t, path, debianRelease("12", "3.0.17-1")); got != first || got == second {
		t.Fatalf("content: got %s, want %s", got, first)
	}
	refresh(t, m, true)
	if diff := cmp.Diff([]int64{1, 2, 3}, l.numbers()); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	if dir, ok := m.Dir(second); !ok {
		t.Errorf("the copy of the former generation is gone: %s", dir)
	}
}

func TestManager_symlink(t *testing.T) {
	root, l := t.TempDir(), &loader{}
	place(t, filepath.Join(root, "a"), debianRelease("12", "1"))
	place(t, filepath.Join(root, "b"), debianRelease("12", "2"))
	for _, dir := range []string{"a", "b"} { // as rsync and tar leave them
		for _, name := range []string{"trivy.db", "metadata.json"} {
			if err := os.Chtimes(filepath.Join(root, dir, name), clock, clock); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(root, "current")
	point := func(to string) {
		t.Helper()
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	point("a")
	m := newManager(link, t.TempDir(), agree.NewOwnStore(now), l)
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	point("b")
	refresh(t, m, true)
	point("a")
	refresh(t, m, true)
	if diff := cmp.Diff([]int64{1, 2, 3}, l.numbers()); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestManager_bad_data: whatever is wrong with the new directory, the former
// generation stays, the status says why, and the next good one is taken.
func TestManager_bad_data(t *testing.T) {
	copiedAt := func(dataDir string) time.Time {
		info, err := os.Stat(filepath.Join(dataDir, "advisories"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	for name, spoil := range map[string]func(dir string) error{
		"truncated": func(dir string) error { return os.Truncate(filepath.Join(dir, "trivy.db"), 9000) },
		"empty":     func(dir string) error { return os.Truncate(filepath.Join(dir, "trivy.db"), 0) },
		"garbage":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "trivy.db"), []byte("hello"), 0o600) },
		"gone":      func(dir string) error { return os.Remove(filepath.Join(dir, "trivy.db")) },
		"all_gone":  os.RemoveAll,
		"too_new": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "metadata.json"), []byte(`{"Version":3,"UpdatedAt":"2026-11-01T00:00:00Z"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, l := filepath.Join(t.TempDir(), "live"), &loader{}
			dataDir := t.TempDir()
			m := newManager(path, dataDir, agree.NewOwnStore(now), l)
			place(t, path, debianRelease("12", "1"))
			if err := m.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			place(t, path, debianRelease("12", "2"))
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			var first time.Time
			for i := range 2 { // the second look copies nothing and says the same
				if i == 1 {
					first = copiedAt(dataDir)
				}
				if changed, err := m.Refresh(t.Context()); !errors.Is(err, gate.ErrInvalid) || changed {
					t.Errorf("Refresh: got %v %v, want ErrInvalid", changed, err)
				}
				wantStatus(t, m, advisory.Fresh, 1, "advisory")
			}
			if got := copiedAt(dataDir); !got.Equal(first) {
				t.Errorf("refused data was copied again at %v, after %v", got, first)
			}
			place(t, path, debianRelease("12", "3"))
			refresh(t, m, true)
			wantStatus(t, m, advisory.Fresh, 2, "")
		})
	}
}

func TestManager_nothing_to_load(t *testing.T) {
	for name, c := range map[string]struct{ path, want string }{
		"no_path": {"", "this process downloads nothing"},
		"missing": {"/nonexistent/advisories", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(c.path, t.TempDir(), agree.NewOwnStore(now), &loader{})
			if err := m.Open(t.Context()); !errors.Is(err, gate.ErrAdvisoriesUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: got %v, want ErrAdvisoriesUnavailable with %q", err, c.want)
			}
			wantStatus(t, m, advisory.Missing, 0, c.want)
		})
	}
}

// TestManager_restart: after a restart the active generation is used from its
// private copy while the operator's directory cannot be.
func TestManager_restart(t *testing.T) {
	path, dataDir, s := filepath.Join(t.TempDir(), "live"), t.TempDir(), openStore(t)
	content := place(t, path, debianRelease("12", "1"))
	if err := newManager(path, dataDir, s, &loader{}).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("same_directory_same_number", func(t *testing.T) {
		m := newManager(path, dataDir, s, &loader{})
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, m, advisory.Fresh, 1, "")
	})
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	t.Run("directory_gone", func(t *testing.T) {
		l := &loader{}
		m := newManager(path, dataDir, s, l)
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, m, advisory.Fresh, 1, "no such file")
		if len(l.loaded) != 1 || l.loaded[0].Content != content {
			t.Errorf("loaded: got %v", l.loaded)
		}
	})
	t.Run("copy_damaged", func(t *testing.T) {
		copied := filepath.Join(dataDir, "advisories", content.Hex(), "trivy.db")
		b, err := os.ReadFile(copied)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1 // outside every page that is used: only the digest tells
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newManager(path, dataDir, s, &loader{})
		if err := m.Open(t.Context()); !errors.Is(err, gate.ErrAdvisoriesUnavailable) {
			t.Errorf("Open: got %v, want ErrAdvisoriesUnavailable", err)
		}
	})
}

// TestManager_loader_fails: the generation is issued, but what runs stays; the
// next look tries again.
func TestManager_loader_fails(t *testing.T) {
	path, l := filepath.Join(t.TempDir(), "live"), &loader{}
	m := newManager(path, t.TempDir(), agree.NewOwnStore(now), l)
	place(t, path, debianRelease("12", "1"))
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	place(t, path, debianRelease("12", "2"))
	l.fail = gate.ErrAdvisoriesUnavailable
	if _, err := m.Refresh(t.Context()); !errors.Is(err, l.fail) {
		t.Errorf("Refresh: got %v", err)
	}
	wantStatus(t, m, advisory.Fresh, 1, "loading advisory data")
	l.fail = nil
	refresh(t, m, true)
	wantStatus(t, m, advisory.Fresh, 2, "")
}

func TestManager_lost_copy(t *testing.T) {
	path, dataDir, l := filepath.Join(t.TempDir(), "live"), t.TempDir(), &loader{}
	m := newManager(path, dataDir, agree.NewOwnStore(now), l)
	content := place(t, path, debianRelease("12", "1"))
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dataDir, "advisories", content.Hex())); err != nil {
		t.Fatal(err)
	}
	refresh(t, m, true) // loaded again, under the same number
	if diff := cmp.Diff([]int64{1, 1}, l.numbers()); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

func TestManager_prunes(t *testing.T) {
	path, dataDir := filepath.Join(t.TempDir(), "live"), t.TempDir()
	m := newManager(path, dataDir, agree.NewOwnStore(now), &loader{})
	foreign := filepath.Join(dataDir, "advisories", "notes")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		place(t, path, debianRelease("12", fmt.Sprint(i+1)))
		refresh(t, m, true)
	}
	entries, err := os.ReadDir(filepath.Join(dataDir, "advisories"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 { // this generation, the one before, the offer, and what is not ours
		t.Errorf("got %v, want two copies, offered.json and notes", entries)
	}
}

func TestManager_stale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live")
	place(t, path, fstest.MapFS{"a.yaml": file("distribution: debian\nrelease: '12'\nupdatedAt: 2026-11-20T00:00:00Z\nadvisories: []\n")})
	m := newManager(path, t.TempDir(), agree.NewOwnStore(now), &loader{})
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, m, advisory.Stale, 1, "") // three and a half days; 48 hours is the limit
	for _, c := range []struct {
		age, maxAge time.Duration
		want        advisory.Freshness
	}{{time.Hour, time.Hour, advisory.Fresh}, {time.Hour + 1, time.Hour, advisory.Stale}, {1e6 * time.Hour, 0, advisory.Fresh}} {
		if got := advisory.FreshnessOf(clock.Add(-c.age), clock, c.maxAge); got != c.want {
			t.Errorf("FreshnessOf(%v, %v): got %s, want %s", c.age, c.maxAge, got, c.want)
		}
	}
}

// TestManager_replicas: two managers with the same data share the number; one
// follows when the other activates the same content anew.
func TestManager_replicas(t *testing.T) {
	s, path := openStore(t), filepath.Join(t.TempDir(), "live")
	other := filepath.Join(t.TempDir(), "other")
	place(t, path, debianRelease("12", "1"))
	la, lb := &loader{}, &loader{}
	a := newManager(path, t.TempDir(), s, la)
	b := newManager(other, t.TempDir(), s, lb)
	place(t, other, debianRelease("12", "1"))
	refresh(t, a, true)
	refresh(t, b, true)
	place(t, other, debianRelease("12", "2"))
	refresh(t, b, true)  // 2
	refresh(t, a, false) // still matches with 1, and its findings are refused where 2's are stored
	place(t, other, debianRelease("12", "1"))
	refresh(t, b, true) // 3
	refresh(t, a, true) // the same content has a new number
	if diff := cmp.Diff([]int64{1, 3}, la.numbers()); diff != "" {
		t.Errorf("a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, lb.numbers()); diff != "" {
		t.Errorf("b (-want +got):\n%s", diff)
	}
}

func TestActivations_race(t *testing.T) {
	s := openStore(t)
	content := func(i int) gate.Digest { return gate.Digest(fmt.Sprintf("sha256:%064x", i)) }
	const racers = 8
	numbers := make([]int64, racers)
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			g, _, err := inForce(s).Activate(t.Context(), agree.Content{Digest: content(i), UpdatedAt: clock}, 0, nil)
			if err != nil {
				t.Error(err)
			}
			numbers[i] = g.Number
		})
	}
	group.Wait()
	seen := map[int64]bool{}
	for _, n := range numbers {
		if n < 1 || n > racers || seen[n] {
			t.Fatalf("numbers: got %v, want 1 to %d, each once", numbers, racers)
		}
		seen[n] = true
	}
	again := inForce(s)
	g, ok, err := again.Active(t.Context())
	if err != nil || !ok || g.Number != racers {
		t.Fatalf("Current: got %v %v %v", g, ok, err)
	}
	if same, _, err := again.Activate(t.Context(), agree.Content{Digest: g.Content, UpdatedAt: clock}, 0, nil); err != nil || !cmp.Equal(same, g, cmp.Exporter(func(reflect.Type) bool { return true })) {
		t.Errorf("activating what is active: got %v %v, want %v", same, err, g)
	}
}

// TestManager_Run: a change is noticed without being told.
func TestManager_Run(t *testing.T) {
	path, l := filepath.Join(t.TempDir(), "live"), &loader{}
	first, second := debianRelease("12", "1"), debianRelease("12", "2")
	synctest.Test(t, func(t *testing.T) {
		m := newManager(path, t.TempDir(), agree.NewOwnStore(now), l)
		place(t, path, first)
		if err := m.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		place(t, path, second)
		time.Sleep(time.Minute) // of the bubble's clock
		if diff := cmp.Diff([]int64{1, 2}, l.numbers()); diff != "" {
			t.Errorf("numbers (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v", err)
		}
	})
}
