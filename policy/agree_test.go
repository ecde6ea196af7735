package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/digestgate/digestgate/gate"
)

func TestChangeOfOneIsForAll(t *testing.T) {
	s := newShared(t)
	a, b := s.process("a", "one").mustStart(), s.process("b", "one").mustStart()
	b.want("same files, other places", "one", 1, false)
	a.write("two")
	a.want("changed here", "two", 2, false)
	if err := b.Follow(context.Background()); err != nil || b.says() != "two" || b.Revision() != a.Revision() {
		t.Errorf("b says %q, %v", b.says(), err)
	}
	b.want("changed elsewhere", "two", 2, true)
	if st := b.Status(); st.By != "a" || !strings.Contains(st.Differs, "were in force last as activation 1") || !strings.Contains(st.Differs, "by a at") {
		t.Errorf("status of b: %+v", st)
	}
	if n := strings.Count(b.said.String(), "the policy files here are not those in force"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &b.said)
	}
	b.write("two")
	b.want("files follow", "two", 2, false)
	a.write("one")
	a.want("rolled back", "one", 3, false)
	b.want("rolled back elsewhere", "one", 3, true)
}

func TestRestartIsNoChange(t *testing.T) {
	s := newShared(t)
	a, b := s.process("a", "one").mustStart(), s.process("b", "one").mustStart()
	a.write("two")
	a.want("changed", "two", 2, false)
	for _, remembers := range []bool{true, false} {
		if !remembers {
			b.forget()
		}
		if err := b.start(); err != nil {
			t.Fatal(err)
		}
		b.want(fmt.Sprint("restarted with old files, remembers ", remembers), "two", 2, true)
	}
	// While it was down its files were changed.
	a.write("one")
	if err := a.start(); err != nil {
		t.Fatal(err)
	}
	a.want("rolled back while it was down", "one", 3, false)
	b.forget()
	b.write("three")
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	b.want("a new process with new files", "three", 4, false)
	// Of a new process alone one cannot tell a way back from a lag.
	b.forget()
	b.write("two")
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	b.want("a new process with former files", "three", 4, true)
}

// TestLateFiles: a ConfigMap that reaches one node later brings nothing back.
func TestLateFiles(t *testing.T) {
	s := newShared(t)
	a, late, later := s.process("a", "one").mustStart(), s.process("late", "one").mustStart(), s.process("later", "one").mustStart()
	for i, word := range []string{"two", "three", "two"} {
		a.write(word)
		a.want("forwards", word, int64(i+2), false)
	}
	late.write("two")
	late.want("two is in force again", "two", 4, false)
	later.write("three")
	later.want("late", "two", 4, true)
	late.write("three") // it has missed three in between
	late.want("back to three, which came after two before", "three", 5, false)
	a.write("three")
	a.want("", "three", 5, false)
	late.write("two")
	s.now = s.now.Add(10 * time.Minute)
	late.want("after long", "two", 6, false)
}

// TestFilesSettle: files that have agreed with what is in force for ten minutes
// are those of that activation, so that former ones are a way back from it;
// before, they may be late.
func TestFilesSettle(t *testing.T) {
	s := newShared(t)
	a, hasty, settled := s.process("a", "one").mustStart(), s.process("hasty", "one").mustStart(), s.process("settled", "one").mustStart()
	a.write("two")
	a.want("forwards", "two", 2, false)
	a.write("one")
	a.want("back", "one", 3, false)
	hasty.want("unchanged", "one", 3, false)
	hasty.write("two")
	hasty.want("late or a way back", "one", 3, true)
	settled.want("unchanged", "one", 3, false)
	s.now = s.now.Add(10 * time.Minute)
	settled.want("unchanged for long", "one", 3, false)
	settled.write("two")
	settled.want("a way back", "two", 4, false)
}

// TestObserving: a command that asks decides by what is in force, or by its files
// where nothing is, and changes nothing.
func TestObserving(t *testing.T) {
	s := newShared(t)
	o := s.process("o", "mine")
	o.observe = true
	o.mustStart()
	if got := o.says(); got != "mine" || s.active().Number != 0 {
		t.Errorf("with nothing in force: it says %q, activation %d", got, s.active().Number)
	}
	a := s.process("a", "one").mustStart()
	if got := o.mustStart().says(); got != "one" || s.active().Number != 1 {
		t.Errorf("it says %q, activation %d", got, s.active().Number)
	}
	a.want("undisturbed", "one", 1, false)
}

// TestNobodyFights: two deployments with different files do not replace each
// other's for ever, whoever restarts.
func TestNobodyFights(t *testing.T) {
	s := newShared(t)
	one, two := s.process("one", "one").mustStart(), s.process("two", "two").mustStart()
	for range 5 {
		for _, p := range []*process{one, two} {
			p.forget()
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
			p.want("restarted", "two", 2, p == one)
			s.now = s.now.Add(time.Hour)
		}
	}
}

// TestLostActivation: what the store has lost, or somebody has put back, is
// restored by whoever knows it.
func TestLostActivation(t *testing.T) {
	s := newShared(t)
	a, b := s.process("a", "one").mustStart(), s.process("b", "one").mustStart()
	earlier := s.store.put(nil)
	s.store.put(earlier)
	a.write("two")
	a.want("changed", "two", 2, false)
	b.want("followed", "two", 2, true)
	present := s.active()
	for name, value := range map[string][]byte{"deleted": nil, "put_back": earlier} {
		s.store.put(value)
		b.want(name, "two", 2, true)
		if got := s.active(); got.Number != 2 || got.Content != present.Content || got.By != "a" {
			t.Errorf("%s: in force is %d by %s", name, got.Number, got.By)
		}
		s.store.put(value)
		if err := b.start(); err != nil {
			t.Fatal(err)
		}
		b.want(name+" while it was down", "two", 2, true)
		// A process with nothing but its files, which come after what was put back.
		s.store.put(value)
		a.forget()
		if err := a.start(); err != nil {
			t.Fatal(err)
		}
		if a.says() != "two" {
			t.Errorf("%s, nothing remembered: says %q", name, a.says())
		}
		s.store.put(nil)
		b.want(name+" in the end", "two", 2, true)
		a.want(name+" in the end", "two", 2, false)
	}
	if b.live.Member().Restored() == 0 || !strings.Contains(b.said.String(), "they were put back") {
		t.Errorf("%d times restored, log:\n%s", b.live.Member().Restored(), &b.said)
	}
}

// TestForeignFormat: what a newer version has stored is neither overwritten nor
// a reason to allow.
func TestForeignFormat(t *testing.T) {
	s := newShared(t)
	a := s.process("a", "one").mustStart()
	s.store.put([]byte(`{"format":2,"number":7}`))
	a.write("two")
	if err := a.Reload(context.Background()); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("got %v", err)
	}
	if st := a.Status(); a.says() != "one" || !strings.Contains(st.Behind, "format 2") {
		t.Errorf("says %q, status %+v", a.says(), st)
	}
	if value, _, err := s.store.Setting(t.Context(), ""); err != nil || !strings.Contains(string(value), `"number":7`) {
		t.Errorf("the store has %s, %v", value, err)
	}
	if err := a.start(); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("started anew: got %v", err)
	}
}

// TestSetThatDoesNotLoad: the former set stays where the one in force does not
// load, and nothing starts without one.
func TestSetThatDoesNotLoad(t *testing.T) {
	s := newShared(t)
	a := s.process("a", "one").mustStart()
	newer := NewActivations(s.store, "newer", "v2")
	activate := func(files []File) int64 {
		t.Helper()
		active, err := newer.Activate(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		return active.Number
	}
	n := activate(denying(`"of the future" if input.future`))
	for range 3 {
		if err := a.Follow(t.Context()); !errors.Is(err, gate.ErrConflict) {
			t.Errorf("Follow: got %v", err)
		}
	}
	st := a.Status()
	if a.says() != "one" || st.Activation != 1 || !strings.Contains(st.Behind, fmt.Sprintf("activation %d", n)) || !strings.Contains(st.Behind, "input.future") {
		t.Errorf("says %q, status %+v", a.says(), st)
	}
	if n := strings.Count(a.said.String(), "the policies in force do not load"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &a.said)
	}
	if err := s.process("b", "one").start(); !errors.Is(err, gate.ErrConflict) || !strings.Contains(err.Error(), "digestgate policy activate") {
		t.Errorf("a new process: got %v", err)
	}
	// What another version has tried is tried here too.
	refusal := errors.New("eats memory here")
	a.trial = func(_ context.Context, files []File) (Problems, error) {
		if strings.Contains(files[0].Text, "hungry") {
			return nil, refusal
		}
		return nil, nil
	}
	activate(denying(`"one"`))
	if err := a.start(); err != nil {
		t.Fatal(err)
	}
	activate(denying(`"hungry"`))
	if err := a.Follow(t.Context()); !strings.Contains(fmt.Sprint(err), refusal.Error()) || a.says() != "one" {
		t.Errorf("says %q, got %v", a.says(), err)
	}
	refusal = nil
	if err := a.Follow(t.Context()); err == nil {
		t.Error("the trial was asked again at once")
	}
	s.now = s.now.Add(retryRefused)
	if err := a.Follow(t.Context()); err != nil || a.says() != "hungry" {
		t.Errorf("after %s: says %q, %v", retryRefused, a.says(), err)
	}
	activate(denying(`"of the future" if input.future`))
	// A change of the files here is a way out.
	a.write("three")
	a.want("changed here", "three", 6, false)
}

// TestStoreIsAway: what is in use stays, a change waits.
func TestStoreIsAway(t *testing.T) {
	s := newShared(t)
	a := s.process("a", "one").mustStart()
	s.store.away.Store(true)
	if err := a.Follow(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || len(a.Status().Problems()) != 0 {
		t.Errorf("got %v, problems %q", err, a.Status().Problems())
	}
	a.write("two")
	for range 2 {
		if err := a.Reload(t.Context()); !errors.Is(err, gate.ErrStoreUnavailable) || a.says() != "one" || a.Status().Waits == "" {
			t.Errorf("says %q, %v, status %+v", a.says(), err, a.Status())
		}
	}
	if n := strings.Count(a.said.String(), "it is not known which policies are in force"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &a.said)
	}
	if err := s.process("b", "one").start(); !errors.Is(err, gate.ErrStoreUnavailable) {
		t.Errorf("a new process: got %v", err)
	}
	s.store.away.Store(false)
	if err := a.Follow(t.Context()); err != nil || a.says() != "two" || a.Status().Waits != "" {
		t.Errorf("the store is back: says %q, %v, status %+v", a.says(), err, a.Status())
	}
}

// TestBrokenFilesHere: what others put in force goes on being followed.
func TestBrokenFilesHere(t *testing.T) {
	s := newShared(t)
	a, b := s.process("a", "one").mustStart(), s.process("b", "one").mustStart()
	write(t, b.files, denying("input.nonsense")...)
	if err := b.Reload(t.Context()); err == nil {
		t.Error("no error")
	}
	a.write("two")
	a.want("changed", "two", 2, false)
	if err := b.Reload(t.Context()); !strings.Contains(fmt.Sprint(err), "input.nonsense") || b.says() != "two" || b.Status().Error == "" {
		t.Errorf("says %q, %v, status %+v", b.says(), err, b.Status())
	}
	if err := b.start(); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("started with broken files: got %v", err)
	}
	// The trial of a set does not keep a revocation waiting.
	trying, tried := make(chan struct{}), make(chan struct{})
	b.write("one")
	b.trial = func(context.Context, []File) (Problems, error) { return nil, nil }
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	b.options.Trial = func(context.Context, []File) (Problems, error) { close(trying); <-tried; return nil, errors.New("no") }
	b.write("four")
	var reloading sync.WaitGroup
	reloading.Go(func() { _ = b.Reload(context.Background()) })
	<-trying
	a.write("three")
	a.want("changed", "three", 3, false)
	if err := b.Follow(t.Context()); err != nil || b.says() != "three" {
		t.Errorf("during a trial: says %q, %v", b.says(), err)
	}
	close(tried)
	reloading.Wait()
}

// TestUpdatesConverge rolls out changes in any order, late, with processes that
// restart with and without what they remember, and with what the store loses:
// in the end, when all files are the last ones, they are in force; and as long
// as no files come twice, nothing that was replaced is ever in force again.
// Each version is in force before the next one exists: of one that nobody had
// seen it cannot be known that it is old.
func TestUpdatesConverge(t *testing.T) {
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		if histories++; histories > 12 {
			return // each compiles many times
		}
		s := newShared(t)
		versions := 1
		have := []int{0, 0, 0}
		var all []*process
		for i := range have {
			all = append(all, s.process(fmt.Sprint(i), "v0").mustStart())
		}
		newest := 0 // that was ever in force
		check := func(rt *rapid.T) {
			var v int
			files, err := filesOf(s.active())
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := fmt.Sscanf(files[0].Text[strings.Index(files[0].Text, `"v`):], `"v%d"`, &v); err != nil {
				rt.Fatal(err)
			}
			if v < newest {
				rt.Fatalf("v%d is in force after v%d", v, newest)
			}
			newest = v
		}
		which := rapid.IntRange(0, len(all)-1)
		rt.Repeat(map[string]func(*rapid.T){
			"change": func(rt *rapid.T) {
				if newest == versions-1 {
					versions++
				}
			},
			"files": func(rt *rapid.T) {
				i := which.Draw(rt, "process")
				have[i] = min(have[i]+rapid.IntRange(1, 3).Draw(rt, "further"), versions-1)
				all[i].write(fmt.Sprint("v", have[i]))
			},
			"look": func(rt *rapid.T) { _ = all[which.Draw(rt, "process")].Reload(context.Background()) },
			"restart": func(rt *rapid.T) {
				p := all[which.Draw(rt, "process")]
				if rapid.Bool().Draw(rt, "forgets") {
					p.forget()
				}
				if err := p.start(); err != nil {
					rt.Fatal(err)
				}
			},
			"loss": func(rt *rapid.T) {
				s.store.put(nil)
				for _, p := range all { // within the second; whoever comes first
					if err := p.Follow(context.Background()); err != nil {
						rt.Fatal(err)
					}
				}
			},
			"time": func(*rapid.T) { s.now = s.now.Add(10 * time.Minute / 2) },
			"":     check,
		})
		for i, p := range all {
			p.write(fmt.Sprint("v", versions-1))
			have[i] = versions - 1
			if err := p.Reload(context.Background()); err != nil {
				rt.Fatal(err)
			}
			check(rt)
		}
		for _, p := range all {
			if err := p.Follow(context.Background()); err != nil || p.says() != fmt.Sprint("v", versions-1) || p.Status().Differs != "" {
				rt.Fatalf("%s says %q of v%d, %v, %q", p.name, p.says(), versions-1, err, p.Status().Differs)
			}
		}
	})
}
