package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// TestJoin: what is remembered of the reasons of rules and conditions together is what
// they are together, whichever lists come in which order.
func TestJoin(t *testing.T) {
	e := newEngine(t, Options{})
	list := func(msgs ...string) (all []gate.Reason) {
		for _, m := range msgs {
			all = append(all, gate.Reason{Action: gate.OutcomeWarn, Rule: "r", Msg: m})
		}
		return all
	}
	rules := [][]gate.Reason{nil, list("a", "b"), list("a", "c"), list("a", "b"), list("a")}
	found := [][]gate.Reason{nil, list("x"), list("y"), list("x"), list("x", "y")}
	for range 3 {
		for i := range rules {
			for j := range found {
				// All of them under one key: the lists tell.
				if diff := cmp.Diff(both(rules[i], found[j]), e.join(memoKey{}, rules[i], found[j])); diff != "" && len(rules[i])+len(found[j]) > 0 {
					t.Fatalf("rules %d, conditions %d (-want +got):\n%s", i, j, diff)
				}
			}
		}
	}
	all := e.join(memoKey{}, rules[1], found[1])
	_ = append(all, gate.Reason{Msg: "of one caller"})
	if again := e.join(memoKey{}, rules[1], found[1]); len(again) != 3 || cap(again) != 3 {
		t.Errorf("a caller has changed what is shared: %d reasons with room for %d", len(again), cap(again))
	}
}

// TestStale_saysTheAge: what is said of old data is of the age at the question, although
// it is put into words once an hour.
func TestStale_saysTheAge(t *testing.T) {
	for _, deny := range []bool{false, true} {
		e := newEngine(t, Options{MaxAge: 48 * time.Hour, DenyStale: deny})
		ages := []time.Duration{
			47 * time.Hour, 48*time.Hour + 1, 49 * time.Hour, 49*time.Hour + 59*time.Minute, 50 * time.Hour, -10 * time.Minute, -24 * time.Hour, 48*time.Hour + 1, 1000 * time.Hour,
		}
		for _, from := range []time.Time{testNow, testNow.Add(time.Minute), {}, testNow} {
			for _, age := range ages {
				q := &gate.Question{Now: from.Add(age)}
				// An engine that has said nothing before.
				want := newEngine(t, Options{MaxAge: 48 * time.Hour, DenyStale: deny}).stale(q, origin{}, from)
				if diff := cmp.Diff(want, e.stale(q, origin{}, from)); diff != "" {
					t.Errorf("data of %s after %s (-want +got):\n%s", from, age, diff)
				}
			}
		}
	}
}

// TestKnown_allocates: a decision that was made before is answered without memory of its
// own, also while the advisory data is old.
func TestKnown_allocates(t *testing.T) {
	for name, maxAge := range map[string]time.Duration{"fresh": 0, "stale": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, Options{MaxAge: maxAge})
			q := benchQuestion(500)
			summarized(&q)
			want := e.Evaluate(t.Context(), q)
			got, ok := e.Known(q)
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Fatalf("known %t (-evaluated +known):\n%s", ok, diff)
			}
			if stale := got.Reasons[len(got.Reasons)-1].Code == gate.CodeStale; stale != (maxAge > 0) {
				t.Fatalf("stale %t: %+v", stale, got.Reasons)
			}
			if n := testing.AllocsPerRun(100, func() { e.Known(q) }); n > 0 {
				t.Errorf("%.0f allocations, want none", n)
			}
		})
	}
}
