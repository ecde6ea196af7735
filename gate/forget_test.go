package gate_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
)

// TestForgottenIsUnknownToAdmission: an image that was allowed and then forgotten is refused,
// queued like one that was never seen, allowed after its analysis, and charged once.
func TestForgottenIsUnknownToAdmission(t *testing.T) {
	for _, suffix := range []string{"@", ":"} {
		s := newSite(t, month(0))
		l := s.lookup(lookup.Options{})
		d := s.push("team/app", "v1", 1)
		image := s.at("team/app", ":v1")
		if suffix == "@" {
			image = s.at("team/app", "@"+string(d))
		}
		s.event("team/app", "v1", d)
		s.work()
		if a := s.ask(l, image); !a.Permits() {
			t.Fatalf("before: got %+v", a)
		}
		before := s.entry(d).Record
		if err := s.store.Forget(s.ctx, d, before.Version); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Hour) // the tag is read again
		a := s.ask(l, image)
		if a.Permits() || a.Code != gate.CodeUnscanned || !strings.Contains(english(a), "queued now") {
			t.Fatalf("%s: forgotten: got %+v, want UNSCANNED and queued", suffix, a)
		}
		if s.used().Used != 1 {
			t.Errorf("%d used, want 1", s.used().Used)
		}
		s.work()
		if a := s.ask(l, image); !a.Permits() || a.Digest != d {
			t.Errorf("%s: analysed again: got %+v", suffix, a)
		}
		r := s.entry(d).Record
		if s.used().Used != 1 || r.Forgotten || r.InventoryID == "" || len(r.Locations) != 1 || r.Epoch <= before.Epoch {
			t.Errorf("%s: analysed again: %d used, %+v", suffix, s.used().Used, r)
		}
	}
}

// TestForgottenWhilePushed forgets an image, as it was read before a push, right before each
// call of the store that the push causes. Whichever came first, the push wins: in the end the
// image is located, analysed and charged once.
func TestForgottenWhilePushed(t *testing.T) {
	for _, index := range []bool{false, true} {
		for at, more := int64(1), true; more; at++ {
			s := newSite(t, month(0))
			push := func() (all []gate.Digest) {
				if index {
					d, children := s.pushIndex("team/app", "v1")
					return append([]gate.Digest{d}, children...)
				}
				return []gate.Digest{s.push("team/app", "v1", 1)}
			}
			all := push()
			s.event("team/app", "v1", all[0])
			s.work()
			versions := map[gate.Digest]int64{}
			for _, d := range all {
				if err := s.store.MarkGone(s.ctx, d, gate.Location{Registry: hub, Repository: "team/app"}); err != nil {
					t.Fatal(err)
				}
				versions[d] = s.entry(d).Record.Version
			}
			used := s.used().Used
			var calls, forgotten atomic.Int64
			s.counted().before = func() {
				if calls.Add(1) != at {
					return
				}
				for _, d := range all {
					switch err := s.store.Forget(s.ctx, d, versions[d]); {
					case err == nil:
						forgotten.Add(1)
					case !errors.Is(err, gate.ErrConflict):
						t.Error(err)
					}
				}
			}
			s.event("team/app", "v1", all[0])
			s.work()
			more = calls.Load() >= at
			for i, d := range all {
				r := s.entry(d).Record
				l, located := r.At(gate.Location{Registry: hub, Repository: "team/app"})
				if !located || l.Gone || !r.Known() || r.Manifest.Kind == gate.KindUnknown {
					t.Errorf("index %v, call %d, digest %d (%d forgotten): %+v", index, at, i, forgotten.Load(), r)
				}
				if analysed := r.InventoryID != "" && r.FindingsID != "" && l.Verdict.Outcome != ""; analysed != (r.Manifest.Kind == gate.KindImage) {
					t.Errorf("index %v, call %d, digest %d (%d forgotten): analysed is %v: %+v", index, at, i, forgotten.Load(), analysed, r)
				}
			}
			if s.used().Used != used {
				t.Errorf("index %v, call %d: %d used, want %d", index, at, s.used().Used, used)
			}
			if at == 1 && forgotten.Load() != int64(len(all)) {
				t.Errorf("index %v: %d were forgotten before the first call", index, forgotten.Load())
			}
		}
	}
}
