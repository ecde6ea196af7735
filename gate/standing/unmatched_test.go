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

func (m *inMemory) History(context.Context, gate.Digest, gate.HistoryQuery) ([]gate.HistoryEntry, error) {
	return nil, nil
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
		Replaced: func(rec *gate.Record, g gate.Generation) (gate.Digest, bool) {
			base := numbered(int(g.Number - 1))
			return base, rec.Generation == g.Number-1 && rec.Advisories == base
		},
	}
	if err := s.Match(t.Context(), gate.Known{Entry: m.entry()}, gate.Occasion{Event: gate.EventPush}); err != nil {
		t.Fatal(err)
	}
	replaces(s, matcher, 2)
	return s, m, matcher
}

// replaces puts a generation into use, as Ahead does.
func replaces(s *Standing, matcher *slow, n int64) {
	former, _ := matcher.Generation()
	matcher.activate(n)
	s.newer.begin(former.Content, matcher.g)
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
		{"an_older_generation", func(s *Standing, _ *inMemory, matcher *slow) { replaces(s, matcher, 3) }, pending},
		{"a_process_that_has_started_since", func(s *Standing, _ *inMemory, _ *slow) { s.newer = newer{} }, pending},
		{"a_process_that_had_other_data", func(s *Standing, _ *inMemory, matcher *slow) {
			s.newer = newer{}
			s.newer.begin(numbered(5), matcher.g)
		}, pending},
		{"another_content_of_the_generation_before", func(_ *Standing, m *inMemory, _ *slow) { m.record.Advisories = numbered(7) }, pending},
		{"another_matcher", func(_ *Standing, m *inMemory, _ *slow) { m.record.Matcher = "earlier" }, pending},
		{"an_upgraded_matcher", func(_ *Standing, _ *inMemory, matcher *slow) { matcher.version = "upgraded" }, pending},
		{"findings_of_another_inventory", func(_ *Standing, m *inMemory, _ *slow) { m.record.FindingsOf = "former inventory" }, pending},
		{"an_unknown_difference", func(s *Standing, _ *inMemory, _ *slow) {
			s.Replaced = func(*gate.Record, gate.Generation) (gate.Digest, bool) { return "", false }
		}, pending},
		{"no_differences", func(s *Standing, _ *inMemory, _ *slow) { s.Replaced = nil }, pending},
		{"an_activation_in_the_future", func(s *Standing, _ *inMemory, matcher *slow) {
			matcher.g.ActivatedAt = time.Now().Add(time.Hour)
			s.newer = newer{}
			s.newer.begin(numbered(1), matcher.g)
		}, pending},
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

// TestCrowdsDoNotWait: while more reviews come than can be matched, each is answered at
// once by the former findings, and the sweep is told which images to take; where they may
// not decide, reviews wait as before. A match that was made decides all the same.
func TestCrowdsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, matcher := reviewed(t)
		matcher.takes = time.Second
		others := func(i int) gate.Digest { return numbered(1000 + i) }
		for i := range matchCrowd { // which wait
			s.matching.enter(others(i), time.Now(), false)
		}
		ask := func(ctx context.Context) (gate.Question, gate.Decision, time.Duration) {
			q := s.Question(m, m.entry(), team, gate.EventAdmission, nil)
			q.Host, q.Request = "hub.example", &gate.Request{Namespace: "team"}
			began := time.Now()
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return q, s.Evaluate(ctx, q), time.Since(began)
		}
		q, d, took := ask(t.Context())
		check(t, "former", d)
		if took > 0 || !d.Unmatched {
			t.Errorf("in a crowd: %+v after %s, want the former findings at once", d, took)
		}
		if front := s.front.take(); len(front) != 1 || front[0] != m.record.Digest {
			t.Errorf("in front of the sweep are %v", front)
		}
		if d, ok := s.Known(q); !ok || !d.Unmatched || d.Outcome != gate.OutcomeWarn {
			t.Errorf("at hand: %+v %v, want the former findings with a warning", d, ok)
		}
		if front := s.front.take(); len(front) != 1 {
			t.Errorf("in front of the sweep are %v", front)
		}
		strict := *q.Former
		strict.Record.Generation-- // they may not decide
		q.Former = &strict
		if d, ok := s.Known(q); ok {
			t.Errorf("at hand where they may not decide: %+v", d)
		}
		for i := range matchCrowd {
			s.matching.leave(others(i))
		}
		if _, d, took := ask(t.Context()); d.Code != gate.CodePolicy || d.Unmatched || took != time.Second {
			t.Errorf("when there is room again: %+v after %s, want it to be matched", d, took)
		}
		for i := range matchCrowd {
			s.matching.enter(others(i), time.Now(), true)
		}
		m.fail = gate.ErrStoreUnavailable
		if _, d, _ := ask(t.Context()); d.Code != gate.CodePolicy || d.Unmatched {
			t.Errorf("what was matched: %+v, want it to decide although it is not stored", d)
		}
		s.Settle()
	})
	synctest.Test(t, func(t *testing.T) {
		s, m, matcher := reviewed(t)
		matcher.takes, s.SweepGrace = time.Second, 0
		for i := range 3 * matchCrowd {
			s.matching.enter(numbered(1000+i), time.Now(), true)
		}
		if d := review(t.Context(), s, m); d.Code != gate.CodePolicy || d.Unmatched {
			t.Errorf("without a grace: %+v, want it to wait for the match", d)
		}
		s.Settle()
	})
}

// TestCrowded: who is let in to wait for a match.
func TestCrowded(t *testing.T) {
	var m matching
	now := time.Unix(1_000, 0)
	for i := range matchCrowd {
		if !m.enter(numbered(i), now, false) || !m.enter(numbered(i), now, false) {
			t.Fatalf("reviews of image %d do not wait", i)
		}
		m.leave(numbered(i))
	}
	if m.enter("sha256:x", now, false) || !m.crowded("sha256:x", now) || !m.enter("sha256:y", now, true) {
		t.Error("one more than there is room for waits, or one that has to does not")
	}
	if m.crowded("sha256:y", now) {
		t.Error("an image that is waited for is not waited for by another review")
	}
	for i := range matchCrowd + 1 - computing() {
		m.leave(numbered(i))
	}
	if m.enter("sha256:x", now.Add(time.Second), false) {
		t.Error("soon after one was turned away as many are let in as before")
	}
	m.leave("sha256:y")
	if now = now.Add(time.Second); !m.enter("sha256:x", now, false) || m.enter("sha256:z", now, false) {
		t.Error("as many as can be matched at once are let in, and no more")
	}
	if !m.enter("sha256:z", now.Add(crowdedFor), false) {
		t.Error("the crowd has gone, and nobody is let in")
	}
}

// TestSweepsLetReviewsGoFirst: a sweep waits before an image while a review waits for a
// match, and not for ever.
func TestSweepsLetReviewsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m matching
		waits := func() time.Duration {
			began := time.Now()
			m.calm(t.Context())
			return time.Since(began)
		}
		if got := waits(); got != 0 {
			t.Errorf("without a review: %s", got)
		}
		done, err := m.take(t.Context(), "sha256:a")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(30*time.Millisecond, done)
		if got := waits(); got != 30*time.Millisecond {
			t.Errorf("while an image is matched for 30 ms: %s", got)
		}
		if done, err = m.take(t.Context(), "sha256:a"); err != nil {
			t.Fatal(err)
		}
		if got := waits(); got != calmMost {
			t.Errorf("while one is matched for ever: %s", got)
		}
		done()
		if got := waits(); got != 0 {
			t.Errorf("afterwards: %s", got)
		}
	})
}
