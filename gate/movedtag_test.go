package gate_test

import (
	"context"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/store"
)

// brokenResolve is a registry that says by HEAD what a tag names and does not
// serve the manifest: Docker Hub counts only GET against its limit.
type brokenResolve struct {
	gate.Source
	err error
}

func (b brokenResolve) Resolve(context.Context, gate.Location, string) (gate.Manifest, error) {
	return gate.Manifest{}, b.err
}

// TestMovedTagIsNotGraced: once a registry has said that a tag names another
// digest, the old one does not serve although it is within tags.grace, whatever
// the registry does then. A node would get the other one.
func TestMovedTagIsNotGraced(t *testing.T) {
	for name, failure := range map[string]error{
		"asked_to_wait": gate.ErrRegistryUnavailable, "refused": gate.ErrRegistryRefused, "credentials": gate.ErrRegistryAuth, "no_image": gate.ErrUnassessable,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, month(0))
			l := s.lookup(lookup.Options{})
			good := s.push("team/app", "v1", 1)
			s.event("team/app", "v1", good)
			s.work()
			s.clock.Advance(2 * time.Minute)
			source := s.Source
			s.Source = brokenResolve{source, failure}
			if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() {
				t.Fatalf("before it moves: got %+v, want it allowed", a)
			}
			s.push("team/app", "v1", 2) // nobody says so
			s.clock.Advance(2 * time.Minute)
			if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest == good {
				t.Errorf("HEAD names another digest: got %+v, want a refusal", a)
			}
			s.Source = downSource{source}
			if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest == good {
				t.Errorf("and the registry falls silent: got %+v, want a refusal", a)
			}
			s.Source = source
			s.push("team/app", "v1", 1) // back again
			if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() || len(a.Warnings) != 0 {
				t.Errorf("moved back: got %+v, want it allowed", a)
			}
			s.clock.Advance(2 * time.Minute)
			s.Source = downSource{source}
			if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() || len(a.Warnings) != 1 {
				t.Errorf("silent after that: got %+v, want the grace", a)
			}
		})
	}
}

// copiedReader is a store that does not answer while copied is set; copies do.
type copiedReader struct {
	gate.Reader
	copied bool
}

func (r *copiedReader) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res, err := r.Reader.Read(ctx, req)
	res.Copied = r.copied
	return res, err
}

// refusedWrites is a store that can be read and takes nothing about images.
type refusedWrites struct{ store.Store }

func (refusedWrites) PutManifest(context.Context, gate.Manifest) error {
	return gate.ErrStoreUnavailable
}

func (refusedWrites) AddLocation(context.Context, gate.Digest, gate.Location) (bool, error) {
	return false, gate.ErrStoreUnavailable
}

func (refusedWrites) PutTag(context.Context, gate.TagKey, gate.Digest, time.Time, string) (gate.TagMapping, error) {
	return gate.TagMapping{}, gate.ErrStoreUnavailable
}

// TestMovedTagThatIsNotWritten: the same where the store did not take what the
// tag names now, or falls silent.
func TestMovedTagThatIsNotWritten(t *testing.T) {
	s := newSite(t, month(0))
	reader := &copiedReader{Reader: s.store}
	l := s.lookupOn(reader, s.store, lookup.Options{TagMaxAge: time.Minute, TagGrace: 10 * time.Minute}, nil)
	good := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", good)
	s.work()
	if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() {
		t.Fatalf("before it moves: got %+v, want it allowed", a)
	}
	s.push("team/app", "v1", 2)
	s.clock.Advance(2 * time.Minute)
	records, source := s.Records, s.Source
	s.Records = refusedWrites{s.store}
	if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest == good {
		t.Errorf("moved, and not written: got %+v, want a refusal", a)
	}
	s.Source = downSource{source}
	if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest == good {
		t.Errorf("and the registry falls silent: got %+v, want a refusal", a)
	}
	reader.copied = true
	if a := s.ask(l, s.at("team/app", ":v1")); a.Permits() || a.Digest == good {
		t.Errorf("and the store as well: got %+v, want a refusal", a)
	}
	reader.copied = false
	s.Records, s.Source = records, source
	s.push("team/app", "v1", 1)
	s.clock.Advance(5 * time.Second)
	if a := s.ask(l, s.at("team/app", ":v1")); !a.Permits() || len(a.Warnings) != 0 {
		t.Errorf("moved back: got %+v, want it allowed", a)
	}
}
