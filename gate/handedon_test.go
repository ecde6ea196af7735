package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/policy"
)

// racing are records under which something moves before a write.
type racing struct {
	records
	inventory, findings, verdicts func() // before that is written
}

// at runs what moves, once unless it is set again.
func at(move *func()) {
	if f := *move; f != nil {
		*move = nil
		f()
	}
}

func (r *racing) PutInventory(ctx context.Context, epoch int64, inv *gate.Inventory) (gate.Written, error) {
	at(&r.inventory)
	return r.records.PutInventory(ctx, epoch, inv)
}

func (r *racing) PutFindings(ctx context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	at(&r.findings)
	return r.records.PutFindings(ctx, f, replaces)
}

func (r *racing) PutVerdicts(ctx context.Context, d gate.Digest, b gate.Basis, list []gate.Verdict) ([]gate.Verdict, error) {
	at(&r.verdicts)
	return r.records.PutVerdicts(ctx, d, b, list)
}

// racing makes the site's records race.
func (s *site) racing() *racing {
	r := &racing{records: s.store}
	s.keepIn(r)
	return r
}

// another is the standing of another process on the same store, with a generation of
// its own.
func (s *site) another(generation int64, bad map[gate.Digest]gate.Severity) *standing.Standing {
	m := &scriptedMatcher{bad: bad}
	m.activate(generation)
	return &standing.Standing{Records: s.store, Matcher: m, Evaluator: s.standing.Evaluator, Registries: s.Registries, Now: s.clock.Now, Log: s.Log}
}

// match matches as the process of p does.
func (s *site) match(p *standing.Standing, d gate.Digest) {
	s.t.Helper()
	if err := p.Match(s.ctx, gate.Known{Entry: s.entry(d)}, gate.Occasion{Event: gate.EventRescan}); err != nil {
		s.t.Errorf("matching in the other process: %v", err)
	}
}

var atCopy = gate.Location{Registry: hub, Repository: "team/copy"}

// known is a site with one image that is allowed.
func (s *site) known() gate.Digest {
	s.t.Helper()
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.push("team/copy", "v1", 1)
	s.clock.Advance(time.Hour)
	return d
}

// locate records another location, as a resolve elsewhere does.
func (s *site) locate(d gate.Digest) {
	if _, err := s.store.AddLocation(s.ctx, d, atCopy); err != nil {
		s.t.Error(err)
	}
}

// TestWhatMovesAfterItWasRead: what is handed on may be overtaken before each write.
// What stands in the end is what the last reader would have written.
func TestWhatMovesAfterItWasRead(t *testing.T) {
	critical := func(d gate.Digest) map[gate.Digest]gate.Severity {
		return map[gate.Digest]gate.Severity{d: gate.SeverityCritical}
	}
	for name, test := range map[string]func(s *site, r *racing) gate.Digest{
		// A process whose data is older must not put back its verdict.
		"newer_findings_before_verdicts": func(s *site, r *racing) gate.Digest {
			d := s.known()
			r.verdicts = func() { s.match(s.another(2, critical(d)), d) }
			s.event("team/copy", "v1", d)
			return d
		},
		"the_same_match_in_another_process": func(s *site, r *racing) gate.Digest {
			d := s.known()
			s.matcher.bad = critical(d)
			s.matcher.activate(2)
			r.findings = func() { s.match(s.another(2, critical(d)), d); s.clock.Advance(time.Hour) }
			s.event("team/copy", "v1", d)
			return d
		},
		"a_new_inventory_before_findings": func(s *site, r *racing) gate.Digest {
			d := s.known()
			s.matcher.bad = critical(d)
			s.matcher.activate(2)
			r.findings = func() {
				_, err := s.store.PutInventory(s.ctx, s.entry(d).Record.Epoch+1, &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "set-2", AnalyzedAt: s.clock.Now()})
				if err != nil {
					s.t.Error(err)
				}
			}
			s.event("team/copy", "v1", d)
			return d
		},
		"a_location_before_the_findings_of_a_sweep": func(s *site, r *racing) gate.Digest {
			d := s.known()
			s.matcher.bad = critical(d)
			s.matcher.activate(2)
			r.findings = func() { s.locate(d) }
			s.rematch(s.sweeper(listed{d}))
			return d
		},
		"a_location_before_an_inventory": func(s *site, r *racing) gate.Digest {
			d := s.push("team/app", "v1", 1)
			s.matcher.bad = critical(d)
			s.matcher.activate(2)
			s.event("team/app", "v1", d)
			r.inventory = func() { s.locate(d) }
			return d
		},
		"a_location_before_the_findings_of_an_analysis": func(s *site, r *racing) gate.Digest {
			d := s.push("team/app", "v1", 1)
			s.matcher.bad = critical(d)
			s.matcher.activate(2)
			s.event("team/app", "v1", d)
			r.findings = func() { s.locate(d) }
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothStores(t, func(t *testing.T, s *site) {
				r := s.racing()
				d := test(s, r)
				for key, job := range s.work() {
					if job.State != gate.JobDone {
						t.Errorf("job %s: got %s (%s), want done", key, job.State, job.Error)
					}
				}
				if r.inventory != nil || r.findings != nil || r.verdicts != nil {
					t.Fatal("nothing has moved")
				}
				rec := s.entry(d).Record
				if rec.FindingsOf != rec.InventoryID || rec.Generation != 2 {
					t.Errorf("findings are of %s and generation %d, want %s and 2", rec.FindingsOf, rec.Generation, rec.InventoryID)
				}
				if len(rec.Locations) != 2 {
					t.Fatalf("locations: %+v", rec.Locations)
				}
				for _, l := range rec.Locations {
					if l.Verdict.Outcome != gate.OutcomeDeny {
						t.Errorf("at %s: got %+v, want a deny", l.Location, l.Verdict)
					}
				}
			})
		})
	}
}

// busy are records of a digest that another worker analyses before it is recorded that
// it was seen elsewhere.
type busy struct {
	records
	meanwhile func()
}

func (b *busy) Sight(ctx context.Context, s gate.Sighting) (gate.Sighted, error) {
	at(&b.meanwhile)
	return b.records.Sight(ctx, s)
}

// TestAnalysisEndsWhileALocationIsRecorded: the analysis has evaluated before it could
// see the new location, and its job is not finished yet, so that no other will run.
func TestAnalysisEndsWhileALocationIsRecorded(t *testing.T) {
	for name, fail := range map[string]func(gate.AnalyzeRequest) error{"scanned": nil, "unassessable": tooLarge} {
		t.Run(name, func(t *testing.T) {
			onBothStores(t, func(t *testing.T, s *site) {
				seen := &tagsSeen{Evaluator: s.standing.Evaluator}
				s.standing.Evaluator, s.analyzer.fail = seen, fail
				d := s.push("team/app", "v1", 1)
				s.push("team/copy", "v7", 1)
				s.event("team/app", "v1", d)
				handle := func() gate.Job {
					job, err := s.store.Claim(s.ctx, s.claim())
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Handlers()[job.Kind](s.ctx, gate.NewRun(job)); err != nil && fail == nil {
						t.Fatal(err)
					}
					return job
				}
				finish := func(job gate.Job) {
					if _, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{}); err != nil {
						t.Fatal(err)
					}
				}
				finish(handle())
				analysis, err := s.store.Claim(s.ctx, s.claim())
				if err != nil || analysis.Kind != gate.JobAnalyze {
					t.Fatalf("got a job of kind %q, %v", analysis.Kind, err)
				}
				s.event("team/copy", "v7", d)
				s.Records = &busy{s.store, func() {
					if err := s.Handlers()[gate.JobAnalyze](s.ctx, gate.NewRun(analysis)); err != nil && fail == nil {
						t.Error(err)
					}
					seen.last = nil
				}}
				finish(handle())
				finish(analysis)
				at, _ := s.entry(d).Record.At(atCopy)
				if at.Verdict.Outcome == "" {
					t.Errorf("the new location has no verdict")
				}
				if !slices.Contains(seen.last, "v7") {
					t.Errorf("the last verdict was asked for tags %v, want v7 among them", seen.last)
				}
			})
		})
	}
}

// everNew answers by other policies each time, so that each verdict has to be written.
type everNew struct {
	standing.Evaluator
	revision int
}

func (e *everNew) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	d := e.Evaluator.Evaluate(ctx, q)
	e.revision++
	d.PolicyRevision = fmt.Sprint(e.revision)
	return d
}

// TestRecordThatKeepsChanging: a renewal that never comes through ends, and its job is
// tried again.
func TestRecordThatKeepsChanging(t *testing.T) {
	s := newSite(t, month(0))
	d := s.known()
	r := s.racing()
	other, moves := s.another(2, map[gate.Digest]gate.Severity{}), 0
	var move func()
	move = func() {
		moves++
		other.Matcher.(*scriptedMatcher).activate(int64(2 + moves))
		s.match(other, d)
		r.verdicts = move
	}
	r.verdicts = move
	s.standing.Evaluator = &everNew{Evaluator: s.standing.Evaluator}
	err := s.standing.RenewVerdicts(s.ctx, gate.Known{Entry: s.entry(d)}, gate.Occasion{Event: gate.EventRescan})
	if !errors.Is(err, gate.ErrBusy) || moves != 3 {
		t.Errorf("got %v after %d tries, want ErrBusy after 3", err, moves)
	}
}

// TestVerdictFromTheHandIsThatFromTheStore: what an analysis hands on is evaluated as
// what a process reads that has just started.
func TestVerdictFromTheHandIsThatFromTheStore(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		s.analyzer.gaps = []gate.AnalyzerError{{Risk: gate.RiskSecrets, Analyzer: "secrets", Path: "opt/\xff<a>", Message: "is \"odd\""}}
		d := s.push("team/app", "v1", 1)
		s.matcher.bad[d] = gate.SeverityCritical
		s.event("team/app", "v1", d)
		s.work()
		engine, err := policy.New(t.Context(), policy.Options{
			Config: policy.Default(), Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		place := gate.Location{Registry: hub, Repository: "team/app"}
		stored, _ := s.entry(d).Record.At(place)
		fresh := engine.Evaluate(t.Context(), s.standing.Question(s.store, s.entry(d), place, gate.EventPush, nil))
		if stored.Verdict.Outcome != gate.OutcomeDeny || !stored.Verdict.Same(fresh) {
			t.Errorf("verdict from the hand and from the store (-hand +store):\n%s", cmp.Diff(stored.Verdict, fresh))
		}
	})
}
