package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/store"
)

// together asks about the images of one review, in rounds.
func (p *pods) together(images ...string) []gate.Answer {
	p.t.Helper()
	refs := make([]gate.Reference, len(images))
	for i, image := range images {
		var err error
		if refs[i], err = gate.ParseReference(image); err != nil {
			p.t.Fatal(err)
		}
	}
	r := p.lookup.Rounds(refs)
	answers, left := make([]gate.Answer, len(images)), len(images)
	for range gate.MaxRounds {
		r.Read(p.ctx)
		for i, ref := range refs {
			if answers[i].Outcome != "" {
				continue
			}
			if a, ok := r.Decide(p.ctx, ref, gate.Request{Namespace: "team-a", Operation: "CREATE"}); ok {
				answers[i] = a
				left--
			}
		}
		if left == 0 {
			break
		}
	}
	if left > 0 {
		p.t.Fatalf("%d images have no answer", left)
	}
	p.lookup.Settle()
	return answers
}

// want compares the answers of a review with what each image alone deserves: the
// digest that is judged, and the code, "" for an allow.
func (p *pods) want(what string, images []string, want ...gate.Answer) {
	p.t.Helper()
	for i, a := range p.together(images...) {
		if a.Code != want[i].Code || a.Digest != want[i].Digest || a.Permits() != (want[i].Code == "") {
			p.t.Errorf("%s: %s: got code %q, digest %s (%s); want %q, %s", what, images[i], a.Code, a.Digest, a.Text, want[i].Code, want[i].Digest)
		}
	}
}

func allowed(d gate.Digest) gate.Answer { return gate.Answer{Digest: d} }

func refused(d gate.Digest, code gate.Code) gate.Answer { return gate.Answer{Digest: d, Code: code} }

// TestImagesOfAReviewAreNotMixedUp: whatever else is read with it, an image gets the
// answer that it would get alone.
func TestImagesOfAReviewAreNotMixedUp(t *testing.T) {
	s := newSite(t, month(0))
	good, bad := s.push("team/app", "v1", 1), s.push("team/app", "v2", 2)
	s.matcher.bad[bad] = gate.SeverityCritical
	s.push("team/secret", "v1", 1)
	s.push("team/other", "v1", 2)
	s.event("team/app", "v1", good)
	s.event("team/app", "v2", bad)
	s.event("team/secret", "v1", good)
	s.event("team/other", "v1", bad)
	s.work()
	now, err := s.store.Now(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	second := gate.TagKey{Location: gate.Location{Registry: "second", Repository: "team/app"}, Tag: "v1"}
	if _, err := s.store.PutTag(s.ctx, second, bad, now, ""); err != nil {
		t.Fatal(err)
	}
	unknown := gate.Digest("sha256:" + pad(7))
	p := newPods(s, lookup.Options{Repositories: []lookup.RepositoryRule{{Pattern: "**", Allowed: true}, {Pattern: "hub/team/secret", Allowed: false}}})
	images := []string{
		s.at("team/app", ":v1"), s.at("team/app", ":v2"), s.at("team/other", ":v1"), "second.invalid/team/app:v1",
		s.at("team/secret", ":v1"), s.at("team/secret", "@"+string(good)), s.at("team/app", "@"+string(good)), s.at("team/app", "@"+string(bad)),
		s.at("team/app", "@"+string(unknown)), "elsewhere.example/team/app:v1", s.at("team/app", ":none"),
	}
	want := []gate.Answer{
		allowed(good), refused(bad, gate.CodePolicy), refused(bad, gate.CodePolicy), refused(bad, gate.CodePolicy),
		refused("", gate.CodeRegistryNotTrusted), refused("", gate.CodeRegistryNotTrusted), allowed(good), refused(bad, gate.CodePolicy),
		refused(unknown, gate.CodeUnscanned), refused("", gate.CodeRegistryNotTrusted), refused("", gate.CodeUnscanned),
	}
	for _, round := range []string{"cold", "warm"} {
		p.want(round, images, want...)
		want[8].Code = gate.CodePending // its scan is queued
		slices.Reverse(images)
		slices.Reverse(want)
	}
}

// TestHintsDecideNothing: what a tag named and an index consisted of last time is read
// ahead, and counts for nothing once it is otherwise.
func TestHintsDecideNothing(t *testing.T) {
	s := newSite(t, month(0))
	p := newPods(s, lookup.Options{})
	clean := s.pushIndexOf("team/multi", "v1", 11, 12)
	good := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", good)
	s.event("team/multi", "v1", clean)
	s.work()
	images := []string{s.at("team/app", ":v1"), s.at("team/multi", ":v1")}
	for range 2 {
		p.want("before", images, allowed(good), allowed(clean))
	}

	bad := s.push("team/app", "v1", 2)
	worse := s.pushIndexOf("team/multi", "v1", 11, 13)
	s.matcher.bad[bad] = gate.SeverityCritical
	s.event("team/app", "v1", bad)
	s.event("team/multi", "v1", worse)
	s.clock.Advance(time.Millisecond)
	s.work()
	s.matcher.bad[s.entry(worse).Record.Manifest.Children[1].Digest] = gate.SeverityCritical
	s.matcher.activate(2)
	p.want("both have moved", images, refused(bad, gate.CodePolicy), refused(worse, gate.CodePolicy))
	p.want("and stay", images, refused(bad, gate.CodePolicy), refused(worse, gate.CodePolicy))

	// Back, and the image that was bad is in the index no more.
	s.push("team/app", "v1", 1)
	again := s.pushIndexOf("team/multi", "v1", 11)
	s.event("team/app", "v1", good)
	s.event("team/multi", "v1", again)
	s.work()
	p.want("the bad ones are gone", images, allowed(good), allowed(again))

	// A push that nobody has read yet, and a registry that does not answer.
	for _, repo := range []string{"team/app", "team/multi"} {
		if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: gate.Location{Registry: hub, Repository: repo}, Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.Advance(time.Millisecond)
	s.Source = downSource{s.Source}
	p.want("dirty", images, refused("", gate.CodeTimeout), refused("", gate.CodeTimeout))
}

// TestNothingOutlivesItsReview: what was read for one review does not answer the next.
func TestNothingOutlivesItsReview(t *testing.T) {
	s := newSite(t, month(0))
	p := newPods(s, lookup.Options{})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	images := []string{s.at("team/app", ":v1"), s.at("team/app", "@"+string(d))}
	p.want("clean", images, allowed(d), allowed(d))
	s.matcher.bad[d] = gate.SeverityCritical
	s.matcher.activate(2)
	if _, err := s.sweeper(listed{d}).Rematch(s.ctx); err != nil {
		t.Fatal(err)
	}
	p.want("refused since", images, refused(d, gate.CodePolicy), refused(d, gate.CodePolicy))
}

// TestReadThatFailsConcernsNobodyElse: when what a review reads together cannot be
// read, each image is read for itself.
func TestReadThatFailsConcernsNobodyElse(t *testing.T) {
	s := newSite(t, month(0))
	p := newPods(s, lookup.Options{})
	digests := s.pushMany(3, false, 1)
	images := append(s.byTag(3), s.byDigest(digests)...)
	for _, failing := range []int{1, 2} {
		p.reader.reads()
		p.restart(lookup.Options{})
		p.reader.before = func(n int, _ gate.ReadRequest) error {
			if n == failing {
				return errors.Join(gate.ErrStoreUnavailable, errors.New("one connection broke"))
			}
			return nil
		}
		p.want(fmt.Sprintf("read %d fails", failing), images,
			allowed(digests[0]), allowed(digests[1]), allowed(digests[2]), allowed(digests[0]), allowed(digests[1]), allowed(digests[2]))
	}
	p.reader.before = func(_ int, req gate.ReadRequest) error {
		if slices.ContainsFunc(req.Tags, func(k gate.TagKey) bool { return strings.HasSuffix(k.Repository, "-1") }) {
			return errors.Join(gate.ErrStoreUnavailable, errors.New("one value cannot be read"))
		}
		return nil
	}
	p.want("one tag cannot be read", images,
		allowed(digests[0]), refused("", gate.CodeStoreUnavailable), allowed(digests[2]), allowed(digests[0]), allowed(digests[1]), allowed(digests[2]))
}

// TestChangeAfterTheReadIsNotMissed: a scan that ends between the read of a review and
// its answer ends the wait for it.
func TestChangeAfterTheReadIsNotMissed(t *testing.T) {
	s := newSite(t, month(0))
	p := newPods(s, lookup.Options{Wait: time.Minute})
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	ref, err := gate.ParseReference(s.at("team/app", "@"+string(d)))
	if err != nil {
		t.Fatal(err)
	}
	r := p.lookup.Rounds([]gate.Reference{ref})
	r.Read(s.ctx)
	s.work()
	if a, ok := r.Decide(s.ctx, ref, gate.Request{Namespace: "team-a"}); !ok || !a.Permits() {
		t.Errorf("got %+v, want it allowed", a)
	}
}

// blockedWrites is a store whose writes of tags and locations end when the test says
// so, whatever their context.
type blockedWrites struct {
	store.Store
	end chan struct{}
}

func (b *blockedWrites) PutTag(ctx context.Context, k gate.TagKey, d gate.Digest, at time.Time, host string) (gate.TagMapping, error) {
	<-b.end
	return b.Store.PutTag(ctx, k, d, at, host)
}

func (b *blockedWrites) AddLocation(ctx context.Context, d gate.Digest, l gate.Location) (bool, error) {
	<-b.end
	return b.Store.AddLocation(ctx, d, l)
}

// TestWritesDelayNoAnswer: a Pod whose tags the registry is asked for is admitted while
// none of them can be recorded, and so is the next; nothing is lost when they can.
func TestWritesDelayNoAnswer(t *testing.T) {
	s := newSite(t, month(0))
	const n = 40
	s.pushMany(n, false, 1)
	b := &blockedWrites{s.store, make(chan struct{})}
	s.keepIn(b)
	p := newPods(s, lookup.Options{})
	images := s.byTag(n)
	s.clock.Advance(2 * time.Minute)
	for range 2 {
		resp, err := p.reviewer.Review(s.ctx, review(t, images...), "default")
		if err != nil || !resp.Allowed {
			t.Fatalf("while nothing is written: got %+v, %v", resp, err)
		}
	}
	if n := p.reader.reads(); n != 2+1+1 {
		t.Errorf("%d reads by the two reviews, want 4", n)
	}
	calls := len(s.registry.Requests())
	close(b.end)
	p.lookup.Settle()
	p.expect("once they are written", 1, images)
	if more := len(s.registry.Requests()) - calls; more != 0 {
		t.Errorf("the registry was asked %d times more", more)
	}
}
