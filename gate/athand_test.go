package gate_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// atHand asks for what needs nothing to be read, or nothing but a proof.
func (s *site) atHand(l *lookup.Lookup, image string, req gate.Request) (gate.Answer, bool) {
	s.t.Helper()
	ref, err := gate.ParseReference(image)
	if err != nil {
		s.t.Fatal(err)
	}
	prompt, ok := l.Rounds([]gate.Reference{ref}).(gate.Proving)
	if !ok {
		s.t.Fatal("a lookup has nothing at hand")
	}
	prompt.Prove(s.ctx, time.Now().Add(time.Minute))
	return prompt.AtOnce(s.ctx, ref, req)
}

// TestAtHand: an image that was decided about is answered without a read, with the
// answer that a read would give; whatever has to be read, asked for, queued or
// evaluated is not. Nothing is at hand any more once something has changed.
func TestAtHand(t *testing.T) { onBothStores(t, testAtHand) }

func testAtHand(t *testing.T, s *site) {
	l := s.lookupOn(s.copied(), s.store, lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute}, nil)
	req := gate.Request{Cluster: "default", Namespace: "team-a", Operation: "CREATE"}
	digest := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", digest)
	refused := s.push("team/bad", "v1", 2)
	s.matcher.bad[refused] = gate.SeverityCritical
	s.event("team/bad", "v1", refused)
	index, _ := s.pushIndex("team/index", "v1")
	s.event("team/index", "v1", index)
	s.work()
	unknown := s.push("team/unknown", "v1", 3)
	images := map[string]bool{
		s.at("team/app", "@"+string(digest)):      true,
		s.at("team/app", ":v1"):                   true,
		s.at("team/bad", "@"+string(refused)):     true,
		s.at("team/index", "@"+string(index)):     true,
		s.at("team/index", ":v1"):                 true,
		s.at("team/unknown", "@"+string(unknown)): false,
		s.at("team/unknown", ":v1"):               false,
		s.at("team/other", "@"+string(digest)):    false, // never seen there, which is noted
		"elsewhere.example.com/team/app:v1":       false,
	}
	check := func(when string, atHand func(image string, warm bool) bool) {
		t.Helper()
		for image, warm := range images {
			first, before := s.atHand(l, image, req)
			want := s.ask(l, image)
			if before && fmt.Sprintf("%+v", first) != fmt.Sprintf("%+v", want) {
				t.Errorf("%s, %s: at hand\n%+v, want\n%+v", when, image, first, want)
			}
			got, ok := s.atHand(l, image, req)
			if ok != atHand(image, warm) {
				t.Errorf("%s, %s: at hand %t, want %t (%+v)", when, image, ok, atHand(image, warm), want)
			}
			if ok && fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("%s, %s: at hand\n%+v, want\n%+v", when, image, got, want)
			}
		}
	}
	check("warm", func(_ string, warm bool) bool { return warm })
	if a, ok := s.atHand(l, s.at("team/bad", "@"+string(refused)), req); !ok || a.Permits() {
		t.Errorf("the refused image: %+v, %t", a, ok)
	}
	// Another namespace has the same answers; a tag that grows old has to be asked for.
	req.Namespace = "team-b"
	s.clock.Advance(2 * time.Minute)
	if _, ok := s.atHand(l, s.at("team/app", ":v1"), req); ok {
		t.Error("a tag that has to be confirmed is at hand")
	}
	// A push makes the tag dirty, and what the tag names now was never decided about.
	moved := s.push("team/app", "v1", 4)
	s.event("team/app", "v1", moved)
	if _, ok := s.atHand(l, s.at("team/app", ":v1"), req); ok {
		t.Error("a tag that was pushed is at hand")
	}
	// New data: the stored findings decide nothing that it would not.
	s.matcher.activate(2)
	if a, ok := s.atHand(l, s.at("team/app", "@"+string(digest)), req); ok && a.Generation != 2 {
		t.Errorf("an answer of the former generation is at hand: %+v", a)
	}
}

// copied is what the reviews of a server read from.
func (s *site) copied() *lookup.RecordCopy {
	return lookup.NewRecordCopy(s.store.Admission(), 5*time.Minute, s.clock.Now, nil, slog.New(slog.DiscardHandler))
}

// TestAtHand_storeAway: a shared store that does not answer proves nothing, and the next
// review does not wait for it.
func TestAtHand_storeAway(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		digest := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", digest)
		s.work()
		records := s.copied()
		if _, current := records.Copies(); current {
			return // its copies need no proof
		}
		l, image, req := s.lookupOn(records, s.store, lookup.Options{TagMaxAge: time.Minute}, nil), s.at("team/app", "@"+string(digest)), gate.Request{Operation: "CREATE"}
		s.ask(l, image)
		if _, ok := s.atHand(l, image, req); !ok {
			t.Fatal("a warm image is not at hand")
		}
		if err := s.store.Close(); err != nil {
			t.Fatal(err)
		}
		if a, ok := s.atHand(l, image, req); ok {
			t.Errorf("without a store: %+v is at hand", a)
		}
	})
}
