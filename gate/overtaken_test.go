package gate_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// putLate is a store into which something is written just before a tag is.
type putLate struct {
	records
	before func()
}

func (p *putLate) PutTag(ctx context.Context, key gate.TagKey, d gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	if before := p.before; before != nil {
		p.before = nil
		before()
	}
	return p.records.PutTag(ctx, key, d, readAt, host)
}

// TestTagThatMovesBeforeItIsRecorded: what the store answers to the writing of a tag
// counts: that it was pushed meanwhile, and what a later read has found.
func TestTagThatMovesBeforeItIsRecorded(t *testing.T) {
	for _, c := range []string{"pushed", "read_later"} {
		t.Run(c, func(t *testing.T) {
			s := newSite(t, month(0))
			good := s.push("team/app", "v1", 1)
			s.event("team/app", "v1", good)
			s.work()
			bad := s.push("team/app", "bad", 2)
			s.matcher.bad[bad] = gate.SeverityCritical
			s.event("team/app", "bad", bad)
			s.work()
			s.clock.Advance(2 * time.Minute)
			key := gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}
			s.Records = &putLate{records: s.store, before: func() {
				s.clock.Advance(time.Millisecond)
				s.push("team/app", "v1", 2)
				var err error
				if c == "pushed" {
					err = s.store.MarkDirty(s.ctx, key)
				} else {
					_, err = s.store.PutTag(s.ctx, key, bad, s.clock.Now(), s.registry.Host)
				}
				if err != nil {
					t.Error(err)
				}
				s.clock.Advance(time.Millisecond)
			}}
			if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1")); a.Permits() || a.Digest != bad || a.Code != gate.CodePolicy {
				t.Errorf("got %+v, want a refusal of %s", a, bad)
			}
		})
	}
}

// TestIndexThatIsPushedAllTheTime ends with the same refusal as a tag of images: each
// new one has to be read, and then its images.
func TestIndexThatIsPushedAllTheTime(t *testing.T) {
	s := newSite(t, month(0))
	seed := uint64(10)
	s.Source = &pushedOnRead{Source: s.Source, push: func() {
		s.clock.Advance(time.Millisecond)
		seed += 2
		s.pushIndexOf("team/app", "v1", seed, seed+1)
		if err := s.store.MarkDirty(s.ctx, gate.TagKey{Location: gate.Location{Registry: hub, Repository: "team/app"}, Tag: "v1"}); err != nil {
			t.Error(err)
		}
		s.clock.Advance(time.Millisecond)
	}}
	s.pushIndexOf("team/app", "v1", 1, 2)
	a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1"))
	if a.Permits() || a.Code != gate.CodeBusy || !strings.Contains(english(a), "is being pushed") {
		t.Errorf("got %+v, want BUSY", a)
	}
}

// pushedOnRead is a registry where a tag moves as soon as its manifest was read.
type pushedOnRead struct {
	gate.Source
	push func()
}

func (p *pushedOnRead) Resolve(ctx context.Context, loc gate.Location, ref string) (gate.Manifest, error) {
	m, err := p.Source.Resolve(ctx, loc, ref)
	p.push()
	return m, err
}
