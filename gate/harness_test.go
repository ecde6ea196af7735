package gate_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/explain"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/gate/pipeline"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/sqlite"
)

// site is a whole pipeline on real components (SQLite, a registry on loopback,
// the policy engine with its starter rules); only the analysis and the
// matching, which have tests of their own, are scripted.
type site struct {
	*pipeline.Pipeline
	standing *standing.Standing
	explain  *explain.Explainer
	sweeping standing.Scheduler
	t        testing.TB
	store    store.Store
	registry *fake.Registry
	analyzer *scriptedAnalyzer
	matcher  *scriptedMatcher
	clock    *clock
	ctx      context.Context
}

// clock is the time of the store and the pipeline.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// scriptedAnalyzer gives every digest a small inventory, or what fail says.
type scriptedAnalyzer struct {
	mu    sync.Mutex
	calls []gate.Location
	set   string
	known bool // every layer is in the cache
	fail  func(gate.AnalyzeRequest) error
	hold  chan struct{} // analyses wait for it when it is not nil
	gaps  []gate.AnalyzerError
}

func (a *scriptedAnalyzer) Set() string { return a.set }

func (a *scriptedAnalyzer) Analyze(ctx context.Context, req gate.AnalyzeRequest) (*gate.Inventory, error) {
	a.mu.Lock()
	a.calls = append(a.calls, req.Location)
	fail, hold, known := a.fail, a.hold, a.known
	a.mu.Unlock()
	if fail != nil {
		if err := fail(req); err != nil {
			return nil, err
		}
	}
	if !known {
		if err := req.BeforePull(ctx); err != nil {
			return nil, err
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	risks := map[gate.Risk]gate.RiskStatus{}
	for _, r := range gate.Risks() {
		risks[r] = gate.RiskStatus{Coverage: gate.Complete}
	}
	for _, e := range a.gaps {
		risks[e.Risk] = gate.RiskStatus{Coverage: gate.Partial}
	}
	return &gate.Inventory{
		Errors: a.gaps,
		Format: gate.InventoryFormat, Digest: req.Digest, AnalyzerSet: a.set, AnalyzedAt: time.Unix(1_790_000_000, 0).UTC(),
		Platform: gate.Platform{OS: "linux", Architecture: "amd64"}, Config: gate.ImageConfig{User: "65532"},
		Packages: []gate.Package{{Name: "curl", Version: "7.88.1", SrcName: "curl", SrcVersion: "7.88.1"}}, PackageDatabase: true,
		OS: gate.OS{Family: "debian", Name: "12.1"}, Isolation: gate.Isolation{Level: "strict"}, Risks: risks,
	}, nil
}

func (a *scriptedAnalyzer) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// scriptedMatcher finds what bad lists.
type scriptedMatcher struct {
	mu         sync.Mutex
	generation gate.Generation
	loaded     bool
	bad        map[gate.Digest]gate.Severity
	matches    int
	// during runs inside a match, to move things under it.
	during func()
	// alter changes what is found.
	alter func(*gate.Findings)
}

func (m *scriptedMatcher) Version() string { return "scripted" }

func (m *scriptedMatcher) Generation() (gate.Generation, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.generation, m.loaded
}

func (m *scriptedMatcher) activate(number int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loaded = true
	m.generation = gate.Generation{Number: number, Content: gate.Digest("sha256:" + pad(number)), UpdatedAt: time.Unix(1_790_000_000, 0).UTC()}
}

func (m *scriptedMatcher) Match(_ context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	m.mu.Lock()
	g, loaded, during, alter := m.generation, m.loaded, m.during, m.alter
	m.during = nil
	m.matches++
	severity, bad := m.bad[inv.Digest]
	m.mu.Unlock()
	if !loaded {
		return nil, gate.ErrAdvisoriesUnavailable
	}
	if during != nil {
		during()
	}
	f := &gate.Findings{Digest: inv.Digest, Generation: g.Number, Advisories: g.Content, UpdatedAt: g.UpdatedAt, Matcher: m.Version()}
	if bad {
		f.Vulnerabilities = []gate.Vulnerability{{
			ID: "CVE-2023-38545", Package: "curl", Type: "debian", InstalledVersion: "7.88.1", FixedVersion: "7.88.2", Severity: severity, CVSS: 9.8,
		}}
	}
	if alter != nil {
		alter(f)
	}
	return f, nil
}

func pad(n int64) string {
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	s := zeros + string(rune('0'+n%10))
	return s[len(s)-64:]
}

const hub = "hub" // the configured name of the registry

func newSite(t testing.TB, quota gate.QuotaConfig) *site {
	t.Helper()
	clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Clock: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return newSiteOn(t, quota, st, clk)
}

// newSiteOn is newSite on another store, whose clock is clk.
func newSiteOn(t testing.TB, quota gate.QuotaConfig, st store.Store, clk *clock) *site {
	t.Helper()
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	log := slog.New(slog.DiscardHandler)
	c := registry.DefaultConfig()
	c.Name, c.Type, c.Host, c.PlainHTTP = hub, "harbor", reg.Host, true
	second := c
	second.Name, second.Host, second.Aliases = "second", "second.invalid", nil
	source, err := registry.New(registry.Options{Registries: []registry.Config{c, second}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	engine, err := policy.New(t.Context(), policy.Options{Config: policy.Default(), Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: log, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	registries, err := gate.NewRegistries([]gate.Registry{c.Registry(), second.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	q, err := gate.NewQuota(quota)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		t: t, store: st, registry: reg, clock: clk, ctx: t.Context(),
		analyzer: &scriptedAnalyzer{set: "set-1"}, matcher: &scriptedMatcher{bad: map[gate.Digest]gate.Severity{}},
	}
	s.matcher.activate(1)
	s.sweeping = st
	s.standing = &standing.Standing{Records: st, Matcher: s.matcher, Evaluator: engine, Registries: registries, Now: clk.Now, Log: log}
	s.explain = &explain.Explainer{Charges: st, Pulls: st, Registries: registries, Quota: q, Now: clk.Now}
	s.Pipeline = &pipeline.Pipeline{
		Records: st, Scheduler: st, Source: source, Analyzer: s.analyzer, Verdicts: s.standing,
		Registries: registries, Quota: q, Now: clk.Now, Log: log,
	}
	return s
}

// lookupOn is a lookup that reads from one part of a store and spends in another.
func (s *site) lookupOn(reader gate.Reader, budget lookup.Budget, o lookup.Options, m *lookup.Metrics) *lookup.Lookup {
	return lookup.New(lookup.Parts{
		Reader: reader, Standing: s.standing, Resolver: s.Pipeline, Explain: s.explain, Queue: late{s}, Tags: late{s}, Budget: budget,
		Changed: s.store.Changed, Registries: s.Registries, Platforms: late{s}.platform, Now: s.clock.Now, Log: s.Log,
	}, o, m)
}

// late writes with what the site has when it is called.
type late struct{ s *site }

func (l late) Enqueue(ctx context.Context, req gate.JobRequest) (gate.Job, gate.Enqueued, error) {
	return l.s.Scheduler.Enqueue(ctx, req)
}

func (l late) PutTag(ctx context.Context, key gate.TagKey, d gate.Digest, readAt time.Time, host string) (gate.TagMapping, error) {
	return l.s.Records.PutTag(ctx, key, d, readAt, host)
}

func (l late) platform(p gate.Platform) bool { return l.s.Platforms != nil && l.s.Platforms(p) }

// records is everything that is known of digests.
type records interface {
	pipeline.Records
	standing.Records
}

// keepIn makes the site keep its records in r from now on.
func (s *site) keepIn(r records) { s.Records, s.standing.Records = r, r }

// again queues another analysis of a digest, as a scan task of the kind content does.
func (s *site) again(d gate.Digest) {
	s.t.Helper()
	_, _, err := s.store.Enqueue(s.ctx, gate.JobRequest{
		Kind: gate.JobAnalyze, Location: s.entry(d).Record.Locations[0].Location, Digest: d, Trigger: gate.TriggerRescan, Force: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// sweeper goes over the digests that are listed.
func (s *site) sweeper(digests standing.Digests) *standing.Sweeper {
	return standing.NewSweeper(s.standing, standing.SweepOptions{Digests: digests, Scheduler: s.sweeping, Quota: s.Quota, Marks: s.marks()})
}

// marks are those of the store that the site sweeps in, counted where that is.
func (s *site) marks() func(context.Context, []gate.Digest) (map[gate.Digest]gate.Mark, error) {
	type marking interface {
		Marks(context.Context, []gate.Digest) (map[gate.Digest]gate.Mark, error)
	}
	if m, ok := s.sweeping.(marking); ok {
		return m.Marks
	}
	return s.store.Marks
}

// push puts a small image into the registry.
func (s *site) push(repo, tag string, seed uint64) gate.Digest {
	s.t.Helper()
	img, err := fake.RandomImage(seed, v1.Platform{OS: "linux", Architecture: "amd64"}, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.registry.Push(repo, tag, img)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// event takes a push event in, as a receiver does.
func (s *site) event(repo, tag string, d gate.Digest) gate.PushState {
	s.t.Helper()
	results, err := intake.New(s.Registries, s.Quota, s.store).Take(s.ctx, hub,
		[]gate.Push{{Kind: gate.PushArrived, Host: s.registry.Host, Repository: repo, Tag: tag, Digest: d}})
	if err != nil {
		s.t.Fatal(err)
	}
	return results[0].State
}

// work claims and handles jobs until none is left, and returns the last job of
// each key. What counted an attempt is repeated when its wait is over.
func (s *site) work() map[string]gate.Job {
	s.t.Helper()
	jobs := map[string]gate.Job{}
	s.clock.Advance(time.Millisecond) // what is read now is read after what was said before
	for {
		job, err := s.store.Claim(s.ctx, s.claim())
		if err != nil {
			again := false
			for _, j := range jobs {
				if wait := j.NotBefore.Sub(s.clock.Now()); j.Attempts > 0 && wait > 0 {
					s.clock.Advance(wait)
					again = true
				}
			}
			if again {
				continue
			}
			return jobs
		}
		run := gate.NewRun(job)
		err = s.Handlers()[job.Kind](s.ctx, run)
		after, err := s.store.Finish(s.ctx, job.Lease(), gate.Result{Err: err, MaxAttempts: 3})
		if err != nil {
			s.t.Fatalf("finishing %s: %v", job.Key, err)
		}
		jobs[job.Key] = after
	}
}

func (s *site) claim() gate.ClaimRequest {
	return gate.ClaimRequest{
		Worker: "test", Registries: s.Registries.Limits(), Period: s.Quota.Period(s.clock.Now()), Lease: 30 * time.Second, MaxAttempts: 3,
	}
}

func (s *site) entry(d gate.Digest) gate.Entry {
	s.t.Helper()
	res, err := s.store.Read(s.ctx, gate.ReadRequest{Digests: []gate.Digest{d}, AllJobs: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return res.Digests[d]
}

func (s *site) used() gate.QuotaUse {
	s.t.Helper()
	use, err := s.store.Quota(s.ctx, s.Quota.Period(s.clock.Now()).Key)
	if err != nil {
		s.t.Fatal(err)
	}
	return use
}

func (s *site) verdict(d gate.Digest) gate.Outcome {
	s.t.Helper()
	at, ok := s.entry(d).Record.At(gate.Location{Registry: hub, Repository: "team/app"})
	if !ok {
		s.t.Fatalf("%s has no location team/app", d)
	}
	return at.Verdict.Outcome
}

// pushIndex puts an index of two images (amd64, arm64) into the registry.
func (s *site) pushIndex(repo, tag string) (index gate.Digest, children []gate.Digest) {
	s.t.Helper()
	members := s.members()
	for _, m := range members {
		h, err := m.Add.(v1.Image).Digest()
		if err != nil {
			s.t.Fatal(err)
		}
		children = append(children, gate.Digest(h.String()))
	}
	index, err := s.registry.PushIndex(repo, tag, fake.NewIndex(members...))
	if err != nil {
		s.t.Fatal(err)
	}
	return index, children
}

func (s *site) members() []fake.Child {
	s.t.Helper()
	var members []fake.Child
	for i, arch := range []string{"amd64", "arm64"} {
		p := v1.Platform{OS: "linux", Architecture: arch}
		img, err := fake.RandomImage(uint64(100+i), p, 50)
		if err != nil {
			s.t.Fatal(err)
		}
		members = append(members, fake.Child{Add: img, Platform: &p})
	}
	return members
}
