package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
)

func jarGap(path string) gate.AnalyzerError {
	return gate.AnalyzerError{Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Analyzer: "jar", Path: path, Message: "1 archives in it do not name themselves"}
}

func unreadable(path string) gate.AnalyzerError {
	return gate.AnalyzerError{Risk: gate.RiskVulnerabilities, Kind: gate.GapUnreadable, Analyzer: "dpkg", Path: path, Message: "broken"}
}

func more(kind string, n int) gate.ErrorCount {
	return gate.ErrorCount{Risk: gate.RiskVulnerabilities, Kind: kind, Count: n}
}

// TestAllowIncomplete: an entry lets through what it covers and nothing else,
// also of the errors that are only counted; and what is let through is said.
func TestAllowIncomplete(t *testing.T) {
	const v = "vulnerabilities"
	jar, kindless := jarGap("opt/vendor/lib/a.jar"), jarGap("opt/vendor/b.jar")
	kindless.Kind = ""
	noPath, long := jarGap(""), jarGap("opt/vendor/"+strings.Repeat("x", 386)+"...")
	other := gate.AnalyzerError{Risk: gate.RiskSecrets, Kind: gate.GapUnreadable, Path: "opt/vendor/k", Message: "broken"}
	for _, c := range []struct {
		name     string
		allow    []string
		errors   []gate.AnalyzerError
		more     []gate.ErrorCount
		denied   string   // in the first reason; "" for let through
		warnings []string // each in a warning, in order
	}{
		{"nothing", nil, []gate.AnalyzerError{jar}, nil, `add "vulnerabilities/jar-without-coordinates" (or, for this file only, "vulnerabilities:opt/vendor/lib/a.jar") to policy.allowIncomplete`, nil},
		{"several_of_one_kind", nil, []gate.AnalyzerError{jar, jarGap("b.jar")}, nil, `and 1 more; remove the cause from the image, or let the operators of digestgate add "vulnerabilities/jar-without-coordinates" to policy`, nil},
		{"two_kinds", nil, []gate.AnalyzerError{jar, unreadable("b")}, nil, `add "vulnerabilities/jar-without-coordinates" and "vulnerabilities/unreadable-file" to policy`, nil},
		{"no_kind_names_the_path", nil, []gate.AnalyzerError{kindless}, nil, `add "vulnerabilities:opt/vendor/b.jar" to policy`, nil},
		{"no_kinds_name_the_risk", nil, []gate.AnalyzerError{kindless, jar}, nil, `add "vulnerabilities" to policy`, nil},
		{"special_characters", nil, []gate.AnalyzerError{jarGap("a[1]*.jar")}, nil, `"vulnerabilities:a\\[1\\]\\*.jar")`, nil},
		{"kind", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar}, nil, "", []string{"names vulnerabilities/jar-without-coordinates, which lets this through: the scan is incomplete for vulnerabilities: opt/vendor/lib/a.jar: "}},
		{"kind_counted", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar}, []gate.ErrorCount{more(gate.GapJarWithoutCoordinates, 9)}, "", []string{"and 9 more"}},
		{"kind_not_the_other", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar, unreadable("b")}, nil, `add "vulnerabilities/unreadable-file" (or, for this file only, "vulnerabilities:b")`, []string{"names vulnerabilities/jar-without-coordinates"}},
		{"kind_not_the_other_counted", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar}, []gate.ErrorCount{more(gate.GapUnreadable, 1)}, `1 gaps (unreadable-file) that are not listed; remove the cause from the image, or let the operators of digestgate add "vulnerabilities/unreadable-file"`, []string{"jar-without"}},
		{"kind_not_the_unknown_counted", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar}, []gate.ErrorCount{more("", 1)}, `add "vulnerabilities" to`, []string{"jar-without"}},
		{"kind_not_the_kindless", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{kindless}, nil, "opt/vendor/b.jar", nil},
		{"kind_of_another_risk", []string{"secrets/unreadable-file"}, []gate.AnalyzerError{unreadable("b")}, nil, "b: broken", nil},
		{"pattern", []string{v + ":opt/vendor/**"}, []gate.AnalyzerError{jar, kindless}, nil, "", []string{"names vulnerabilities:opt/vendor/**, which"}},
		{"pattern_with_slash", []string{v + ":/opt/vendor/**"}, []gate.AnalyzerError{jar}, nil, "", []string{"names vulnerabilities:/opt/vendor/**"}},
		{"pattern_of_an_archive_in_an_archive", []string{v + ":opt/**"}, []gate.AnalyzerError{unreadable("opt/a.war!WEB-INF/lib/b.jar")}, nil, "", []string{"names"}},
		{"pattern_not_elsewhere", []string{v + ":opt/vendor/*"}, []gate.AnalyzerError{jar}, nil, "opt/vendor/lib/a.jar", nil},
		{"pattern_not_counted", []string{v + ":**"}, []gate.AnalyzerError{jar}, []gate.ErrorCount{more(gate.GapJarWithoutCoordinates, 3)}, "3 gaps (jar-without-coordinates) that are not listed", []string{"names vulnerabilities:**"}},
		{"pattern_not_without_a_path", []string{v + ":**"}, []gate.AnalyzerError{noPath}, nil, "jar: 1 archives", nil},
		{"pattern_not_a_shortened_path", []string{v + ":opt/vendor/*"}, []gate.AnalyzerError{long}, nil, `add "vulnerabilities/jar-without-coordinates" to`, nil},
		{"pattern_and_kind", []string{v + ":opt/vendor/**", v + "/unreadable-file"}, []gate.AnalyzerError{jar, unreadable("b")}, []gate.ErrorCount{more(gate.GapUnreadable, 2)}, "", []string{"names vulnerabilities:opt/vendor/**", "names vulnerabilities/unreadable-file"}},
		{"the_printed_path_covers", []string{v + `:a\[1\]\*.jar`}, []gate.AnalyzerError{jarGap("a[1]*.jar")}, nil, "", []string{"a[1]*.jar"}},
		{"the_printed_path_covers_no_other", []string{v + `:a\[1\]\*.jar`}, []gate.AnalyzerError{jarGap("a1x.jar")}, nil, "a1x.jar", nil},
		{"risk", []string{v}, []gate.AnalyzerError{jar, noPath, kindless}, []gate.ErrorCount{more("", 3)}, "", []string{"names vulnerabilities, which lets this through"}},
		{"another_risk_beside", []string{v + "/jar-without-coordinates"}, []gate.AnalyzerError{jar, other}, nil, `incomplete for secrets: opt/vendor/k: broken (unreadable-file); remove the cause from the image, or let the operators of digestgate add "secrets/unreadable-file"`, []string{"names vulnerabilities/jar"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, Options{Config: Config{AllowIncomplete: c.allow}})
			inv := testInventory()
			inv.Errors, inv.MoreErrors = c.errors, c.more
			for _, e := range c.errors {
				inv.Risks[e.Risk] = gate.RiskStatus{Coverage: gate.Partial, Reason: "gaps"}
			}
			checkIncomplete(t, e.Evaluate(context.Background(), question(inv, testFindings())), c.denied, c.warnings)
		})
	}
}

func checkIncomplete(t *testing.T, d gate.Decision, denied string, warnings []string) {
	t.Helper()
	if denied != "" {
		if d.Outcome != gate.OutcomeDeny || d.Code != gate.CodeScanFailed || !strings.Contains(d.Reasons[0].Msg, denied) {
			t.Fatalf("got %+v, want a refusal with %q", d, denied)
		}
		d.Reasons = d.Reasons[1:]
	} else if d.Outcome != gate.OutcomeWarn {
		t.Fatalf("got %+v, want a warning", d)
	}
	if len(d.Reasons) != len(warnings) {
		t.Fatalf("got the warnings %+v, want %q", d.Reasons, warnings)
	}
	for i, w := range warnings {
		if r := d.Reasons[i]; r.Action != gate.OutcomeWarn || !strings.Contains(r.Msg, "policy.allowIncomplete names ") || !strings.Contains(r.Msg, w) {
			t.Errorf("reason %d: got %+v, want a warning with %q", i, r, w)
		}
	}
}

// TestAllowIncomplete_beside_a_rule: what is let through is said also where a
// rule refuses.
func TestAllowIncomplete_beside_a_rule(t *testing.T) {
	for _, event := range []gate.Event{gate.EventPush, gate.EventAdmission, gate.EventRescan, gate.EventCheck} {
		e := newEngine(t, Options{Config: Config{AllowIncomplete: []string{"vulnerabilities:opt/**"}}})
		inv := testInventory()
		inv.Errors = []gate.AnalyzerError{jarGap("opt/a.jar")}
		inv.Risks[gate.RiskVulnerabilities] = gate.RiskStatus{Coverage: gate.Partial}
		q := question(inv, testFindings(critical("CVE-1")))
		q.Event = event
		d := e.Evaluate(context.Background(), q)
		if last := d.Reasons[len(d.Reasons)-1]; d.Code != gate.CodePolicy || last.Action != gate.OutcomeWarn || !strings.Contains(last.Msg, "names vulnerabilities:opt/**") {
			t.Errorf("%s: got %+v, want POLICY and a warning", event, d)
		}
	}
}

// TestAllowIncomplete_every_kind: each kind can be named for each risk that has
// it, and covers itself.
func TestAllowIncomplete_every_kind(t *testing.T) {
	for _, r := range gate.SupportedRisks() {
		if len(gate.GapKindsOf(r)) == 0 {
			t.Errorf("%s has no kind of gap", r)
		}
		for _, k := range gate.GapKindsOf(r) {
			a, err := parseAllowance(fmt.Sprintf("%s/%s", r, k))
			if err != nil || !a.covers(gate.AnalyzerError{Risk: r, Kind: k}) || !a.coversCount(gate.ErrorCount{Risk: r, Kind: k}) {
				t.Errorf("%s/%s: got %+v, %v", r, k, a, err)
			}
		}
	}
}
