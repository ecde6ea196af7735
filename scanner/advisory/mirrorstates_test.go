package advisory_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// stated is a mirror that tells how its repositories are.
type stated struct {
	advisory.Mirrors
	states func() []gate.AdvisoryMirror
}

func (s stated) States() []gate.AdvisoryMirror { return s.states() }

// TestMirrorsState: how each repository is, is known to every process, also after another
// one has asked, and is a note while another repository works.
func TestMirrorsState(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	a, b := p.node("", true), p.node("", true)
	at, rests := p.clock.now(), p.clock.now().Add(time.Hour)
	a.Mirrors = stated{a.Mirrors, func() []gate.AdvisoryMirror {
		return []gate.AdvisoryMirror{
			{Repository: "one", State: "resting", AskedAt: at, FailedAt: at, LastError: "503 from one", RestsUntil: rests, Failures: 3},
			{Repository: "two", State: "ok", AskedAt: at, WorkedAt: at},
		}
	}}
	a.turn(t)
	b.turn(t)
	for name, n := range map[string]*node{"asked": a, "other": b} {
		n.want(t, name, 1, "the repository one could not be used 3 times in a row, last at "+at.Format(time.RFC3339)+": 503 from one; it is not asked until "+rests.Format(time.RFC3339))
	}
	later := p.clock.now().Add(6 * time.Hour)
	b.Mirrors = stated{b.Mirrors, func() []gate.AdvisoryMirror {
		return []gate.AdvisoryMirror{
			{Repository: "one", State: "ok", AskedAt: later, WorkedAt: later},
			{Repository: "two", State: "unasked"},
		}
	}}
	p.clock.move(6 * time.Hour)
	b.Turn(t.Context())
	got := p.status().Mirrors
	if len(got) != 2 || got[0].LastError != "503 from one" || !got[0].FailedAt.Equal(at) || !got[0].WorkedAt.Equal(later) || got[0].Fails() || got[1].State != "ok" || !got[1].WorkedAt.Equal(at) {
		t.Errorf("another process asked: %+v", got)
	}
	b.Tell(t.Context())
	b.want(t, "all work", 1, "")
}

// reads counts what is read of a store.
type reads struct {
	agree.Store
	settings, clock atomic.Int64
}

func (r *reads) Setting(ctx context.Context, name string) ([]byte, int64, error) {
	r.settings.Add(1)
	return r.Store.Setting(ctx, name)
}

func (r *reads) Now(ctx context.Context) (time.Time, error) {
	r.clock.Add(1)
	return r.Store.Now(ctx)
}

// TestIdleReads: a process with nothing to do reads the clock once in each tick, and each
// setting once.
func TestIdleReads(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 24, map[string]string{"12": "1"}))
	n := p.node("", true)
	n.turn(t)
	n.Tell(t.Context())
	counted := &reads{Store: p.store}
	n.Store = counted
	n.Tick(t.Context())
	if settings, clock := counted.settings.Load(), counted.clock.Load(); settings != 2 || clock != 1 {
		t.Errorf("an idle tick reads %d settings and the clock %d times, want 2 and 1", settings, clock)
	}
}

// TestPathAndPeers: a process with data of its own at advisories.path uses what is in force
// if another one gives it the files.
func TestPathAndPeers(t *testing.T) {
	p := newPlant(t)
	p.mirror.offer(data(t, 30, map[string]string{"12": "2"}))
	a := p.node("", true)
	a.turn(t)
	newer := a.want(t, "downloads", 1, "")
	b := p.node("", false)
	c := advisory.Default()
	c.Path = data(t, 24, map[string]string{"12": "1"})
	b.m = advisory.NewManager(advisory.Options{Config: c, DataDir: b.dir, Store: p.store, Loader: b.loaded, Now: p.clock.now, Process: "path"})
	b.Manager = b.m
	if err := b.m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g := b.m.Status().Generation; g.Content == newer.Content {
		t.Fatal("the path has the data in force")
	}
	b.Turn(t.Context())
	b.m.Follow(t.Context())
	if st := b.m.Status(); st.Generation.Content != newer.Content || st.Generation.Number != 1 || !strings.Contains(fmt.Sprint(st.Problem), "is not in use") {
		t.Errorf("status %+v", st)
	}
}
