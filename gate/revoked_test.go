package gate_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// TestRevocationHoldsAtOnce: between two reviews of an image that was allowed, and is in
// the memory of the process, new findings come, its tag is marked, or it is found to be
// unassessable: the second review refuses.
func TestRevocationHoldsAtOnce(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		l := s.lookupOn(s.copied(), s.store, lookup.Options{TagMaxAge: time.Hour, TagGrace: 2 * time.Hour}, nil)
		// ask answers as a review does: from what is at hand, if it is, and otherwise by a read.
		ask, prompt := func(image string) gate.Answer {
			if a, ok := s.atHand(l, image, gate.Request{Namespace: "team-a", Operation: "CREATE"}); ok {
				return a
			}
			return s.ask(l, image)
		}, 0
		found, moved, broken := s.push("team/app", "v1", 1), s.push("team/app", "v2", 2), s.push("team/app", "v3", 3)
		for tag, d := range map[string]gate.Digest{"v1": found, "v2": moved, "v3": broken} {
			s.event("team/app", tag, d)
		}
		s.work()
		for range 3 {
			for _, ref := range []string{":v1", ":v2", ":v3", "@" + string(found), "@" + string(broken)} {
				if a := s.ask(l, s.at("team/app", ref)); !a.Permits() {
					t.Fatalf("before, %s: got %+v", ref, a)
				}
				if a, ok := s.atHand(l, s.at("team/app", ref), gate.Request{Namespace: "team-a", Operation: "CREATE"}); ok && a.Permits() {
					prompt++
				}
			}
		}
		if prompt < 10 {
			t.Errorf("%d of 15 warm answers were at hand", prompt)
		}
		s.matcher.bad[found] = gate.SeverityCritical
		s.matcher.activate(2)
		if _, err := s.sweeper(listed{found, moved, broken}).Rematch(s.ctx); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{":v1", "@" + string(found)} {
			if a := ask(s.at("team/app", ref)); a.Outcome != gate.OutcomeDeny || a.Code != gate.CodePolicy {
				t.Errorf("new findings, %s: got %+v", ref, a)
			}
		}
		if a := ask(s.at("team/app", ":v2")); !a.Permits() {
			t.Errorf("nothing new: got %+v", a)
		}
		s.clock.Advance(time.Second)
		if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v2"}); err != nil {
			t.Fatal(err)
		}
		source := s.Source
		s.Source = downSource{source}
		if a := ask(s.at("team/app", ":v2")); a.Permits() {
			t.Errorf("the tag was pushed and its registry is silent: got %+v", a)
		}
		s.Source = source
		if err := s.store.PutUnassessable(s.ctx, broken, s.entry(broken).Record.Epoch, "too large"); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{":v3", "@" + string(broken)} {
			if a := ask(s.at("team/app", ref)); a.Permits() || a.Code != gate.CodeUnassessable {
				t.Errorf("unassessable, %s: got %+v", ref, a)
			}
		}
	})
}
