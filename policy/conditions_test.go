package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func TestNoVerdict(t *testing.T) {
	e := newEngine(t, Options{Config: Default()})
	for _, c := range []struct {
		state    gate.State
		findings bool // the record names some
		code     gate.Code
		says     string
	}{
		{gate.StateNotScanned, false, gate.CodeUnscanned, "has not been scanned"},
		{gate.StateCancelled, false, gate.CodeUnscanned, "cancelled"},
		{gate.StateQueued, false, gate.CodePending, "its scan is queued"},
		{gate.StateScanning, false, gate.CodePending, "its scan is running"},
		{gate.StateScanned, false, gate.CodePending, "not been compared"},
		{gate.StateFailed, false, gate.CodeScanFailed, "failed"},
		{gate.StateUnassessable, false, gate.CodeUnassessable, "encrypted layer"},
		{gate.StateUnassessable, true, gate.CodeUnassessable, "encrypted layer"},
		{gate.StateQuotaExhausted, false, gate.CodeQuotaExhausted, "quota"},
		{"", false, gate.CodeUnscanned, "has not been scanned"},
		{"a new state", false, gate.CodeUnscanned, "has not been scanned"},
	} {
		q := question(testInventory(), testFindings())
		q.State = c.state
		q.Record.Manifest.Unassessable = "encrypted layer"
		if !c.findings {
			q.Record.FindingsID = ""
		}
		q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) {
			t.Errorf("%s: loaded", c.state)
			return nil, nil, fmt.Errorf("no")
		}
		d := e.Evaluate(context.Background(), q)
		if d.Outcome != gate.OutcomeNone || d.Code != c.code || len(d.Reasons) != 1 || d.Reasons[0].Rule != "" ||
			!strings.Contains(d.Reasons[0].Msg, c.says) || d.PolicyRevision != e.Revision() || !d.EvaluatedAt.Equal(testNow) {
			t.Errorf("state %q, findings %t: got %+v, want none, %s, %q", c.state, c.findings, d, c.code, c.says)
		}
	}
}

// TestRescanKeepsTheVerdict: what a job does never hides findings.
func TestRescanKeepsTheVerdict(t *testing.T) {
	e := newEngine(t, Options{Config: Default()})
	for _, s := range []gate.State{gate.StateScanned, gate.StateQueued, gate.StateScanning, gate.StateFailed, gate.StateCancelled, gate.StateQuotaExhausted} {
		q := question(testInventory(), testFindings())
		q.State = s
		if d := e.Evaluate(context.Background(), q); d.Outcome != gate.OutcomeAllow {
			t.Errorf("state %s with findings: got %+v, want allow", s, d)
		}
	}
}

type conditionCase struct {
	name    string
	change  func(*gate.Question, *gate.Inventory, *gate.Findings)
	options Options
	outcome gate.Outcome
	code    gate.Code
	says    string
}

func conditionCases() []conditionCase {
	risk := func(r gate.Risk, c gate.Coverage) func(*gate.Question, *gate.Inventory, *gate.Findings) {
		return func(_ *gate.Question, inv *gate.Inventory, _ *gate.Findings) {
			inv.Risks[r] = gate.RiskStatus{Coverage: c, Reason: "3 files"}
			inv.Errors = []gate.AnalyzerError{{Risk: r, Path: "app/a.jar", Message: "zip: not a valid zip file"}, {Risk: r, Path: "b"}}
		}
	}
	noDatabase := func(_ *gate.Question, inv *gate.Inventory, _ *gate.Findings) { inv.PackageDatabase = false }
	unknownRelease := func(_ *gate.Question, _ *gate.Inventory, f *gate.Findings) {
		f.Unassessable = "debian 99 is not known"
	}
	aged := func(age time.Duration) func(*gate.Question, *gate.Inventory, *gate.Findings) {
		return func(q *gate.Question, _ *gate.Inventory, _ *gate.Findings) {
			q.Advisories.UpdatedAt, q.Advisories.Content = testNow.Add(-age), "sha256:in-force"
		}
	}
	allow := func(words ...string) Options { return Options{Config: Config{AllowIncomplete: words}} }
	deny, warn, pass := gate.OutcomeDeny, gate.OutcomeWarn, gate.OutcomeAllow
	stale := Options{MaxAge: 48 * time.Hour, DenyStale: true}
	refuse := Options{MaxAge: 48 * time.Hour, RefuseAge: 100 * time.Hour}
	accepting := func(what string, more time.Duration) Options {
		o := refuse
		o.Accepted = func(name string) time.Time {
			if name != what {
				return time.Time{}
			}
			return testNow.Add(more)
		}
		return o
	}
	// parts has data of an hour in which debian 12 and a source of pip are 110 hours old.
	parts := func(uses ...string) func(*gate.Question, *gate.Inventory, *gate.Findings) {
		return func(q *gate.Question, _ *gate.Inventory, f *gate.Findings) {
			old := testNow.Add(-110 * time.Hour)
			q.Advisories.Content, q.Advisories.UpdatedAt = "sha256:in-force", old
			q.Advisories.Ages = gate.NewAdvisoryAges(testNow.Add(-time.Hour), map[string]time.Time{"debian 12": old, "pip::GitHub": old})
			if len(uses) > 0 {
				f.Uses = gate.JoinUses(uses)
			}
		}
	}
	return []conditionCase{
		{"partial_risk", risk(gate.RiskSecrets, gate.Partial), Options{}, deny, gate.CodeScanFailed, "incomplete for secrets: app/a.jar: zip: not a valid zip file, and 1 more"},
		{"failed_risk", risk(gate.RiskVulnerabilities, gate.Failed), Options{}, deny, gate.CodeScanFailed, "the scan for vulnerabilities failed: 3 files"},
		{"unknown_coverage", risk(gate.RiskSecrets, "fine"), Options{}, deny, gate.CodeScanFailed, "not a known word"},
		{"not_looked_at", risk(gate.RiskSecrets, gate.NotLookedAt), Options{}, pass, "", ""},
		{"risk_not_configured", risk(gate.RiskSecrets, gate.Failed), Options{Risks: []gate.Risk{gate.RiskVulnerabilities}}, pass, "", ""},
		{"partial_risk_allowed", risk(gate.RiskSecrets, gate.Partial), allow("secrets"), warn, "", "policy.allowIncomplete names secrets, which lets this through: "},
		{"other_risk_allowed", risk(gate.RiskSecrets, gate.Partial), allow("vulnerabilities"), deny, gate.CodeScanFailed, ""},
		{"no_package_database", noDatabase, Options{}, deny, gate.CodeUnassessable, "(debian 12.5) but its package database"},
		{"database_that_nobody_reads", func(_ *gate.Question, inv *gate.Inventory, _ *gate.Findings) {
			inv.PackageDatabase = false
			inv.Distribution = &gate.Distribution{Databases: []gate.PackageDatabase{{Manager: "pacman", Path: "var/lib/pacman/local"}}}
		}, Options{}, deny, gate.CodeUnassessable, `package database "var/lib/pacman/local" (pacman) could not be read`},
		{"no_package_database_allowed", noDatabase, allow("packageDatabase"), warn, "", "names packageDatabase"},
		{"scratch_needs_no_database", func(_ *gate.Question, inv *gate.Inventory, _ *gate.Findings) {
			inv.PackageDatabase, inv.DistributionFiles = false, false
		}, Options{}, pass, "", ""},
		{"unknown_release", unknownRelease, Options{}, deny, gate.CodeUnassessable, "debian 99 is not known"},
		{"unknown_release_allowed", unknownRelease, allow("distributionRelease"), warn, "", "debian 99"},
		{"fresh_enough", aged(48 * time.Hour), stale, pass, "", ""},
		{"stale_denied", aged(49 * time.Hour), stale, deny, gate.CodeStale, "49 hours old, and at most 48 hours are allowed"},
		{"stale_warned", aged(49 * time.Hour), Options{MaxAge: 48 * time.Hour}, warn, "", "49 hours old"},
		{"stale_after_minutes", aged(91 * time.Minute), Options{MaxAge: 90 * time.Minute}, warn, "", "91 minutes old, and at most 90 minutes"},
		{"refused_from_refuse_age", aged(101 * time.Hour), refuse, deny, gate.CodeStale, "101 hours old, and at most 100 hours are allowed (advisories.refuseAge)"},
		{"warned_before_refuse_age", aged(100 * time.Hour), refuse, warn, "", "100 hours old, and at most 48 hours are allowed (advisories.maxAge)"},
		{"refused_although_nothing_is_warned", aged(101 * time.Hour), Options{RefuseAge: 100 * time.Hour}, deny, gate.CodeStale, "advisories.refuseAge"},
		{"not_even_warned", aged(100 * time.Hour), Options{RefuseAge: 100 * time.Hour}, pass, "", ""},
		{"undated_is_refused_from_refuse_age", func(q *gate.Question, _ *gate.Inventory, _ *gate.Findings) {
			q.Advisories.UpdatedAt = gate.UnknownTime()
		}, refuse, deny, gate.CodeStale, "is not known"},
		{"accepted_age", aged(101 * time.Hour), accepting("sha256:in-force", time.Hour), warn, "", "have accepted that until 2026-"},
		{"accepted_age_of_stale_deny", aged(101 * time.Hour), Options{MaxAge: 48 * time.Hour, DenyStale: true, Accepted: accepting("sha256:in-force", time.Hour).Accepted}, warn, "", "have accepted"},
		{"no_longer_accepted", aged(101 * time.Hour), accepting("sha256:in-force", 0), deny, gate.CodeStale, "100 hours"},
		{"accepted_other_data", aged(101 * time.Hour), accepting("sha256:other", time.Hour), deny, gate.CodeStale, "100 hours"},
		{"old_bucket_that_is_used", parts("debian 12", "go::"), stale, deny, gate.CodeStale, `of "debian 12" is of`},
		{"old_bucket_that_is_not_used", parts("debian 11", "go::"), stale, pass, "", ""},
		{"old_bucket_of_a_used_ecosystem", parts("pip::"), stale, deny, gate.CodeStale, `of "pip::GitHub" is of`},
		{"nothing_is_known_of_the_buckets", parts(), stale, deny, gate.CodeStale, "of \"debian 12\" is of"},
		{"accepted_bucket", parts("debian 12"), accepting("debian 12", time.Hour), warn, "", "have accepted"},
		{"accepted_one_bucket_of_two", parts("debian 12", "pip::"), accepting("debian 12", time.Hour), deny, gate.CodeStale, "debian 12"},
		{"stale_unlimited", aged(50 * time.Hour), Options{DenyStale: true}, pass, "", ""},
		{"a_clock_ahead_is_fresh", aged(-gate.ClockSkew), stale, pass, "", ""},
		{"future_data_has_no_age", aged(-gate.ClockSkew - time.Second), stale, deny, gate.CodeStale, "which is in the future"},
		{"undated_data_has_no_age", func(q *gate.Question, _ *gate.Inventory, _ *gate.Findings) {
			q.Advisories.UpdatedAt = gate.UnknownTime()
		}, stale, deny, gate.CodeStale, "age of the vulnerability data is not known: its sources state no time"},
		{"no_generation_uses_the_matched_one", func(q *gate.Question, _ *gate.Inventory, f *gate.Findings) {
			q.Advisories, f.UpdatedAt = gate.Generation{}, testNow.Add(-50*time.Hour)
		}, stale, deny, gate.CodeStale, "50 hours old"},
		{"unknown_age", func(q *gate.Question, _ *gate.Inventory, f *gate.Findings) {
			q.Advisories, f.UpdatedAt = gate.Generation{}, time.Time{}
		}, stale, deny, gate.CodeStale, "age of the vulnerability data is not known"},
		{"several", func(q *gate.Question, inv *gate.Inventory, f *gate.Findings) {
			noDatabase(q, inv, f)
			risk(gate.RiskSecrets, gate.Partial)(q, inv, f)
		}, allow("secrets"), deny, gate.CodeUnassessable, ""},
	}
}

// TestConditions: with a summary of the record, or without as earlier versions stored it.
func TestConditions(t *testing.T) {
	for _, c := range conditionCases() {
		for _, summaries := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/summary=%t", c.name, summaries), func(t *testing.T) { conditionTest(t, c, summaries) })
		}
	}
}

func conditionTest(t *testing.T, c conditionCase, summaries bool) {
	e := newEngine(t, c.options)
	inv, f := testInventory(), testFindings()
	q := question(inv, f)
	c.change(&q, inv, f)
	if summaries {
		summarized(&q)
	}
	d := e.Evaluate(context.Background(), q)
	if d.Outcome != c.outcome || d.Code != c.code {
		t.Fatalf("got %+v, want %s %s", d, c.outcome, c.code)
	}
	if c.outcome == gate.OutcomeAllow {
		return
	}
	if r := d.Reasons[0]; r.Rule != "" || !strings.Contains(r.Msg, c.says) || r.Action != c.outcome {
		t.Errorf("first reason: got %+v, want %q", r, c.says)
	}
}

// TestConditionsComeBeforeRules: an image that cannot be judged is not also
// judged.
func TestConditionsComeBeforeRules(t *testing.T) {
	e := newEngine(t, Options{})
	inv := testInventory()
	inv.PackageDatabase = false
	d := e.Evaluate(context.Background(), question(inv, testFindings(critical("CVE-1"))))
	if d.Code != gate.CodeUnassessable || len(d.Reasons) != 1 {
		t.Errorf("got %+v, want UNASSESSABLE alone", d)
	}
}

func TestLoadFailures(t *testing.T) {
	e := newEngine(t, Options{})
	for _, c := range []struct {
		err  error
		code gate.Code
	}{
		{fmt.Errorf("reading redis-7.internal: %w", gate.ErrStoreUnavailable), gate.CodeStoreUnavailable},
		{gate.ErrConflict, gate.CodeInternal},
		{fmt.Errorf("password=hunter2"), gate.CodeInternal},
		{nil, gate.CodePending},
	} {
		q := question(nil, nil)
		q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { return nil, nil, c.err }
		d := e.Evaluate(context.Background(), q)
		if d.Outcome != gate.OutcomeDeny || d.Code != c.code {
			t.Errorf("Load: %v: got %+v, want deny %s", c.err, d, c.code)
		}
		if strings.Contains(d.Reasons[0].Msg, "internal") || strings.Contains(d.Reasons[0].Msg, "hunter2") {
			t.Errorf("Load: %v: the reason tells %q", c.err, d.Reasons[0].Msg)
		}
	}
	q := question(nil, nil)
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { panic("boom") }
	if d := e.Evaluate(context.Background(), q); d.Outcome != gate.OutcomeDeny || d.Code != gate.CodeInternal {
		t.Errorf("Load panics: got %+v, want deny INTERNAL", d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	release := make(chan struct{})
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) {
		cancel()
		<-release
		return testInventory(), testFindings(), nil
	}
	if d := e.Evaluate(ctx, q); d.Outcome != gate.OutcomeDeny || d.Code != gate.CodeTimeout {
		t.Errorf("caller gives up: got %+v, want deny TIMEOUT", d)
	}
	close(release)
}
