package gate_test

import (
	"errors"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// TestDryRunQueuesNothing: the verdict is the same, the store is not touched
// (sideEffects: NoneOnDryRun).
func TestDryRunQueuesNothing(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{NewDigestsPerHour: 1})
	d := s.push("team/app", "v1", 1)
	ref, err := gate.ParseReference(s.at("team/app", "@"+string(d)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a := l.Decide(s.ctx, ref, gate.Request{Namespace: "team-a", DryRun: true})
		if a.Permits() || a.Code != gate.CodeUnscanned {
			t.Errorf("dry run: got %+v, want UNSCANNED", a)
		}
	}
	if job, err := s.store.Claim(s.ctx, s.claim()); !errors.Is(err, gate.ErrNoJob) {
		t.Errorf("after dry runs: got job %+v, %v, want none", job, err)
	}
	// Nor did they spend the namespace's budget.
	if a := l.Decide(s.ctx, ref, gate.Request{Namespace: "team-a"}); a.Code != gate.CodeUnscanned {
		t.Errorf("after dry runs: got %+v, want UNSCANNED", a)
	}
	if _, err := s.store.Claim(s.ctx, s.claim()); err != nil {
		t.Errorf("after a real ask: got %v, want a job", err)
	}
}

// TestPinnedReferenceKeepsItsTag: what a tag was resolved to in this review is
// judged with the tag that our own reading gave it.
func TestPinnedReferenceKeepsItsTag(t *testing.T) {
	s := newSite(t, month(0))
	l := s.lookup(lookup.Options{})
	s.push("team/app", "v1", 1)
	first := s.ask(l, s.at("team/app", ":v1"))
	s.work()
	ref, err := gate.ParseReference(s.at("team/app", ":v1"))
	if err != nil || first.Digest == "" {
		t.Fatalf("first ask: got %+v, %v", first, err)
	}
	a := l.Decide(s.ctx, ref.Pin(first.Digest), gate.Request{Namespace: "team-a"})
	if !a.Permits() || a.Digest != first.Digest {
		t.Errorf("pinned: got %+v, want an allow of %s", a, first.Digest)
	}
}
