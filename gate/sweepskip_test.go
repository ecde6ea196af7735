package gate_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
)

// holding is an evaluator whose answers hold for a while, and that counts them.
type holding struct {
	standing.Evaluator
	holds     time.Duration // 0: it does not know
	revision  string        // "" for that of the evaluator
	evaluated atomic.Int64
}

func (h *holding) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	h.evaluated.Add(1)
	d := h.Evaluator.Evaluate(ctx, q)
	d.Until = time.Time{}
	if h.holds > 0 {
		d.Until = q.Now.Add(h.holds)
	}
	if h.revision != "" {
		d.PolicyRevision = h.revision
	}
	return d
}

func (h *holding) Revision() string {
	if h.revision != "" {
		return h.revision
	}
	return h.Evaluator.Revision()
}

// settled is a site with n swept images whose verdicts hold for an hour, and the
// sweeper that knows.
func (s *site) settled(n int) (all listed, e *holding, sweeper *standing.Sweeper, tags map[gate.Digest][]gate.TagKey) {
	s.t.Helper()
	all = s.stored(n)
	e = &holding{Evaluator: s.standing.Evaluator, holds: time.Hour}
	s.standing.Evaluator = e
	tags = map[gate.Digest][]gate.TagKey{}
	s.standing.Tags = func(_ context.Context, d gate.Digest, loc gate.Location) (names []string) {
		for _, t := range tags[d] {
			if t.Location == loc {
				names = append(names, t.Tag)
			}
		}
		return names
	}
	sweeper = standing.NewSweeper(s.standing, standing.SweepOptions{
		Digests: all, Scheduler: s.sweeping, Quota: s.Quota, Marks: s.marks(),
		Tags: func(context.Context, []gate.Digest) (map[gate.Digest][]gate.TagKey, error) { return tags, nil },
	})
	if swept := s.rematch(sweeper); swept.Matched != n || swept.Failed != 0 {
		s.t.Fatalf("the first sweep: %+v", swept)
	}
	e.evaluated.Store(0)
	return all, e, sweeper, tags
}

// TestSweepSkipsWhatCannotHaveChanged: the first sweep with nothing new reads records, a
// page in a call, and later ones only marks.
func TestSweepSkipsWhatCannotHaveChanged(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		c := s.counted()
		all, e, sweeper, _ := s.settled(4)
		for _, want := range []string{"Marks Read ChargesOf", "Marks ChargesOf", "Marks ChargesOf"} {
			s.clock.Advance(19 * time.Minute)
			c.take()
			swept := s.rematch(sweeper)
			if swept.Skipped != len(all) || swept.Evaluated != 0 || swept.Seen != len(all) || e.evaluated.Load() != 0 {
				t.Errorf("%+v with %d evaluations, want all skipped", swept, e.evaluated.Load())
			}
			if calls := strings.Join(c.take(), " "); calls != want {
				t.Errorf("the store was called: %s, want %s", calls, want)
			}
		}
		s.clock.Advance(3 * time.Minute) // what is evaluated and comes out the same is not written
		s.rematch(sweeper)
		s.clock.Advance(19 * time.Minute)
		c.take()
		if swept := s.rematch(sweeper); swept.Skipped != len(all) {
			t.Errorf("%+v, want all skipped", swept)
		}
		if calls := strings.Join(c.take(), " "); calls != "Marks" { // analysed more than an hour ago
			t.Errorf("after an evaluation that changed nothing the store was called: %s", calls)
		}
	})
}

// TestSweepEvaluatesWhatMayHaveChanged: each thing that a verdict follows from makes
// the next sweep evaluate again, and the one after it skip.
func TestSweepEvaluatesWhatMayHaveChanged(t *testing.T) {
	loc := gate.Location{Registry: hub, Repository: "team/app"}
	for name, change := range map[string]func(*site, gate.Digest, *holding, map[gate.Digest][]gate.TagKey){
		"the_time_has_come": func(s *site, _ gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			s.clock.Advance(time.Hour)
		},
		"the_clock_was_set_back": func(s *site, _ gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			s.clock.Advance(-time.Minute)
		},
		"other_policies": func(_ *site, _ gate.Digest, e *holding, _ map[gate.Digest][]gate.TagKey) {
			e.revision = "sha256:other"
		},
		"another_host": func(s *site, _ gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			list := slices.Clone(s.standing.Registries.All())
			list[0].Host = "other.invalid"
			with, err := gate.NewRegistries(list)
			if err != nil {
				s.t.Fatal(err)
			}
			s.standing.Registries.Replace(with)
		},
		"a_tag": func(_ *site, d gate.Digest, _ *holding, tags map[gate.Digest][]gate.TagKey) {
			tags[d] = []gate.TagKey{{Location: loc, Tag: "latest"}}
		},
		"a_location": func(s *site, d gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			if _, err := s.store.AddLocation(s.ctx, d, gate.Location{Registry: hub, Repository: "team/copy"}); err != nil {
				s.t.Fatal(err)
			}
		},
		"a_verdict_that_was_put_back": func(s *site, d gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			rec := s.entry(d).Record
			old := gate.Verdict{Decision: gate.Decision{Outcome: gate.OutcomeAllow, Reasons: []gate.Reason{}, EvaluatedAt: s.clock.Now().Add(-time.Hour)}, Location: loc}
			if _, err := s.store.PutVerdicts(s.ctx, d, rec.Basis(), []gate.Verdict{old}); err != nil {
				s.t.Fatal(err)
			}
		},
		"findings": func(s *site, d gate.Digest, _ *holding, _ map[gate.Digest][]gate.TagKey) {
			rec := s.entry(d).Record
			f, err := s.store.Findings(s.ctx, d)
			if err == nil {
				f.Vulnerabilities = []gate.Vulnerability{{ID: "CVE-1", Package: "curl", Severity: gate.SeverityLow}}
				_, err = s.store.PutFindings(s.ctx, f, rec.FindingsID)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		},
		"it_is_not_known_how_long_it_holds": func(s *site, _ gate.Digest, e *holding, _ map[gate.Digest][]gate.TagKey) {
			s.clock.Advance(time.Hour)
			e.holds = 0
		},
	} {
		run := func(name string, marked bool) {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, month(0))
				all, e, sweeper, tags := s.settled(1)
				if marked {
					s.rematch(sweeper) // it is known by its mark from now on
				}
				change(s, all[0], e, tags)
				if swept := s.rematch(sweeper); swept.Evaluated != 1 || e.evaluated.Load() == 0 {
					t.Errorf("%+v, want it evaluated", swept)
				}
				swept := s.rematch(sweeper)
				if want := e.holds > 0; swept.Skipped == 1 != want {
					t.Errorf("the sweep after it: %+v, skipped %t", swept, want)
				}
			})
		}
		run(name, false)
		run(name+"_known_by_its_mark", true)
	}
	t.Run("a_new_generation", func(t *testing.T) {
		s := newSite(t, month(0))
		_, _, sweeper, _ := s.settled(1)
		s.matcher.activate(2)
		if swept := s.rematch(sweeper); swept.Matched != 1 {
			t.Errorf("%+v, want it matched", swept)
		}
	})
	t.Run("policies_that_change_during_the_evaluation", func(t *testing.T) {
		s := newSite(t, month(0))
		_, e, sweeper, _ := s.settled(1)
		s.clock.Advance(time.Hour)
		mixed := &swapping{holding: e}
		s.standing.Evaluator = mixed
		s.rematch(sweeper)
		if swept := s.rematch(sweeper); swept.Evaluated != 1 {
			t.Errorf("%+v, want it evaluated: its verdict is of other policies", swept)
		}
	})
}

// swapping answers once with policies that are gone before and after.
type swapping struct {
	*holding
	once atomic.Bool
}

func (w *swapping) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	d := w.holding.Evaluate(ctx, q)
	if !w.once.Swap(true) {
		d.PolicyRevision = "sha256:between"
	}
	return d
}
