package gate_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// slowHead lets a test act while the registry is being asked.
type slowHead struct {
	gate.Source
	calls  atomic.Int64
	during func(call int64)
}

func (h *slowHead) Head(ctx context.Context, loc gate.Location, tag string) (gate.Digest, error) {
	d, err := h.Source.Head(ctx, loc, tag)
	h.during(h.calls.Add(1))
	return d, err
}

// TestPushDuringAReadOfItsTag: a read that began before the tag was marked
// dirty is no answer, neither for who began it nor for who joined it.
func TestPushDuringAReadOfItsTag(t *testing.T) {
	s := newSite(t, month(0))
	good := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", good)
	s.work()
	s.clock.Advance(2 * time.Minute)
	var bad gate.Digest
	h := &slowHead{Source: s.Source}
	h.during = func(call int64) {
		if call == 1 { // the answer is on its way when the tag moves
			s.clock.Advance(time.Millisecond)
			bad = s.push("team/app", "v1", 2)
			s.event("team/app", "v1", bad)
			s.clock.Advance(time.Millisecond)
		}
	}
	s.Source = h
	if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1")); a.Permits() || a.Digest != bad {
		t.Errorf("tag that moved while it was read: got %+v, want a refusal for %s", a, bad)
	}
}

// TestTagThatIsPushedAllTheTime ends, with a refusal.
func TestTagThatIsPushedAllTheTime(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.clock.Advance(2 * time.Minute)
	s.Source = &slowHead{Source: s.Source, during: func(int64) { s.event("team/app", "v1", d) }}
	if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1")); a.Permits() || a.Code != gate.CodeBusy {
		t.Errorf("got %+v, want BUSY", a)
	}
}

// TestTagThatNamesNoImage: what a tag names by the time it is read spoils
// neither the digest of its event nor the other tags of that digest.
func TestTagThatNamesNoImage(t *testing.T) {
	s := newSite(t, month(0))
	d := s.push("team/app", "bad", 1)
	s.push("team/app", "good", 1)
	s.event("team/app", "bad", d)
	s.event("team/app", "good", d) // joins
	const nothing = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	if _, err := s.registry.PutManifest("team/app", "bad", "application/vnd.oci.image.manifest.v1+json", []byte(nothing)); err != nil {
		t.Fatal(err)
	}
	jobs := s.work()
	if got := s.entry(d).State(); got != gate.StateScanned {
		t.Errorf("state of the digest: %s", got)
	}
	loc := gate.Location{Registry: hub, Repository: "team/app"}
	bad, good := gate.TagKey{Location: loc, Tag: "bad"}, gate.TagKey{Location: loc, Tag: "good"}
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Tags: []gate.TagKey{bad, good}})
	if err != nil {
		t.Fatal(err)
	}
	if m := res.Tags[good]; m.Dirty || m.Digest != d {
		t.Errorf("the other tag: %+v, want it confirmed", m)
	}
	if m := res.Tags[bad]; m.Usable(res.Now, time.Hour) && m.Digest == d {
		t.Errorf("the tag that moved: %+v, want it unusable", m)
	}
	if job := jobs[gate.JobKey(gate.JobResolve, loc, d, "bad")]; !strings.Contains(job.Error, `"bad"`) {
		t.Errorf("the job does not say what is wrong: %+v", job)
	}
}

// TestPanicInASharedReadOfATag must not end the process: nobody's recover
// surrounds the goroutine that many requests wait for.
func TestPanicInASharedReadOfATag(t *testing.T) {
	s := newSite(t, month(0))
	s.Source = &slowHead{Source: s.Source, during: func(int64) { panic("hostile header") }}
	s.push("team/app", "v1", 1)
	if a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", ":v1")); a.Permits() || a.Code != gate.CodeInternal {
		t.Errorf("got %+v, want INTERNAL", a)
	}
}
