package agreetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
)

type testCase struct {
	name string
	run  func(*env)
}

var cases = []testCase{
	{"a_change_of_one_is_for_all", func(e *env) {
		a, b := e.process("a"), e.process("b")
		a.finds("first", 1, 1, 1)
		b.finds("the same", 1, 1, 1)
		a.finds("changed here", 2, 2, 2)
		for range 2 {
			b.finds("changed elsewhere", 1, 2, 2)
		}
		e.said(b, e.h.Kind.Words.Messages.Differs, 1)
		e.process("c").finds("finds nothing", 0, 2, 2)
		if view := b.finds("ours", 1, 2, 2); view.Ours != 1 || view.Active.By != "a" || view.Active.Program != "v1" || !view.Active.ActivatedAt.Equal(e.clock.now()) {
			e.Errorf("got %+v", view)
		}
		b.finds("follows", 2, 2, 2)
		e.said(a, e.h.Kind.Words.Messages.Activated, 2)
		e.said(b, e.h.Kind.Words.Messages.Activated, 0)
		e.wantInForce("in the end", 2, 2)
	}},
	{"a_restart_is_no_change", func(e *env) {
		a, b := e.process("a"), e.process("b")
		a.finds("first", 1, 1, 1)
		b.finds("first", 1, 1, 1)
		a.finds("changed", 2, 2, 2)
		for range 2 {
			b.start()
			b.finds("restarted with old content", 1, 2, 2)
		}
		b.forget()
		b.finds("a new process with old content", 1, 2, 2)
		b.forget()
		b.finds("a new process with new content", 3, 3, 3)
		a.start()
		a.finds("the other one restarts", 2, 3, 3)
	}},
	{"a_way_back", func(e *env) {
		a, b := e.process("a"), e.process("b")
		for n := range 2 {
			a.finds("forwards", n+1, n+1, int64(n+1))
			b.finds("forwards", n+1, n+1, int64(n+1))
		}
		a.finds("rolled back while it runs", 1, 1, 3)
		b.finds("not yet rolled back", 2, 1, 3)
		b.finds("rolled back too", 1, 1, 3)
		a.finds("forwards again", 3, 3, 4)
		a.start()
		a.finds("rolled back between two runs", 1, 1, 5)
	}},
	{"late_content", func(e *env) {
		a, late := e.process("a"), e.process("late")
		a.finds("first", 1, 1, 1)
		late.finds("first", 1, 1, 1)
		for _, n := range []int{2, 3} {
			a.finds("forwards", n, n, int64(n))
		}
		late.finds("reaches it late", 2, 3, 3)
		a.finds("nothing came back", 3, 3, 3)
		late.finds("caught up", 3, 3, 3)
	}},
	{"nobody_fights", func(e *env) {
		one, two := e.process("one"), e.process("two")
		one.finds("first", 1, 1, 1)
		two.finds("second", 2, 2, 2)
		for range 5 {
			one.forget()
			one.finds("restarted", 1, 2, 2)
			two.forget()
			two.finds("restarted", 2, 2, 2)
			e.clock.advance(time.Hour)
		}
	}},
	{"what_may_stay_does_not_come_back", func(e *env) {
		a := e.process("a")
		a.finds("first", 1, 1, 1)
		stays := e.h.Content(2)
		stays.Stays = true
		view, err := a.Look(e.Context(), &stays)
		if err != nil || view.Active.Number != 1 || !view.Differs {
			e.Errorf("got %+v, %v", view, err)
		}
		e.process("b").finds("another one finds it", 2, 2, 2)
		if view, err = a.Look(e.Context(), &stays); err != nil || view.Active.Number != 2 || view.Differs {
			e.Errorf("got %+v, %v", view, err)
		}
	}},
	{"lost_while_it_runs", func(e *env) { e.losing(false) }},
	{"lost_while_it_was_down", func(e *env) { e.losing(true) }},
	{"what_came_later_is_not_replaced_by_what_was_lost", func(e *env) {
		a := e.process("a")
		first := a.finds("first", 1, 1, 1).Active
		a.finds("second", 2, 2, 2)
		active, restored, err := a.Activations.Restore(e.Context(), first)
		if err != nil || restored || active.Number != 2 || active.Content != e.h.Content(2).Digest {
			e.Errorf("got number %d, restored %t, %v", active.Number, restored, err)
		}
		e.wantInForce("as before", 2, 2)
	}},
	{"put_back_by_another", func(e *env) {
		if !e.h.Kind.PutBack {
			return
		}
		a, b := e.process("a"), e.process("b")
		a.finds("first", 1, 1, 1)
		b.finds("first", 1, 1, 1)
		a.finds("second", 2, 2, 2)
		b.finds("second", 1, 2, 2)
		e.lose()
		b.start()
		b.finds("of another content", 1, 2, 2)
		e.wantInForce("as it was", 2, 2)
		e.said(b, e.h.Kind.Words.Messages.PutBack, 1)
		e.said(b, e.h.Kind.Words.Messages.Activated, 0)
	}},
	{"unreadable", func(e *env) {
		a := e.process("a")
		a.finds("first", 1, 1, 1)
		stored, _ := e.value()
		for name, value := range map[string]string{
			"newer": `{"format":99,"number":7,"content":"` + string(e.h.Content(2).Digest) + `"}`, "cut": stored[:len(stored)/2], "list": "[]", "empty": "", "no_number": "{}",
			"no_content": `{"format":1,"number":3}`, "null": "null",
		} {
			e.put(value)
			_, version := e.value()
			known := func(_ agree.View, err error) error { return err }
			attempts := map[string]func() error{
				"Active":   func() error { _, _, err := a.Active(e.Context()); return err },
				"Activate": func() error { _, _, err := a.Activate(e.Context(), e.h.Content(2), 0, nil); return err },
				"Restore": func() error {
					_, _, err := a.Restore(e.Context(), agree.Activation{Number: 9, Content: e.h.Content(1).Digest})
					return err
				},
				"Look":     func() error { return known(a.Look(e.Context(), content(e, 2))) },
				"new Look": func() error { return known(e.process("b").Look(e.Context(), content(e, 3))) },
			}
			for doing, attempt := range attempts {
				if err := attempt(); !errors.Is(err, gate.ErrStoreUnavailable) || errors.Is(err, gate.ErrConflict) || !agree.IsUnreadable(err) || !strings.Contains(err.Error(), e.h.Kind.Setting) {
					e.Errorf("%s: %s: got %v, want gate.ErrStoreUnavailable with the name of the setting", name, doing, err)
				}
			}
			if got, now := e.value(); got != value || now != version {
				e.Errorf("%s was overwritten by %q", name, got)
			}
		}
		e.put(stored)
		a.finds("readable again", 1, 1, 1)
	}},
	{"the_store_is_away", func(e *env) {
		a := e.process("a")
		a.finds("first", 1, 1, 1)
		e.store.away.Store(true)
		for range 2 {
			if _, err := a.Look(e.Context(), content(e, 2)); !errors.Is(err, gate.ErrStoreUnavailable) || agree.IsUnreadable(err) {
				e.Errorf("got %v", err)
			}
		}
		if m := a.Memory(); m.Content != e.h.Content(1).Digest {
			e.Errorf("it remembers %s", m.Content.Short())
		}
		e.store.away.Store(false)
		a.finds("the store is back", 2, 2, 2)
	}},
	{"races", func(e *env) {
		const racers = 8
		numbers := make([]int64, racers)
		var racing sync.WaitGroup
		for i := range racers {
			a := agree.NewActivations(e.store, e.h.Kind, "", "")
			racing.Go(func() {
				active, activated, err := a.Activate(e.Context(), e.h.Content(i+1), 0, nil)
				if err != nil || !activated {
					e.Errorf("racer %d: %t, %v", i, activated, err)
				}
				numbers[i] = active.Number
			})
		}
		racing.Wait()
		seen := map[int64]bool{}
		for _, n := range numbers {
			if n < 1 || n > racers || seen[n] {
				e.Fatalf("numbers: got %v, want 1 to %d, each once", numbers, racers)
			}
			seen[n] = true
		}
		for i, n := range numbers {
			if n < racers {
				continue
			}
			again, activated, err := agree.NewActivations(e.store, e.h.Kind, "", "").Activate(e.Context(), e.h.Content(i+1), 100, nil)
			if err != nil || activated || again.Number != n {
				e.Errorf("what is in force already: got number %d, activated %t, %v, want %d", again.Number, activated, err, n)
			}
		}
	}},
	{"observing", func(e *env) {
		o := e.process("o")
		o.observe = true
		o.start()
		view, err := o.Look(e.Context(), content(e, 2))
		if err != nil || view.InForce || view.Active.Content != e.h.Content(2).Digest {
			e.Errorf("nothing in force: got %+v, %v", view, err)
		}
		e.process("a").finds("undisturbed", 1, 1, 1)
		before, version := e.value()
		o.finds("others have something in force", 2, 1, 1)
		if now, v := e.value(); now != before || v != version {
			e.Errorf("one that observes wrote %q", now)
		}
		if _, err := os.Stat(o.file()); !errors.Is(err, os.ErrNotExist) {
			e.Errorf("one that observes remembers something: %v", err)
		}
		o.observe = false
		o.start()
		o.finds("the process itself on its directory", 2, 2, 2)
	}},
	{"memory", func(e *env) {
		a := e.process("a")
		a.finds("first", 1, 1, 1)
		a.finds("second", 2, 2, 2)
		entries, err := os.ReadDir(filepath.Dir(a.file()))
		if err != nil || len(entries) != 1 {
			e.Errorf("beside the memory: %v, %v", entries, err)
		}
		whole, err := os.ReadFile(a.file())
		if err != nil {
			e.Fatal(err)
		}
		a.place = "elsewhere"
		if a.start(); a.Memory().Seen != 0 || a.Memory().Content != "" {
			e.Errorf("of another store it knows %+v", a.Memory())
		}
		a.place = "here"
		for name, text := range map[string][]byte{"cut": whole[:len(whole)/2], "empty": nil, "damaged": bytes.Replace(whole, []byte(`"number":2`), []byte(`"number":-2`), 2)} {
			if err := os.WriteFile(a.file(), text, 0o600); err != nil {
				e.Fatal(err)
			}
			if a.start(); a.Memory().Seen != 0 || a.Memory().Content != "" {
				e.Errorf("%s: it knows %+v", name, a.Memory())
			}
		}
		if err := os.WriteFile(a.file(), whole, 0o600); err != nil {
			e.Fatal(err)
		}
		if a.start(); a.Memory().Seen != 2 || a.Memory().Content != e.h.Content(2).Digest || a.Memory().InForce.Number != 2 {
			e.Errorf("it knows %+v", a.Memory())
		}
		// Replaced, and not written into: who has the former one open reads it whole.
		if err := os.Link(a.file(), filepath.Join(a.data, "former")); err != nil {
			e.Fatal(err)
		}
		a.finds("third", 3, 3, 3)
		if former, err := os.ReadFile(filepath.Join(a.data, "former")); err != nil || !bytes.Equal(former, whole) {
			e.Errorf("the former file was written into: %q, %v", former, err)
		}
		// A directory where the file should be: nothing is remembered, all else
		// continues.
		if err := os.Remove(a.file()); err != nil {
			e.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(a.file(), "x"), 0o700); err != nil {
			e.Fatal(err)
		}
		a.finds("without a memory", 4, 4, 4)
		e.said(a, e.h.Kind.Words.Messages.Forgotten, 1)
	}},
	{"too_large", func(e *env) {
		large := e.h.Content(2)
		large.Packed = make([]byte, 1<<20)
		_, _ = rand.NewChaCha8([32]byte{}).Read(large.Packed)
		a := e.process("a")
		a.finds("first", 1, 1, 1)
		if _, err := a.Look(e.Context(), &large); !errors.Is(err, gate.ErrTooLarge) || !strings.Contains(err.Error(), "too large to be shared") {
			e.Errorf("got %v", err)
		}
		e.wantInForce("as before", 1, 1)
	}},
	{"upgrade", func(e *env) {
		if e.h.Stored == "" {
			return
		}
		e.put(e.h.Stored)
		e.wantInForce("stored by an earlier version", 1, 7)
		a := e.process("a")
		if err := os.MkdirAll(filepath.Dir(a.file()), 0o700); err != nil {
			e.Fatal(err)
		}
		if err := os.WriteFile(a.file(), []byte(e.h.Remembered), 0o600); err != nil {
			e.Fatal(err)
		}
		a.start()
		if m := a.Memory(); m.Content != e.h.Content(1).Digest || m.Seen != 7 {
			e.Errorf("remembered by an earlier version: got %+v", m)
		}
		a.finds("unchanged", 1, 1, 7)
		a.finds("changed while it was down", 2, 2, 8)
		a.finds("a way back", 1, 1, 9)
	}},
}

func content(e *env, n int) *agree.Content {
	c := e.h.Content(n)
	return &c
}

// losing loses what is in force in two ways, and wants it back: under its number,
// or under one that was never given to anything else.
func (e *env) losing(restart bool) {
	a, b := e.process("a"), e.process("b")
	a.finds("first", 1, 1, 1)
	before, _ := e.value()
	a.finds("second", 2, 2, 2)
	number := int64(2)
	b.finds("the other one", 0, 2, number)
	for _, l := range []struct {
		name string
		lose func()
	}{{"deleted", e.lose}, {"put_back", func() { e.put(before) }}} {
		l.lose()
		if restart {
			a.start()
		}
		view, err := a.Look(e.Context(), content(e, 2))
		if err != nil {
			e.Fatal(err)
		}
		if got := view.Active.Number; e.h.Kind.PutBack && got != number || !e.h.Kind.PutBack && got != number+1 {
			e.Errorf("%s: got number %d after %d, put back %t", l.name, got, number, e.h.Kind.PutBack)
		}
		number = view.Active.Number
		e.wantInForce(l.name, 2, number)
		if restored := a.Restored() > 0; restored != e.h.Kind.PutBack {
			e.Errorf("%s: restored: got %t", l.name, restored)
		}
		b.finds(l.name, 0, 2, number)
	}
}
