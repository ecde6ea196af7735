package standing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/refusal"
	"github.com/digestgate/digestgate/policy"
)

// inMemory is one image in a store that takes no time.
type inMemory struct {
	mu       sync.Mutex
	record   gate.Record
	inv      gate.Inventory
	findings map[string]gate.Findings // by id
	puts     int
	fail     error
}

func (m *inMemory) Read(_ context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return gate.ReadResult{Digests: map[gate.Digest]gate.Entry{m.record.Digest: {Record: m.record}}}, nil
}

func (m *inMemory) Inventory(context.Context, gate.Digest) (*gate.Inventory, error) {
	inv := m.inv
	return &inv, nil
}

func (m *inMemory) Findings(context.Context, gate.Digest) (*gate.Findings, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.findings[m.record.FindingsID]
	if !ok {
		return nil, gate.ErrNotFound
	}
	return &f, nil
}

func (m *inMemory) PutFindings(_ context.Context, f *gate.Findings, replaces string) (gate.Written, error) {
	text, err := json.Marshal(f)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(err, m.fail); err != nil {
		return gate.Written{}, err
	}
	if replaces != m.record.FindingsID {
		return gate.Written{}, gate.ErrConflict
	}
	m.puts++
	id := fmt.Sprintf("findings %d of %d bytes", m.puts, len(text))
	m.findings[id] = *f
	m.record.TakeFindings(id, f)
	m.record.Version++
	return gate.Written{ID: id, Version: m.record.Version}, nil
}

func (m *inMemory) PutVerdicts(context.Context, gate.Digest, gate.Basis, []gate.Verdict) ([]gate.Verdict, error) {
	return nil, nil
}

func (m *inMemory) entry() gate.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return gate.Entry{Record: m.record}
}

// slow is a matcher that takes its time; what it finds in generation 2 denies.
type slow struct {
	mu      sync.Mutex
	takes   time.Duration
	g       gate.Generation
	version string
	matches int
}

func (s *slow) Match(ctx context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	s.mu.Lock()
	takes, g, version := s.takes, s.g, s.version
	s.matches++
	s.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, gate.ErrTimeout
	}
	f := &gate.Findings{Digest: inv.Digest, Generation: g.Number, Advisories: g.Content, UpdatedAt: g.UpdatedAt, Matcher: version, MatchedAt: time.Now()}
	if g.Number > 1 {
		f.Vulnerabilities = []gate.Vulnerability{{ID: "CVE-1", Package: "curl", FixedVersion: "8", Severity: gate.SeverityCritical, CVSS: 9.8}}
	}
	return f, nil
}

func (s *slow) Generation() (gate.Generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.g, true
}

func (s *slow) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *slow) activate(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g = gate.Generation{Number: n, Content: numbered(int(n)), UpdatedAt: time.Now(), ActivatedAt: time.Now()}
}

var team = gate.Location{Registry: "hub", Repository: "team/app"}

// reviewed is a standing with one image that generation 1 allows, while generation 2
// has just come into force, of which the difference is known.
func reviewed(t *testing.T) (*Standing, *inMemory, *slow) {
	t.Helper()
	engine, err := policy.New(t.Context(), policy.Options{
		Config: policy.Default(), Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Host: "hub.example"}})
	if err != nil {
		t.Fatal(err)
	}
	d := numbered(99)
	risks := map[gate.Risk]gate.RiskStatus{}
	for _, r := range gate.Risks() {
		risks[r] = gate.RiskStatus{Coverage: gate.Complete}
	}
	inv := gate.Inventory{Format: gate.InventoryFormat, Digest: d, Risks: risks, AnalyzedAt: time.Now(), Config: gate.ImageConfig{User: "65532"}}
	m := &inMemory{inv: inv, findings: map[string]gate.Findings{}, record: gate.Record{
		Digest: d, Version: 1, Manifest: gate.Manifest{Digest: d, Kind: gate.KindImage, Hashed: true},
		Locations: []gate.LocationState{{Location: team}},
	}}
	m.record.TakeInventory("inventory", &inv)
	matcher := &slow{version: "matcher"}
	matcher.activate(1)
	s := &Standing{
		Records: m, Matcher: matcher, Evaluator: engine, Registries: registries, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		SweepGrace: 10 * time.Minute,
		Difference: func(g gate.Generation, _ string) (int64, gate.Digest, bool) {
			return g.Number - 1, numbered(int(g.Number - 1)), true
		},
	}
	if err := s.Match(t.Context(), gate.Known{Entry: m.entry()}, gate.Occasion{Event: gate.EventPush}); err != nil {
		t.Fatal(err)
	}
	matcher.activate(2)
	return s, m, matcher
}

// review asks about the image as admission does, with a deadline of 10 s.
func review(ctx context.Context, s *Standing, m *inMemory) gate.Decision {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	q := s.Question(m, m.entry(), team, gate.EventAdmission, nil)
	q.Host, q.Request = "hub.example", &gate.Request{Namespace: "team"}
	return s.Evaluate(ctx, q)
}

// TestReviewsWhileASweepRuns: a match that fits the time of a review decides.
// Otherwise the former findings do if all is as it has to be, and nothing does if
// anything is not; there is never a timeout.
func TestReviewsWhileASweepRuns(t *testing.T) {
	const (
		matched = "matched"
		former  = "former"
		pending = "pending"
	)
	for _, c := range []struct {
		name   string
		change func(s *Standing, m *inMemory, matcher *slow)
		want   string // when the match does not fit
	}{
		{"grace", func(*Standing, *inMemory, *slow) {}, former},
		{"at_the_end_of_the_grace", func(*Standing, *inMemory, *slow) { time.Sleep(10*time.Minute - time.Second) }, former},
		{"expired", func(*Standing, *inMemory, *slow) { time.Sleep(10 * time.Minute) }, pending},
		{"no_grace", func(s *Standing, _ *inMemory, _ *slow) { s.SweepGrace = 0 }, pending},
		{"an_older_generation", func(_ *Standing, _ *inMemory, matcher *slow) { matcher.activate(3) }, pending},
		{"another_content_of_the_generation_before", func(_ *Standing, m *inMemory, _ *slow) { m.record.Advisories = numbered(7) }, pending},
		{"another_matcher", func(_ *Standing, m *inMemory, _ *slow) { m.record.Matcher = "earlier" }, pending},
		{"an_upgraded_matcher", func(_ *Standing, _ *inMemory, matcher *slow) { matcher.version = "upgraded" }, pending},
		{"findings_of_another_inventory", func(_ *Standing, m *inMemory, _ *slow) { m.record.FindingsOf = "former inventory" }, pending},
		{"an_unknown_difference", func(s *Standing, _ *inMemory, _ *slow) {
			s.Difference = func(gate.Generation, string) (int64, gate.Digest, bool) { return 0, "", false }
		}, pending},
		{"no_differences", func(s *Standing, _ *inMemory, _ *slow) { s.Difference = nil }, pending},
		{"an_activation_in_the_future", func(_ *Standing, _ *inMemory, matcher *slow) { matcher.g.ActivatedAt = time.Now().Add(time.Hour) }, pending},
		{"a_record_that_was_put_back", func(s *Standing, m *inMemory, _ *slow) {
			before := m.record
			_ = s.Match(context.Background(), gate.Known{Entry: m.entry()}, gate.Occasion{Event: gate.EventRescan})
			m.record = before
		}, pending},
		{"a_record_that_was_put_back_after_a_review", func(s *Standing, m *inMemory, _ *slow) {
			before := m.record
			review(context.Background(), s, m)
			s.Settle()
			m.record = before
			s.Evaluator = forgetful{s.Evaluator}
		}, pending},
	} {
		for takes, want := range map[time.Duration]string{0: matched, 7 * time.Second: matched, 9 * time.Second: c.want, time.Hour: c.want} {
			t.Run(fmt.Sprintf("%s/%s", c.name, takes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, m, matcher := reviewed(t)
					c.change(s, m, matcher)
					matcher.mu.Lock()
					matcher.takes = takes
					matcher.mu.Unlock()
					began := time.Now()
					d := review(t.Context(), s, m)
					if took := time.Since(began); took > 9*time.Second {
						t.Errorf("the answer took %s of 10 s", took)
					}
					got := matched
					switch {
					case d.Unmatched && d.Former > 0:
						got = former
					case d.Unmatched:
						got = pending
					}
					if got != want {
						t.Fatalf("got %s, want %s: %+v", got, want, d)
					}
					check(t, got, d)
					time.Sleep(time.Minute) // what is under way ends
					s.Settle()
					if takes < 10*time.Second && want != matched {
						if d := review(t.Context(), s, m); d.Code != gate.CodePolicy || d.Unmatched {
							t.Errorf("the next try: %+v, want it decided by what was matched aside", d)
						}
					}
				})
			})
		}
	}
}

// forgetful is an evaluator that has just started: it has nothing in memory.
type forgetful struct{ Evaluator }

func (f forgetful) Evaluate(ctx context.Context, q gate.Question) gate.Decision {
	q.Record.FindingsID += " again"
	return f.Evaluator.Evaluate(ctx, q)
}

// check says what an answer looks like.
func check(t *testing.T, kind string, d gate.Decision) {
	t.Helper()
	var texts []string
	for _, r := range d.Reasons {
		texts = append(texts, r.Msg)
	}
	said := strings.Join(texts, "; ")
	switch kind {
	case "matched":
		if d.Outcome != gate.OutcomeDeny || d.Code != gate.CodePolicy {
			t.Errorf("%+v, want the new finding to deny", d)
		}
	case "former":
		if d.Outcome != gate.OutcomeWarn || d.Code != "" || d.Former != 1 || !strings.Contains(said, "generation 1") || !strings.Contains(said, "generation 2") {
			t.Errorf("%+v, want it allowed with a warning that names both generations", d)
		}
	case "pending":
		if d.Outcome != gate.OutcomeNone || d.Code != gate.CodePending || len(d.Reasons) != 1 || refusal.English(d.Reasons[0].Text) != said || !strings.Contains(said, "generation") {
			t.Errorf("%+v, want PENDING", d)
		}
	}
}

// TestReviewWritesItsFindingsBack: what a review has matched is stored aside, once for
// all reviews that wait for it, and a store that does not take it delays none.
func TestReviewWritesItsFindingsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, matcher := reviewed(t)
		matcher.takes = time.Second
		before := matcher.matches
		var reviews sync.WaitGroup
		for range 50 {
			reviews.Go(func() {
				if d := review(t.Context(), s, m); d.Code != gate.CodePolicy {
					t.Errorf("got %+v", d)
				}
			})
		}
		reviews.Wait()
		s.Settle()
		if n := matcher.matches - before; n != 1 {
			t.Errorf("%d matches for one image, want 1", n)
		}
		if r := m.entry().Record; r.Generation != 2 || r.Counts.Critical != 1 {
			t.Errorf("stored is generation %d with %+v", r.Generation, r.Counts)
		}
		if d := review(t.Context(), s, m); d.Code != gate.CodePolicy || d.Unmatched {
			t.Errorf("from what is stored: %+v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s, m, _ := reviewed(t)
		m.fail = gate.ErrStoreUnavailable
		began := time.Now()
		if d := review(t.Context(), s, m); d.Code != gate.CodePolicy || time.Since(began) > 0 {
			t.Errorf("got %+v after %s", d, time.Since(began))
		}
		s.Settle()
		if r := m.entry().Record; r.Generation != 1 {
			t.Errorf("stored is generation %d", r.Generation)
		}
	})
}

// TestUnmatchedImagesAreSweptNext: the image that a review could not wait for is the
// next one of a sweep that is under way.
func TestUnmatchedImagesAreSweptNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, matcher := reviewed(t)
		matcher.takes = time.Hour
		review(t.Context(), s, m)
		if got := s.front.take(); len(got) != 1 || got[0] != m.record.Digest {
			t.Errorf("in front are %v", got)
		}
		time.Sleep(2 * time.Hour)
	})
}
