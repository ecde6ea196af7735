package advisory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex"
	"github.com/digestgate/digestgate/scanner/advisory/javaindex/javaindextest"
)

// indexOf makes an index of so many archives as of hours after the day before yesterday.
func indexOf(t *testing.T, hours, archives int) string {
	rows := make([]javaindextest.Row, archives)
	for i := range rows {
		rows[i] = javaindextest.Row{Group: "g", Artifact: fmt.Sprint("a", i), Version: "1", SHA1: fmt.Sprintf("%040x", i)}
	}
	return javaindextest.Make(t, clock.Add(time.Duration(hours-48)*time.Hour), rows...)
}

// withIndex has a node ask m for indices of Java archives.
func (n *node) withIndex(m *mirror) { n.JavaMirrors = rooted{m, filepath.Join(n.dir, "advisories")} }

func (n *node) java() *gate.JavaIndex { return n.m.Status().Java }

// kept are the indices that a process has on its disk.
func (n *node) indices(t *testing.T) (dirs []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.dir, "advisories", "java"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		dirs = append(dirs, e.Name())
	}
	return dirs
}

// TestIndexComesByItself: the database comes first and the index after it, as a generation
// of its own with the same database; a newer database keeps the index, a newer index the
// database; another process has both from the first one; and what is hollow or cannot be
// had keeps no newer advisories back.
func TestIndexComesByItself(t *testing.T) {
	p := newPlant(t)
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	java.fail(fmt.Errorf("no route: %w", gate.ErrRegistryUnavailable))
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a, b := p.node("", true), p.node("", false)
	a.withIndex(java)

	a.turn(t)
	first := a.want(t, "the database alone", 1, "no newer index of Java archives could be had, tried 1 times: no route")
	if a.java() != nil || p.status().JavaRefresh == nil {
		t.Fatalf("status %+v", p.status())
	}
	a.turn(t) // too early
	if asked, _ := java.counts(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}

	one := indexOf(t, 24, 100)
	java.offer(one)
	p.clock.move(time.Minute)
	a.turn(t)
	second := a.want(t, "with an index", 2, "")
	if j := a.java(); j == nil || j.Archives != 100 || second.Content == first.Content || !second.UpdatedAt.Equal(first.UpdatedAt) {
		t.Fatalf("index %+v of %+v", j, second)
	}
	dir, _ := a.m.Dir(second.Content)
	if place, ok, err := advisory.JavaDir(dir); err != nil || !ok {
		t.Errorf("the generation names no index: %v", err)
	} else if _, err := os.Stat(filepath.Join(place, javaindex.File)); err != nil {
		t.Error(err)
	}
	if asked, downloads := p.mirror.counts(); asked != 1 || downloads != 1 {
		t.Errorf("the database was asked for %d times and downloaded %d times", asked, downloads)
	}

	b.turn(t)
	if got := b.want(t, "the other process", 2, ""); got.Content != second.Content || b.java() == nil {
		t.Errorf("got %+v", got)
	}

	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	p.clock.move(6 * time.Hour)
	a.turn(t)
	b.turn(t)
	third := a.want(t, "a newer database", 3, "")
	if a.java() == nil || third.Content == second.Content || b.want(t, "the other process", 3, "").Content != third.Content {
		t.Errorf("index %+v of %+v", a.java(), third)
	}
	if _, downloads := java.counts(); downloads != 1 {
		t.Errorf("the index was downloaded %d times", downloads)
	}

	java.offer(indexOf(t, 36, 20)) // hollow
	p.clock.move(6 * time.Hour)
	a.turn(t)
	a.want(t, "a hollow index", 3, "it has 20 archives, 100 are in force")
	java.offer(indexOf(t, 20, 100)) // older
	p.clock.move(6 * time.Hour)
	a.turn(t)
	a.want(t, "an older index", 3, "older than the index in force")
	java.offer(indexOf(t, 40, 110))
	p.clock.move(6 * time.Hour)
	a.turn(t)
	b.turn(t)
	a.want(t, "a newer index", 4, "")
	if j := b.java(); b.want(t, "the other process", 4, "").Content == third.Content || j == nil || j.Archives != 110 {
		t.Errorf("index %+v", j)
	}
	if n := len(a.indices(t)); n != 2 {
		t.Errorf("%d indices are kept, want that in force and the one before", n)
	}

	// A rollback has the former index again, and a restart loads what is in force.
	if _, err := p.desk().Rollback(t.Context(), "me", "a test"); err != nil {
		t.Fatal(err)
	}
	a.turn(t)
	if j := a.java(); j == nil || j.Archives != 100 {
		t.Errorf("after a rollback: %+v", j)
	}
	again := p.node(a.dir, true)
	if j := again.java(); j == nil || j.Archives != 100 {
		t.Errorf("after a restart: %+v, %+v", j, again.m.Status())
	}
}

// TestIndexIsLost: a process whose index has gone gets it again.
func TestIndexIsLost(t *testing.T) {
	p := newPlant(t)
	java := &mirror{t: t, own: true, java: true, known: map[gate.Digest]string{}}
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	java.offer(indexOf(t, 24, 100))
	a := p.node("", true)
	a.withIndex(java)
	a.turn(t)
	a.want(t, "with an index", 2, "")
	if err := os.RemoveAll(filepath.Join(a.dir, "advisories", "java")); err != nil {
		t.Fatal(err)
	}
	again := p.node(a.dir, true)
	again.withIndex(java)
	again.turn(t)
	again.turn(t)
	if j := again.java(); j == nil || len(again.indices(t)) != 1 {
		t.Errorf("got %+v, %+v", j, again.m.Status())
	}
}

// TestIndexAtAPath: an index in a directory is taken with the database in another, and
// with what comes from repositories; a newer one replaces it, and a damaged one is told of.
func TestIndexAtAPath(t *testing.T) {
	index := indexOf(t, 24, 10)
	c := advisory.Default()
	c.Path, c.Java.Path = data(t, 24, map[string]string{"12": "1"}), index
	loaded := &loader{}
	dir := t.TempDir()
	m := advisory.NewManager(advisory.Options{Config: c, DataDir: dir, Loader: loaded, Now: func() time.Time { return clock }})
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := m.Status()
	if first.Java == nil || first.Java.Archives != 10 || first.Problem != "" || len(first.Notes) > 0 {
		t.Fatalf("status %+v", first)
	}
	if changed, err := m.Refresh(t.Context()); err != nil || changed {
		t.Errorf("nothing is new: %v, %v", changed, err)
	}
	if err := os.WriteFile(filepath.Join(index, javaindex.File), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Refresh(t.Context()); err != nil || changed {
		t.Errorf("a damaged index: %v, %v", changed, err)
	}
	if st := m.Status(); st.Java == nil || !strings.Contains(strings.Join(st.Notes, "\n"), "advisories.java.path cannot be used") {
		t.Errorf("status %+v", st)
	}
	for _, name := range []string{javaindex.File, "metadata.json"} {
		b, err := os.ReadFile(filepath.Join(indexOf(t, 30, 12), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(index, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if changed, err := m.Refresh(t.Context()); err != nil || !changed {
		t.Errorf("a newer index: %v, %v", changed, err)
	}
	if st := m.Status(); st.Java == nil || st.Java.Archives != 12 || st.Generation.Content == first.Generation.Content || len(st.Notes) > 0 {
		t.Errorf("status %+v", st)
	}

	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n := p.nodeWith("", true, func(c *advisory.Config) { c.Java.Path = index })
	n.turn(t)
	if _, err := n.m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.turn(t)
	if j := n.java(); j == nil || j.Archives != 12 {
		t.Errorf("with a database from a repository: %+v", n.m.Status())
	}
}
