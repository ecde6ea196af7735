package advisory_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/store/sqlite"
)

// TestMain is the tests, or a process that takes data into use and is killed in the
// middle.
func TestMain(m *testing.M) {
	if at := os.Getenv("ADVISORY_TEST_KILLED_AT"); at != "" {
		if dir := os.Getenv("ADVISORY_TEST_COMPOSE"); dir != "" {
			n, _ := strconv.Atoi(at) // 0 is never reached
			os.Exit(composeAndDie(dir, n))
		}
		os.Exit(takeAndDie(at))
	}
	os.Exit(m.Run())
}

// takeAndDie takes what is at path into use like a server, and is killed before step at.
func takeAndDie(at string) int {
	dir := os.Getenv("ADVISORY_TEST_DIR")
	number, err := strconv.Atoi(at)
	if err != nil {
		return 3
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "s.db"), sqlite.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	m := newManager(filepath.Join(dir, "live"), filepath.Join(dir, "data"), s, &loader{})
	steps := 0
	m.OnStep(func(name string) {
		if steps++; steps == number {
			fmt.Println(name)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	})
	if err := m.Open(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	fmt.Println("took", m.Status().Generation.Content)
	return 0
}

// crashed is a data directory in which one generation is in force, with newer data at
// path.
type crashed struct {
	t          *testing.T
	dir        string
	old, newer gate.Digest
}

func newCrashed(t *testing.T) *crashed {
	c := &crashed{t: t, dir: t.TempDir()}
	c.old = placeAt(t, filepath.Join(c.dir, "live"), "1", 1)
	s := c.store()
	if err := newManager(filepath.Join(c.dir, "live"), filepath.Join(c.dir, "data"), s, &loader{}).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.newer = placeAt(t, filepath.Join(c.dir, "live"), "2", 2)
	return c
}

func (c *crashed) store() *sqlite.Store {
	c.t.Helper()
	s, err := sqlite.Open(c.t.Context(), filepath.Join(c.dir, "s.db"), sqlite.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// kill runs the process and says before which step it was killed, "" when it came to its
// end.
func (c *crashed) kill(before int) (step string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprint("ADVISORY_TEST_KILLED_AT=", before), "ADVISORY_TEST_DIR="+c.dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(string(out), "took "+string(c.newer)):
		return ""
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return strings.TrimSpace(string(out))
	}
	c.t.Fatalf("killed before step %d: %v\n%s", before, err, out)
	return ""
}

// TestKilledAtEachStep: a process that is killed with SIGKILL, at whatever step, leaves
// a generation that the next one uses without the operator's directory, and the next
// look brings the newer one.
func TestKilledAtEachStep(t *testing.T) {
	var steps []string
	for n := 1; ; n++ {
		c := newCrashed(t)
		step := c.kill(n)
		if step == "" {
			break
		}
		steps = append(steps, step)
		s := c.store()
		path := filepath.Join(c.dir, "live")
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		m := newManager(path, filepath.Join(c.dir, "data"), s, &loader{})
		if err := m.Open(t.Context()); err != nil {
			t.Errorf("killed before %q: nothing is usable: %v", step, err)
		}
		got := m.Status().Generation
		if active, ok, err := inForce(s).Active(t.Context()); err != nil || !ok || got.Content != active.Content || got.Number != active.Number {
			t.Errorf("killed before %q: in use is %d %s; in force %d %s, %v", step, got.Number, got.Content.Short(), active.Number, active.Content.Short(), err)
		}
		if got.Content != c.old && got.Content != c.newer {
			t.Errorf("killed before %q: in use is %s", step, got.Content)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Refresh(t.Context()); err != nil || m.Status().Generation.Content != c.newer {
			t.Errorf("killed before %q: the newer data is not used: %+v, %v", step, m.Status(), err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	want := "copy trivy.db, copy metadata.json, check, write manifest, remove damaged, rename, sync, activate, load"
	if got := strings.Join(steps, ", "); !strings.HasPrefix(got, want) {
		t.Errorf("killed before %s; want each of %s", got, want)
	}
}

// TestUnfinishedIsRemoved: what a killed process leaves is removed when it is old.
func TestUnfinishedIsRemoved(t *testing.T) {
	c := newCrashed(t)
	if step := c.kill(3); step != "check" {
		t.Fatalf("killed before %q", step)
	}
	unfinished := func() []string {
		list, err := filepath.Glob(filepath.Join(c.dir, "data", "advisories", ".import-*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if len(unfinished()) != 1 {
		t.Fatalf("got %v, want what was being copied", unfinished())
	}
	for _, dir := range unfinished() {
		if err := os.Chtimes(dir, clock.Add(-2*time.Hour), clock.Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s := c.store()
	defer s.Close()
	if err := newManager(filepath.Join(c.dir, "live"), filepath.Join(c.dir, "data"), s, &loader{}).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(unfinished()) != 0 {
		t.Errorf("%v is still there", unfinished())
	}
}

// TestDiskIsFull: data that does not fit is not begun, and the text says how much room
// it needs; what is in force stays.
func TestDiskIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live")
	m := newManager(path, t.TempDir(), agree.NewOwnStore(now), &loader{})
	place(t, path, debianRelease("12", "1"))
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	place(t, path, debianRelease("12", "2"))
	m.OnFree(func(string) (int64, bool) { return 64 << 20, true })
	if _, err := m.Refresh(t.Context()); !errors.Is(err, gate.ErrResource) || !strings.Contains(err.Error(), "make room for") {
		t.Errorf("got %v, want ErrResource and how much room is needed", err)
	}
	wantStatus(t, m, advisory.Fresh, 1, "there are 64")
	m.OnFree(func(string) (int64, bool) { return 1 << 40, true })
	refresh(t, m, true)
	wantStatus(t, m, advisory.Fresh, 2, "")
}

// TestClockBackADay: data that was accepted stays usable after a restart on a machine
// whose clock was put back, and counts as stale where its time is in the future.
func TestClockBackADay(t *testing.T) {
	path, data, s := filepath.Join(t.TempDir(), "live"), t.TempDir(), openStore(t)
	content := placeAt(t, path, "1", 99)
	if err := newManager(path, data, s, &loader{}).Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := newManager(path, data, s, &loader{}, func(o *advisory.Options) {
		o.Now = func() time.Time { return clock.Add(-48 * time.Hour) }
	})
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := m.Status(); st.Generation.Content != content || st.Generation.Number != 1 || st.Freshness != advisory.Stale || !strings.Contains(st.Problem, "in the future") {
		t.Errorf("got %+v", st)
	}
}

// TestWhatIsInForceIsFollowed: what was put in force elsewhere is used where its files are kept,
// also instead of the data at path, and also while that cannot be read.
func TestWhatIsInForceIsFollowed(t *testing.T) {
	s := openStore(t)
	r := newReplica(t, s)
	older := placeAt(t, r.path, "1", 1)
	r.start()
	newer := placeAt(t, r.path, "2", 2)
	r.look()
	r.want("newer data", newer, 2, 2)
	back := func() {
		t.Helper()
		if _, _, err := inForce(s).Activate(t.Context(), agree.Content{Digest: older, UpdatedAt: clock.Add(-99 * time.Hour)}, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	back()
	r.Follow(t.Context())
	if st := r.Status(); st.Generation.Number != 3 || st.Generation.Content != older || st.Elsewhere.Number != 0 || !strings.Contains(st.Problem, "was put in force instead") {
		t.Errorf("after a rollback: %+v", st)
	}
	for range 2 {
		r.look()
		r.start()
	}
	if g := r.Status().Generation; g.Number != 3 {
		t.Errorf("the newer data came back as %d", g.Number)
	}
	newest := placeAt(t, r.path, "3", 3)
	r.look()
	r.want("still newer data", newest, 4, 4)
	if err := os.Truncate(filepath.Join(r.path, "trivy.db"), 9000); err != nil {
		t.Fatal(err)
	}
	back()
	if _, err := r.Refresh(t.Context()); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if g := r.Status().Generation; g.Number != 5 || g.Content != older {
		t.Errorf("with unusable data at path: in use is %+v", g)
	}
}
