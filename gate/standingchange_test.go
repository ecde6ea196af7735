package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/policy"
)

// changes keeps what it is told.
type changes struct{ told []gate.StandingChange }

func (c *changes) Changed(_ context.Context, change gate.StandingChange) {
	c.told = append(c.told, change)
}

// lines are the changes since the last call, each as one line.
func (c *changes) lines() (out []string) {
	for _, t := range c.told {
		line := string(t.Event) + ":"
		if f := t.Findings; f != nil {
			line += fmt.Sprintf(" findings %d>%d", f.Before.Generation, f.After.Generation)
			for name, set := range map[string]bool{"first": f.First, "lost": f.Lost, "incomplete": f.Incomplete} {
				if set {
					line += " " + name
				}
			}
			for _, v := range f.Found.List {
				line += fmt.Sprintf(" found %s %s", v.ID, v.Severity)
			}
			for _, v := range f.Fixed.List {
				line += fmt.Sprintf(" fixed %s", v.ID)
			}
			for _, v := range f.Severity {
				line += fmt.Sprintf(" %s %s>%s", v.ID, v.Before, v.Severity)
			}
			if f.Unseen != (gate.Counts{}) {
				line += fmt.Sprintf(" unseen %d", f.Unseen.Critical)
			}
		}
		for _, v := range t.Verdicts {
			line += fmt.Sprintf(" %s %s%s%v>%s%s%v", v.Location.Repository, v.Before.Outcome, v.Before.Code, v.Before.Rules, v.After.Outcome, v.After.Code, v.After.Rules)
		}
		out = append(out, line)
	}
	c.told = nil
	return out
}

// watched is a site whose changes are kept.
func watched(s *site) *changes {
	c := &changes{}
	s.standing.Changes = c
	return c
}

// policies is an engine with other options.
func (s *site) policies(c policy.Config) standing.Evaluator {
	s.t.Helper()
	engine, err := policy.New(s.ctx, policy.Options{
		Config: c, Risks: []gate.Risk{gate.RiskVulnerabilities}, Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return engine
}

// TestChanges follows one image through what may become different about it.
func TestChanges(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		c := watched(s)
		d := s.push("team/app", "v1", 1)
		generation := int64(1)
		sweep := func() { s.rematch(s.sweeper(listed{d})) }
		advisories := func(alter func(*gate.Findings)) func() {
			return func() {
				generation++
				s.matcher.alter = alter
				s.matcher.activate(generation)
				sweep()
			}
		}
		found := func(severity gate.Severity) func(*gate.Findings) {
			return func(f *gate.Findings) {
				f.Vulnerabilities = []gate.Vulnerability{{ID: "CVE-1", Package: "curl", Severity: severity, FixedVersion: "2", CVSS: 9}}
			}
		}
		unknown := func(f *gate.Findings) { f.Unassessable = "release 99 is not known" }
		analyse := func(gaps ...gate.AnalyzerError) func() {
			return func() {
				s.analyzer.gaps = gaps
				s.analyzer.set += "+"
				s.again(d)
				s.work()
			}
		}
		unread := gate.AnalyzerError{Risk: gate.RiskVulnerabilities, Analyzer: "dpkg", Path: "var/lib/dpkg/status", Message: "it cannot be read"}
		for _, step := range []struct {
			what string
			do   func()
			want []string
		}{
			{"the first verdict", func() { s.event("team/app", "v1", d); s.work() }, []string{"push: findings 0>1 first team/app []>allow[]"}},
			{"the same push again", func() { s.event("team/app", "v1", d); s.work() }, nil},
			{"a sweep of nothing new", sweep, nil},
			{"advisories that find the same", advisories(nil), nil},
			{"a new finding", advisories(found(gate.SeverityCritical)),
				[]string{"rescan: findings 2>3 found CVE-1 CRITICAL team/app allow[]>denyPOLICY[fixable-critical]"}},
			{"another severity", advisories(found(gate.SeverityLow)),
				[]string{"rescan: findings 3>4 CVE-1 CRITICAL>LOW team/app denyPOLICY[fixable-critical]>allow[]"}},
			{"critical again", advisories(found(gate.SeverityCritical)),
				[]string{"rescan: findings 4>5 CVE-1 LOW>CRITICAL team/app allow[]>denyPOLICY[fixable-critical]"}},
			{"a fixed finding", advisories(nil), []string{"rescan: findings 5>6 fixed CVE-1 team/app denyPOLICY[fixable-critical]>allow[]"}},
			{"found again", advisories(found(gate.SeverityCritical)),
				[]string{"rescan: findings 6>7 found CVE-1 CRITICAL team/app allow[]>denyPOLICY[fixable-critical]"}},
			{"advisories that do not know the distribution", advisories(unknown),
				[]string{"rescan: findings 7>8 incomplete unseen 1 team/app denyPOLICY[fixable-critical]>denyUNASSESSABLE[]"}},
			{"advisories that know it", advisories(found(gate.SeverityCritical)),
				[]string{"rescan: findings 8>9 found CVE-1 CRITICAL team/app denyUNASSESSABLE[]>denyPOLICY[fixable-critical]"}},
			{"an analysis that could not read it all", func() { s.matcher.alter = nil; analyse(unread)() },
				[]string{"rescan: findings 9>9 incomplete unseen 1 team/app denyPOLICY[fixable-critical]>denySCAN_FAILED[]"}},
			{"one that could", analyse(), []string{"rescan: team/app denySCAN_FAILED[]>allow[]"}},
		} {
			step.do()
			if diff := cmp.Diff(step.want, c.lines()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.what, diff)
			}
			s.clock.Advance(time.Minute)
		}
	})
}

// closed is a policy that denies every image.
const closed = `package digestgate

deny contains {"rule": "closed", "msg": "nothing larger than nothing runs today"} if input.image.size >= 0
`

// TestChangesOfPolicies: another set of policies that decides otherwise is a change of
// the verdict alone; one that decides the same is none.
func TestChangesOfPolicies(t *testing.T) {
	s := newSite(t, month(0))
	d := s.known()
	c := watched(s)
	before := s.entry(d).Record.Locations[0].Verdict.PolicyRevision
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "closed.rego"), []byte(closed), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		what   string
		config func(*policy.Config)
		want   []string
	}{
		{"another revision", func(c *policy.Config) { c.AllowIncomplete = []string{policy.IncompletePackageDatabase} }, nil},
		{"a rule that denies", func(c *policy.Config) { c.Paths = []string{dir} }, []string{"rescan: team/app allow[]>denyPOLICY[closed]"}},
	} {
		config := policy.Default()
		step.config(&config)
		s.standing.Evaluator = s.policies(config)
		s.clock.Advance(48 * time.Hour)
		s.rematch(s.sweeper(listed{d}))
		if diff := cmp.Diff(step.want, c.lines()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
		if after := s.entry(d).Record.Locations[0].Verdict.PolicyRevision; after == before {
			t.Errorf("%s: the verdict is still of revision %s", step.what, after)
		}
	}
}

// TestChangeOfWhatWaitsForAdvisories: no verdict is one, and so is the first that
// follows.
func TestChangeOfWhatWaitsForAdvisories(t *testing.T) {
	s := newSite(t, month(0))
	c := watched(s)
	s.matcher.loaded = false
	d := s.push("team/app", "v1", 1)
	s.event("team/app", "v1", d)
	s.work()
	s.matcher.activate(1)
	s.rematch(s.sweeper(listed{d}))
	want := []string{"push: team/app []>nonePENDING[]", "rescan: findings 0>1 first team/app nonePENDING[]>allow[]"}
	if diff := cmp.Diff(want, c.lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestChangeOfLostFindings: what cannot be read any more is compared with nothing.
func TestChangeOfLostFindings(t *testing.T) {
	s := newSite(t, month(0))
	d := s.known()
	c := watched(s)
	s.keepIn(lostFindings{s.store})
	s.matcher.bad[d] = gate.SeverityCritical
	s.matcher.activate(2)
	s.rematch(s.sweeper(listed{d}))
	want := []string{"rescan: findings 1>2 lost team/app allow[]>denyPOLICY[fixable-critical]"}
	if diff := cmp.Diff(want, c.lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type lostFindings struct{ records }

func (lostFindings) Findings(context.Context, gate.Digest) (*gate.Findings, error) {
	return nil, fmt.Errorf("they are damaged: %w", gate.ErrNotFound)
}

// TestChangeIsToldOnce: of two processes that write the same one tells it, and of a
// renewal that fails half-way each half is told once.
func TestChangeIsToldOnce(t *testing.T) {
	for name, apart := range map[string]time.Duration{"two_processes_at_once": 0, "two_processes": time.Minute} {
		t.Run(name, func(t *testing.T) { onBothStores(t, toldOnce(apart)) })
	}
	t.Run("half_a_renewal", func(t *testing.T) {
		s := newSite(t, month(0))
		d := s.known()
		c := watched(s)
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.activate(2)
		s.keepIn(refusedVerdicts{s.store})
		if swept := s.rematch(s.sweeper(listed{d})); swept.Failed != 1 {
			t.Errorf("a sweep whose verdicts are refused: %+v", swept)
		}
		s.keepIn(s.store)
		s.rematch(s.sweeper(listed{d}))
		want := []string{"rescan: findings 1>2 found CVE-2023-38545 CRITICAL", "rescan: team/app allow[]>denyPOLICY[fixable-critical]"}
		if diff := cmp.Diff(want, c.lines()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// toldOnce lets another process write the same, apart later, before a write here.
func toldOnce(apart time.Duration) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		d := s.known()
		c := watched(s)
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.activate(2)
		other := s.another(2, s.matcher.bad)
		other.Changes = c
		r := s.racing()
		meanwhile := func() { s.clock.Advance(apart); s.match(other, d) }
		r.findings = meanwhile
		s.rematch(s.sweeper(listed{d}))
		r.verdicts = meanwhile
		delete(s.matcher.bad, d)
		s.matcher.activate(3)
		other.Matcher = s.matcher
		s.rematch(s.sweeper(listed{d}))
		want := []string{
			"rescan: findings 1>2 found CVE-2023-38545 CRITICAL team/app allow[]>denyPOLICY[fixable-critical]",
			"rescan: team/app denyPOLICY[fixable-critical]>allow[]", "rescan: findings 2>3 fixed CVE-2023-38545",
		}
		if diff := cmp.Diff(want, c.lines()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

type refusedVerdicts struct{ records }

func (refusedVerdicts) PutVerdicts(context.Context, gate.Digest, gate.Basis, []gate.Verdict) ([]gate.Verdict, error) {
	return nil, errors.Join(gate.ErrStoreUnavailable, errors.New("the disk is full"))
}

// TestChangeIsBounded: an old image may have more findings, and a base image more
// locations, than a change should hold. The worst are held, all are counted.
func TestChangeIsBounded(t *testing.T) {
	s := newSite(t, month(0))
	d := s.known()
	const many = gate.MaxChanged + 50
	for i := range many {
		if _, err := s.store.AddLocation(s.ctx, d, gate.Location{Registry: hub, Repository: fmt.Sprint("base/", i)}); err != nil {
			t.Fatal(err)
		}
	}
	c := watched(s)
	severity := [2]gate.Severity{gate.SeverityLow, gate.SeverityCritical}
	s.matcher.alter = func(f *gate.Findings) {
		for i := range many {
			f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: fmt.Sprintf("CVE-%03d", i), Package: "curl", Severity: severity[i/(many-1)]})
		}
	}
	sweep := func(generation int64) gate.StandingChange {
		t.Helper()
		s.matcher.activate(generation)
		s.rematch(s.sweeper(listed{d}))
		if len(c.told) != 1 {
			t.Fatalf("got %d changes", len(c.told))
		}
		change := c.told[0]
		c.told = nil
		return change
	}
	all := gate.Counts{Critical: 1, Low: many - 1}
	got := sweep(2)
	if f := got.Findings.Found; len(f.List) != gate.MaxChanged || f.Total != all || f.List[0].Severity != gate.SeverityCritical {
		t.Errorf("found: got %d with %+v, want %d with %+v, the worst first", len(f.List), f.Total, gate.MaxChanged, all)
	}
	if len(got.Verdicts) != gate.MaxChanged || got.MoreVerdicts != many+1-gate.MaxChanged {
		t.Errorf("verdicts: got %d and %d more, want %d of %d", len(got.Verdicts), got.MoreVerdicts, gate.MaxChanged, many+1)
	}
	severity[0] = gate.SeverityMedium
	if f := sweep(3).Findings; len(f.Severity) != gate.MaxChanged || f.MoreSeverity != many-1-gate.MaxChanged {
		t.Errorf("severities: got %d and %d more, want %d of %d", len(f.Severity), f.MoreSeverity, gate.MaxChanged, many-1)
	}
	s.matcher.alter = nil
	if f := sweep(4).Findings.Fixed; len(f.List) != gate.MaxChanged || f.Total != (gate.Counts{Critical: 1, Medium: many - 1}) {
		t.Errorf("fixed: got %d with %+v, want %d of %d", len(f.List), f.Total, gate.MaxChanged, many)
	}
}
