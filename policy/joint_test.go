package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// fakeTables say what a test has them say.
type fakeTables struct {
	none   map[gate.TableKind]bool
	epss   map[string]float64
	kev    map[string]bool
	ends   time.Time
	hidden map[string]gate.Statement // by repository and id
}

func (f *fakeTables) Table(k gate.TableKind) gate.Table {
	if f.none[k] {
		return gate.Table{}
	}
	return gate.Table{Number: 1, Content: "sha256:" + gate.Digest(strings.Repeat("a", 64)), UpdatedAt: sampleNow().Add(-time.Hour), Rows: 1}
}

func (f *fakeTables) EPSS(id string) (gate.EPSS, bool) {
	s, ok := f.epss[gate.CanonicalID(id)]
	return gate.EPSS{Score: s, Percentile: s}, ok
}

func (f *fakeTables) KEV(id string) (gate.KnownExploited, bool) {
	return gate.KnownExploited{AddedAt: sampleNow()}, f.kev[gate.CanonicalID(id)]
}

func (f *fakeTables) EndOfLife(family, _ string) (gate.EndOfLife, bool) {
	return gate.EndOfLife{Product: family, Release: "1", From: f.ends}, !f.ends.IsZero()
}

func (f *fakeTables) States(id string) bool {
	for key := range f.hidden {
		if strings.HasSuffix(key, " "+id) {
			return true
		}
	}
	return false
}

func (f *fakeTables) Beside(b *gate.BesideVEX) any { return b }

func (f *fakeTables) Hides(w gate.Whereabouts, v *gate.Vulnerability, now time.Time) (gate.Statement, bool) {
	s, ok := f.hidden[w.Location.Repository+" "+v.ID]
	if b, _ := w.Beside.(*gate.BesideVEX); b != nil && b.Documents[0].Statements == v.ID {
		return gate.Statement{Source: b.Documents[0].Source, Until: now.Add(time.Hour)}, true
	}
	return s, ok && now.Before(s.Until)
}

// joinedImage is an image with vulnerabilities, each of which is critical.
func joinedImage(repository string, ids ...string) gate.Question {
	s := cleanSample()
	d := gate.Digest(fmt.Sprintf("sha256:%064x", len(repository)+100*len(ids)))
	inv, f := *s.inventory, *s.findings
	inv.Digest, f.Digest = d, d
	for _, id := range ids {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: id, Package: "libssl3", Severity: gate.SeverityCritical, PURL: "pkg:deb/debian/libssl3@3.0.14"})
	}
	q := s.question
	q.Digest, q.Location.Repository = d, repository
	q.Record = gate.Record{Digest: d}
	q.Record.TakeInventory("i"+repository, &inv)
	f.InventoryID = q.Record.InventoryID
	q.Record.TakeFindings("f"+repository+strings.Join(ids, ","), &f)
	q.Load = func(context.Context) (*gate.Inventory, *gate.Findings, error) { return &inv, &f, nil }
	return q
}

// joinedEngine decides with rules and tables.
func joinedEngine(t *testing.T, rules string, tables Tables) *Engine {
	t.Helper()
	e := engineWith(Options{Config: Default()}.complete())
	e.use(setOf(t, rules))
	if tables != nil {
		e.Join(tables)
	}
	return e
}

const joinedRules = `
deny contains {"rule": "exploited", "msg": v.id, "findings": [v.id]} if {
	some v in input.findings.vulnerabilities
	v.knownExploited
}

deny contains {"rule": "likely", "msg": v.id, "findings": [v.id]} if {
	some v in input.findings.vulnerabilities
	v.epss > 0.5
}

deny contains {"rule": "ended", "msg": input.image.endOfLife.date} if input.image.endOfLife.state == "ended"`

// ruling are the rules that speak in a decision.
func ruling(d gate.Decision) string {
	var names []string
	for _, r := range d.Reasons {
		names = append(names, r.Rule)
	}
	return string(d.Outcome) + " " + strings.Join(names, ",")
}

func TestTablesAreJoined(t *testing.T) {
	tables := &fakeTables{kev: map[string]bool{"CVE-2026-1111": true}, epss: map[string]float64{"CVE-2026-2222": 0.9, "CVE-2026-3333": 0.5}, ends: sampleNow().Add(time.Hour)}
	e := joinedEngine(t, joinedRules, tables)
	for _, c := range []struct{ id, want string }{
		{"CVE-2026-1111", "deny exploited"}, {"cve-2026-1111", "deny exploited"}, {"CVE-2026-2222", "deny likely"},
		{"CVE-2026-3333", "allow "}, {"CVE-2026-9999", "allow "},
	} {
		q := joinedImage("r"+c.id, c.id)
		d := e.Evaluate(t.Context(), q)
		if got := ruling(d); got != c.want {
			t.Errorf("%s: got %q, want %q: %+v", c.id, got, c.want, d.Reasons)
		}
		if !d.Until.Equal(tables.ends) {
			t.Errorf("%s: it holds until %s, want until the end of life at %s", c.id, d.Until, tables.ends)
		}
		q.Now = tables.ends
		if got := ruling(e.Evaluate(t.Context(), q)); !strings.Contains(got, "ended") {
			t.Errorf("%s at its end of life: got %q", c.id, got)
		}
	}
}

// TestChangedTablesRedecideWhatTheyTouch: of many images one is decided again.
func TestChangedTablesRedecideWhatTheyTouch(t *testing.T) {
	before := &fakeTables{ends: sampleNow().Add(1000 * time.Hour)}
	e := joinedEngine(t, joinedRules, before)
	var images []gate.Question
	for i := range 20 {
		q := joinedImage(fmt.Sprint("repository", i), fmt.Sprintf("CVE-2026-%04d", i), "CVE-2020-0001")
		images = append(images, q)
		if got := ruling(e.Evaluate(t.Context(), q)); got != "allow " {
			t.Fatalf("image %d: got %q", i, got)
		}
	}
	unknown := func() (list []int) {
		for i := range images {
			if _, ok := e.Known(images[i]); !ok {
				list = append(list, i)
			}
		}
		return list
	}
	for _, c := range []struct {
		name  string
		after *fakeTables
		want  string
	}{
		{"nothing", &fakeTables{ends: before.ends}, "[]"},
		{"kev", &fakeTables{ends: before.ends, kev: map[string]bool{"CVE-2026-0007": true}}, "[7]"},
		{"epss", &fakeTables{ends: before.ends, epss: map[string]float64{"CVE-2026-0003": 0.1, "CVE-2026-0004": 0.9}}, "[3 4]"},
		{"vex", &fakeTables{ends: before.ends, hidden: map[string]gate.Statement{"repository5 CVE-2026-0005": {Until: before.ends}}}, "[5]"},
	} {
		e.Join(c.after)
		if got := fmt.Sprint(unknown()); got != c.want {
			t.Errorf("%s: images %s are decided again, want %s", c.name, got, c.want)
		}
		e.Join(before)
		if got := fmt.Sprint(unknown()); got != "[]" {
			t.Errorf("%s, and back: images %s are decided again", c.name, got)
		}
	}
	e.Join(&fakeTables{ends: before.ends, kev: map[string]bool{"CVE-2026-0007": true}})
	if got := ruling(e.Evaluate(t.Context(), images[7])); got != "deny exploited" {
		t.Errorf("the image that is touched: got %q", got)
	}
}

// TestStatementsHide: what is hidden is no finding for rules, but an accepted one, in the
// repository and for the time that the statement holds.
func TestStatementsHide(t *testing.T) {
	until := sampleNow().Add(10 * time.Hour)
	tables := &fakeTables{hidden: map[string]gate.Statement{"team/a CVE-2026-0001": {
		Source: "acme", Author: "Acme", Status: "not_affected", Justification: "component_not_present", Until: until,
	}}}
	const rules = `
deny contains {"rule": "critical", "msg": v.id} if {
	some v in input.findings.vulnerabilities
	v.severity == "CRITICAL"
}

warn contains {"rule": "hidden", "msg": sprintf("%s %s %s %s", [a.id, a.exception, a.reason, a.author])} if some a in input.findings.accepted

warn contains {"rule": "counted", "msg": sprintf("%d", [n])} if n := count(input.findings.vulnerabilities)`
	e := joinedEngine(t, rules, tables)
	a, b := joinedImage("team/a", "CVE-2026-0001"), joinedImage("team/b", "CVE-2026-0001")
	for range 2 { // the second time from memory
		d := e.Evaluate(t.Context(), a)
		if got := ruling(d); got != "warn counted,hidden" || d.Reasons[0].Msg != "0" || d.Reasons[1].Msg != "CVE-2026-0001 vex:acme component_not_present Acme" {
			t.Errorf("where it counts: got %q, %+v", got, d.Reasons)
		}
		if !d.Until.Equal(until) {
			t.Errorf("it holds until %s, want %s", d.Until, until)
		}
		if got := ruling(e.Evaluate(t.Context(), b)); got != "deny critical,counted" {
			t.Errorf("elsewhere: got %q", got)
		}
	}
	a.Now = until
	if _, ok := e.Known(a); ok {
		t.Error("a decision by a statement that is too old is remembered")
	}
	if got := ruling(e.Evaluate(t.Context(), a)); got != "deny critical,counted" {
		t.Errorf("when the statement is too old: got %q", got)
	}
	a.Now = sampleNow()
	tables = &fakeTables{}
	e.Join(tables)
	if got := ruling(e.Evaluate(t.Context(), a)); got != "deny critical,counted" {
		t.Errorf("when the statement is gone: got %q", got)
	}
}

// TestLackingTablesRefuse: a rule that names a table which is not there would be silent.
func TestLackingTablesRefuse(t *testing.T) {
	handed := "deny contains \"x\" if {\n\tsome v in input.findings.vulnerabilities\n\tbad(v)\n}\n\nbad(v) if v.knownExploited"
	for _, c := range []struct {
		name, rules string
		tables      Tables
		want        gate.Code
	}{
		{"none", joinedRules, nil, gate.CodeStale},
		{"one_of_them", joinedRules, &fakeTables{none: map[gate.TableKind]bool{gate.TableEPSS: true}}, gate.CodeStale},
		{"handed_to_a_function", handed, nil, gate.CodeStale},
		{"all", joinedRules, &fakeTables{}, ""},
		{"not_named", "deny contains \"x\" if {\n\tsome v in input.findings.vulnerabilities\n\tcount(v) > 99\n}", nil, ""},
		{"vex_is_optional", "warn contains \"x\" if count(input.findings.accepted) > 99", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := joinedEngine(t, c.rules, c.tables).Evaluate(t.Context(), joinedImage("r", "CVE-2026-0001"))
			if d.Code != c.want || (d.Outcome == gate.OutcomeDeny) != (c.want != "") {
				t.Errorf("got %s %s, want %q: %+v", d.Outcome, d.Code, c.want, d.Reasons)
			}
		})
	}
}

// TestAliasesAreJoined: what a table says under another name of a vulnerability is said of
// it, also once its names are remembered; of an advisory with several CVEs the worst counts.
func TestAliasesAreJoined(t *testing.T) {
	tables := &fakeTables{kev: map[string]bool{"CVE-2026-1111": true}, epss: map[string]float64{"CVE-2026-2222": 0.9, "CVE-2026-3333": 0.1}}
	e := joinedEngine(t, joinedRules, tables)
	for name, c := range map[string]struct {
		aliases []string
		want    string
	}{
		"none": {nil, "allow "}, "exploited": {[]string{"CVE-2026-1111"}, "deny exploited"}, "worst": {[]string{"CVE-2026-3333", "CVE-2026-2222"}, "deny likely"},
		"harmless": {[]string{"CVE-2026-3333", "GO-2026-1"}, "allow "},
	} {
		q := joinedImage("aliased"+name, "GHSA-aaaa-bbbb-cccc")
		_, f, _ := q.Load(t.Context())
		f.Vulnerabilities[len(f.Vulnerabilities)-1].Aliases = c.aliases
		q.Record.TakeFindings("f"+name, f)
		for range 2 {
			if got := ruling(e.Evaluate(t.Context(), q)); got != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
	// The list changes: what is known of an image is enough to decide again.
	q := joinedImage("later", "GHSA-aaaa-bbbb-cccc")
	_, f, _ := q.Load(t.Context())
	f.Vulnerabilities[len(f.Vulnerabilities)-1].Aliases = []string{"CVE-2026-4444"}
	q.Record.TakeFindings("flater", f)
	if got := ruling(e.Evaluate(t.Context(), q)); got != "allow " {
		t.Errorf("before: got %q", got)
	}
	e.Join(&fakeTables{kev: map[string]bool{"CVE-2026-4444": true}})
	if got := ruling(e.Evaluate(t.Context(), q)); got != "deny exploited" {
		t.Errorf("after: got %q", got)
	}
}
