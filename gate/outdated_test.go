package gate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/policy"
)

// scanned is a site with one image that is known and allowed, and its reference.
func scanned(t *testing.T) (s *site, d gate.Digest, image string) {
	t.Helper()
	return scannedWith(t, "")
}

// scannedWith is scanned with a vulnerability of a severity in the image.
func scannedWith(t *testing.T, severity gate.Severity) (s *site, d gate.Digest, image string) {
	t.Helper()
	s = newSite(t, month(0))
	d = s.push("team/app", "v1", 1)
	if severity != "" {
		s.matcher.bad[d] = severity
	}
	s.event("team/app", "v1", d)
	s.work()
	// Nothing is cached: it is a process that has just started.
	engine, err := policy.New(t.Context(), policy.Options{Config: policy.Default(), Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: s.Log, Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.standing.Evaluator = engine
	return s, d, s.at("team/app", "@"+string(d))
}

// TestOutdatedFindings: admission does not wait for the sweep. Findings of older
// data than what is loaded here decide nothing, whether they are on their way to
// be replaced or somebody has put them back.
func TestOutdatedFindings(t *testing.T) {
	t.Run("of_an_older_generation", func(t *testing.T) {
		s, d, image := scanned(t)
		registry := prometheus.NewRegistry()
		l := s.lookupOn(s.store, s.store, lookup.Options{}, lookup.NewMetrics(registry))
		if a := s.ask(l, image); !a.Permits() {
			t.Fatalf("before: %+v", a)
		}
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.activate(2)
		before := s.matcher.matches
		for range 3 {
			if a := s.ask(l, image); a.Permits() || a.Code != gate.CodePolicy || a.Generation != 2 {
				t.Fatalf("new data, not swept: got %+v", a)
			}
		}
		if n := s.matcher.matches - before; n != 1 {
			t.Errorf("%d matches for three answers, want 1", n)
		}
		if r := s.entry(d).Record; r.Generation != 2 || s.verdict(d) != gate.OutcomeDeny {
			t.Errorf("admission has stored generation %d with verdict %s, want what it matched", r.Generation, s.verdict(d))
		}
		if n, err := testutil.GatherAndCount(registry, "digestgate_admission_matches_total"); n != 1 || err != nil {
			t.Errorf("matches are not counted: %d %v", n, err)
		}
		// What was matched in between answers for its own data only.
		delete(s.matcher.bad, d)
		s.matcher.activate(3)
		if a := s.ask(l, image); !a.Permits() {
			t.Errorf("the next data: got %+v", a)
		}
	})
	t.Run("of_another_content_with_the_same_number", func(t *testing.T) {
		s, d, image := scanned(t)
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.generation.Content = gate.Digest("sha256:" + pad(9))
		if a := s.ask(s.lookup(lookup.Options{}), image); a.Permits() {
			t.Errorf("got %+v", a)
		}
		if r := s.entry(d).Record; r.Advisories != s.matcher.generation.Content {
			t.Errorf("stored are findings of %s", r.Advisories)
		}
		s.matcher.generation.Content = gate.Digest("sha256:" + pad(8))
		if swept, err := s.sweeper(listed{d}).Rematch(s.ctx); err != nil || swept.Matched != 1 {
			t.Errorf("swept %+v, %v", swept, err)
		}
	})
	t.Run("of_a_newer_generation_than_ours", func(t *testing.T) {
		s, d, image := scanned(t)
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.activate(2)
		if _, err := s.sweeper(listed{d}).Rematch(s.ctx); err != nil {
			t.Fatal(err)
		}
		delete(s.matcher.bad, d) // this replica lags
		s.matcher.activate(1)
		if a := s.ask(s.lookup(lookup.Options{}), image); a.Permits() {
			t.Errorf("a replica that lags: got %+v", a)
		}
	})
	t.Run("that_cannot_be_matched", func(t *testing.T) {
		s, _, image := scanned(t)
		s.matcher.activate(2)
		s.matcher.during = func() { panic("detector") }
		if a := s.ask(s.lookup(lookup.Options{}), image); a.Permits() {
			t.Errorf("got %+v", a)
		}
	})
}

// lossy loses large values.
type lossy struct {
	gate.Reader
	inventory, findings bool
}

func (l lossy) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	if l.inventory {
		return nil, fmt.Errorf("inventory: %w", gate.ErrNotFound)
	}
	return l.Reader.Inventory(ctx, d)
}

func (l lossy) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	if l.findings {
		return nil, fmt.Errorf("findings: %w", gate.ErrNotFound)
	}
	return l.Reader.Findings(ctx, d)
}

// TestLostValues: what a shared store has lost, or somebody has replaced, comes
// back by itself when it is needed.
func TestLostValues(t *testing.T) {
	t.Run("findings", func(t *testing.T) {
		s, d, image := scannedWith(t, gate.SeverityHigh)
		l := s.lookupOn(lossy{s.store, false, true}, s.store, lookup.Options{}, nil)
		s.matcher.bad[d] = gate.SeverityCritical
		if a := s.ask(l, image); a.Permits() || a.Code != gate.CodePolicy {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("findings_of_newer_data", func(t *testing.T) {
		s, _, image := scannedWith(t, gate.SeverityHigh)
		s.matcher.activate(0)
		l := s.lookupOn(lossy{s.store, false, true}, s.store, lookup.Options{}, nil)
		if a := s.ask(l, image); a.Permits() || a.Code != gate.CodePending {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("inventory", func(t *testing.T) {
		s, d, image := scanned(t)
		s.matcher.activate(2)
		l := s.lookupOn(lossy{s.store, true, false}, s.store, lookup.Options{}, nil)
		if a := s.ask(l, image); a.Permits() || a.Code != gate.CodeUnscanned {
			t.Errorf("got %+v", a)
		}
		if job := s.work()[string(d)]; job.State != gate.JobDone || !job.Force || s.analyzer.count() != 2 || s.used().Used != 1 {
			t.Errorf("it is not analysed again for free: %+v, %d analyses, used %d", job, s.analyzer.count(), s.used().Used)
		}
	})
	t.Run("that_no_rule_needs", func(t *testing.T) {
		s, _, image := scanned(t)
		l := s.lookupOn(lossy{s.store, true, true}, s.store, lookup.Options{}, nil)
		if a := s.ask(l, image); a.Outcome != gate.OutcomeAllow {
			t.Errorf("the record says that there is nothing to find: got %+v", a)
		}
	})
}
