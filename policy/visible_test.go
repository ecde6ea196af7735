package policy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// ruleTexts are rules that look at the input in every way that there is; %[1]d is a
// number of their own.
var ruleTexts = []string{
	`deny contains "large" if input.image.size > 1000`,
	`deny contains v.id if { some v in input.findings.vulnerabilities; v.severity == "CRITICAL" }`,
	`deny contains sprintf("%%s %%s", [v.package, v.fixedVersion]) if { some v in input.findings.vulnerabilities; v.fixedVersion != ""; not v.cvss < 5 }`,
	`warn contains sprintf("%%d different", [count({v | some v in input.findings.vulnerabilities})])`,
	`warn contains sprintf("%%d severe", [count({v | some v in input.findings.vulnerabilities; v.severity in {"CRITICAL", "HIGH"}})])`,
	`warn contains sprintf("%%d in all", [count(input.findings.vulnerabilities)])`,
	`warn contains "any" if count(input.findings.vulnerabilities) > 1`,
	"warn contains sprintf(\"%%d counted\", [n]) if {\n\tlist := input.findings.vulnerabilities\n\tn := count(list)\n\tsome v in list\n\tv.severity == \"CRITICAL\"\n}",
	`warn contains sprintf("%%d high ones", [count([v | some v in input.findings.vulnerabilities; v.severity == "HIGH"])])`,
	`warn contains sprintf("%%d ids", [count([v.id | some v in input.findings.vulnerabilities; v.fixedVersion == "2"])])`,
	`warn contains sprintf("%%d places of", [count([i | some i, v in input.findings.vulnerabilities; v.severity == "HIGH"])])`,
	"warn contains sprintf(\"%%d, first %%s\", [count(list), list[0].id]) if list := [v | some v in input.findings.vulnerabilities; v.severity == \"HIGH\"]",
	"warn contains sprintf(\"%%d fields\", [count(v)]) if some v in input.findings.vulnerabilities",
	"warn contains sprintf(\"%%d of a high one\", [count(v)]) if { some v in input.findings.vulnerabilities; v.severity == \"HIGH\" }",
	"warn contains sprintf(\"%%d and %%d\", [count(x), count(x.vulnerabilities)]) if x := input.findings",
	`warn contains sprintf("%%d, %%d, %%d", [count(input.packages), count(input.findings.secrets), count(input.scan.gaps)])`,
	`warn contains sprintf("%%d, %%d, %%d", [count(input.image.tags), count(input.image.config.labels), count(input.image.layers)])`,
	"warn contains \"index\" if count(input.findings.vulnerabilities[0]) > 2",
	"warn contains sprintf(\"%%d by two\", [n]) if count(input.findings.vulnerabilities, n)",
	"warn contains sprintf(\"%%v\", [list]) if {\n\tlist := [v | some v in input.findings.vulnerabilities; v.severity == \"HIGH\"]\n\tcount(list) > 0\n}",
	`warn contains sprintf("severe %%s", [v.id]) if { some v in input.findings.vulnerabilities; v.severity in {"HIGH", "CRITICAL"}; v.fixedVersion == "" }`,
	`warn contains sprintf("high %%v", [[v.id | some v in input.findings.vulnerabilities; v.cvss > 4; "HIGH" == v.severity]])`,
	`warn contains sprintf("%%d is high", [i]) if { some i, v in input.findings.vulnerabilities; v.severity == "HIGH" }`,
	`warn contains sprintf("number %%d", [to_number(v.fixedVersion)]) if { some v in input.findings.vulnerabilities; to_number(v.fixedVersion) > 1; v.severity == "MEDIUM" }`,
	`warn contains "not high" if { some v in input.findings.vulnerabilities; not v.severity == "HIGH" }`,
	"warn contains \"helped\" if {\n\tsome v in input.findings.vulnerabilities\n\thelp%[1]d > 1\n\tv.severity == \"CRITICAL\"\n}\n\nhelp%[1]d := to_number(input.image.config.user)",
	"warn contains sprintf(\"%%d\", [n]) if n := count([1 | some v in input.findings.vulnerabilities; v.severity == [\"HIGH\", \"LOW\"][_]])",
	"warn contains \"two lists\" if {\n\tlist := input.findings.vulnerabilities\n\tsome v in list\n\tv.severity == \"CRITICAL\"\n}",
	"warn contains \"pair\" if {\n\tsome i, j\n\tinput.findings.vulnerabilities[i].id == input.findings.vulnerabilities[j].id\n\ti < j\n}",
	"warn contains \"same\" if {\n\tsome i, j\n\tinput.findings.vulnerabilities[i] == input.findings.vulnerabilities[j]\n\ti < j\n}",
	`warn contains sprintf("layer %%s", [v.layer]) if some v in input.findings.vulnerabilities`,
	`warn contains sprintf("first %%d", [v.firstSeenUnix]) if some v in input.findings.vulnerabilities`,
	"deny contains \"every\" if {\n\tevery v in input.findings.vulnerabilities { v.severity == \"LOW\" }\n}",
	"warn contains sprintf(\"grouped %%v\", [by%[1]d])\n\nby%[1]d[v.severity] contains v.id if some v in input.findings.vulnerabilities",
	"warn contains sprintf(\"whole %%d\", [count(all%[1]d)])\n\nall%[1]d[v.package] contains v if some v in input.findings.vulnerabilities",
	"deny contains \"called\" if {\n\tsome v in input.findings.vulnerabilities\n\tf%[1]d(v)\n}\n\nf%[1]d(v) if v.type == \"gobinary\"",
	`warn contains sprintf("%%v", [object.get(input, ["image", "os", "name"], "none")])`,
	`warn contains sprintf("%%v", [object.get(input.scan, "gaps", [])])`,
	`warn contains sprintf("%%v", [input.image[x]]) if some x in ["size", "platform", "tags"]`,
	"warn contains k if {\n\tsome k, v in input.image.config\n\tv == true\n}",
	`warn contains sprintf("%%d places", [count([1 | walk(input.image, [_, "app"])])])`,
	`warn contains sprintf("%%d in the input", [count([1 | walk(input, [_, "debian"])])])`,
	"warn contains \"with\" if small%[1]d with input as {\"image\": {\"size\": 7}}\n\nsmall%[1]d if input.image.size == 7",
	"warn contains \"with a part\" if none%[1]d with input.findings.vulnerabilities as []\n\nnone%[1]d if count(input.findings.vulnerabilities) == input.image.size - 1000",
	"warn contains \"with os\" if alpine%[1]d with input.image.os as {\"family\": \"alpine\"}\n\nalpine%[1]d if {\n\tinput.image.os.family == \"alpine\"\n\tinput.image.size > 999\n}",
	`deny contains "root" if input.image.config.runsAsRoot`,
	`warn contains sprintf("user %%s", [input.image.config.user])`,
	`warn contains sprintf("%%v", [input.image.config.labels])`,
	`warn contains "team a" if input.image.config.labels.team == "a"`,
	`warn contains sprintf("%%s %%s", [input.image.os.family, input.image.os.name]) if input.image.os.eol`,
	`warn contains sprintf("%%s %%s %%s", [input.image.digest, input.image.registry, input.image.repository])`,
	`warn contains sprintf("%%s of %%s", [p.version, p.name]) if { some p in input.packages; p.name != "x" }`,
	`warn contains sprintf("%%v", [input.image.layers])`,
	`warn contains h.createdBy if some h in input.image.history`,
	`deny contains s.title if { some s in input.findings.secrets; s.severity == "HIGH" }`,
	`warn contains sprintf("%%v", [s]) if some s in input.findings.secrets`,
	`warn contains g.package if some g in input.scan.gaps`,
	`warn contains r if { some r, s in input.scan.risks; s.coverage != "complete" }`,
	`warn contains sprintf("%%s %%s", [input.scan.isolation, input.scan.risks.secrets.reason])`,
	`warn contains sprintf("%%s by %%s, %%s", [input.scan.matchedAt, input.scan.matcher, input.scan.analyzerSet])`,
	`warn contains sprintf("%%d", [input.scan.advisories.generation])`,
	`warn contains input.scan.advisories.content if input.scan.advisories.content != ""`,
	`warn contains sprintf("data of %%s", [input.scan.advisories.updatedAt])`,
	`deny contains "old" if input.image.ageHours > 47`,
	`warn contains sprintf("%%d hours", [input.image.ageHours])`,
	`warn contains sprintf("%%d hours since the scan", [input.scan.ageHours])`,
	`warn contains sprintf("data of %%d hours", [input.scan.advisories.ageHours])`,
	`warn contains sprintf("%%d hours, as of %%s", [input.scan.advisories.ageHours, input.scan.advisories.updatedAt]) if input.scan.advisories.ageHours > 1`,
	`warn contains sprintf("older: %%s", [input.scan.advisories.content]) if { 2 * 1 <= input.scan.advisories.ageHours; input.scan.advisories.generation != 7 }`,
	`warn contains "young" if 2 > input.scan.advisories.ageHours`,
	`warn contains "not young" if not input.scan.advisories.ageHours < 2`,
	`warn contains sprintf("from %%s", [d.updatedAt]) if { d := input.scan.advisories; d.ageHours > 2 }`,
	`warn contains "found by its number" if { to_number(input.image.os.family) > 1; input.scan.advisories.ageHours > 1; input.scan.advisories.generation == 9 }`,
	"warn contains sprintf(\"with another age %%s\", [aged%[1]d]) if aged%[1]d with input.scan.advisories.ageHours as 9\n\naged%[1]d := input.scan.advisories.updatedAt if input.scan.advisories.ageHours > 5",
	"warn contains sprintf(\"else %%v\", [age%[1]d])\n\nage%[1]d := \"old\" if {\n\tinput.scan.advisories.ageHours > 50\n} else := input.scan.advisories.generation",
	"warn contains sprintf(\"asked %%v\", [aged%[1]d(input.image.size)])\n\naged%[1]d(x) := y if {\n\tinput.scan.advisories.ageHours >= 2\n\ty := [x, input.scan.advisories.updatedUnix]\n}",
	`warn contains sprintf("created %%d", [input.image.createdUnix])`,
	`deny contains "late" if input.nowUnix > 1793613600`,
	`deny contains "push" if input.event == "push"`,
	`deny contains sprintf("in %%s", [input.request.namespace]) if input.request.namespace != "free"`,
	`warn contains sprintf("%%v", [input.request.namespaceLabels.team])`,
	`warn contains sprintf("%%v", [input.request])`,
	`warn contains t if some t in input.image.tags`,
	`warn contains input.image.host if input.image.host != ""`,
	`warn contains sprintf("%%v", [input.findings.malware])`,
}

// ruleText writes one with a number of its own.
func ruleText(text string, i int) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "%[1]d", strconv.Itoa(i)), "%%", "%")
}

// chance makes random sets and questions, in which few things differ.
type chance struct{ *rand.Rand }

func one[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

func (c chance) set(t testing.TB) *Set {
	t.Helper()
	var texts []string
	for i := range 1 + c.IntN(4) {
		texts = append(texts, ruleText(one(c, ruleTexts...), i))
	}
	return setOf(t, strings.Join(texts, "\n\n"))
}

// image is a question about a random image, whose record summarizes it.
func (c chance) image() (gate.Question, *gate.Inventory, *gate.Findings) {
	inv, f := testInventory(), testFindings()
	inv.Size, inv.OS.Name = one[int64](c, 1000, 1001), one(c, "12.5", "13")
	inv.OS.EOL, f.EOL = c.IntN(4) == 0, c.IntN(4) == 0
	inv.Config.User, inv.Config.Labels = one(c, "10001", "", "0:0"), map[string]string{"team": one(c, "a", "b")}
	inv.Created = testNow.Add(-one(c, 48*time.Hour, 47*time.Hour+59*time.Minute+50*time.Second, 3*time.Hour, -time.Minute))
	inv.AnalyzedAt = testNow.Add(-one(c, 2*time.Hour, 2*time.Hour-time.Second, -time.Minute))
	inv.Layers, inv.History = []gate.Layer{{Digest: "sha256:l", Size: one[int64](c, 1, 2)}}, []gate.History{{CreatedBy: one(c, "COPY", "RUN")}}
	inv.Risks[gate.RiskFiles] = gate.RiskStatus{Coverage: one(c, gate.Complete, gate.NotLookedAt), Reason: one(c, "", "why")}
	for range c.IntN(3) {
		inv.Secrets = append(inv.Secrets, gate.Secret{Rule: "r", Title: one(c, "a key", "app"), Severity: one(c, "HIGH", "LOW"), Path: "app", Layer: one[gate.Digest](c, "l1", "l2")})
	}
	for range c.IntN(5) {
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{
			ID: one(c, "CVE-1", "CVE-2"), Package: one(c, "p", "q"), Type: one(c, "debian", "gobinary"), InstalledVersion: "1", FixedVersion: one(c, "", "2"),
			Severity: one(c, gate.Severities()...), CVSS: one(c, 9.8, 3.1, -1), Layer: one[gate.Digest](c, "l1", "l2"), FirstSeen: testNow.Add(-one(c, time.Hour, 2*time.Hour)),
		})
	}
	for range c.IntN(2) {
		f.Gaps = append(f.Gaps, gate.Gap{Package: one(c, "g", "h"), Version: "1", Reason: "elsewhere"})
	}
	f.UpdatedAt, f.Advisories = testNow.Add(-one(c, time.Hour, 90*time.Minute)), "sha256:c1"
	q := question(inv, f)
	q.Digest = one[gate.Digest](c, "sha256:aa", "sha256:bb")
	q.Location.Repository, q.Host, q.Event = one(c, "library/web", "library/app"), one(c, "h1", "h2"), one(c, gate.EventAdmission, gate.EventPush)
	q.Tags = one(c, nil, []string{"v1"}, []string{"app"})
	if c.IntN(3) > 0 {
		q.Request = &gate.Request{Namespace: one(c, "free", "shop"), User: one(c, "u", "w"), NamespaceLabels: map[string]string{"team": one(c, "a", "b"), "x": one(c, "y", "z")}}
	}
	q.Advisories = one(c, gate.Generation{}, gate.Generation{Number: int64(1 + c.IntN(2)), Content: "sha256:c1", UpdatedAt: testNow.Add(-one(c, time.Hour, 90*time.Minute, -time.Second))})
	q.Record.InventoryID, q.Record.FindingsID = fmt.Sprint("i", c.Int()), fmt.Sprint("f", c.Int())
	f.InventoryID = q.Record.InventoryID
	if c.IntN(5) > 0 { // otherwise a record of an earlier version
		summarized(&q)
	}
	return q, inv, f
}

// change changes one thing of an image or of the question, or nothing, and the ids with
// it.
func (c chance) change(q *gate.Question, inv *gate.Inventory, f *gate.Findings) {
	summaries := q.Record.Summarized()
	switch c.IntN(14) {
	case 0:
		for i := range f.Vulnerabilities {
			f.Vulnerabilities[i].Layer = "l9"
		}
	case 1:
		for i := range f.Vulnerabilities {
			f.Vulnerabilities[i].FirstSeen = testNow
		}
	case 2:
		for i := range inv.Secrets {
			inv.Secrets[i].Layer = "l9"
		}
	case 3:
		f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: "CVE-3", Severity: one(c, gate.Severities()...)})
	case 4:
		inv.Size++
	case 5:
		inv.Config.User, inv.Config.Labels = one(c, "1", "0"), map[string]string{"team": "c"}
	case 6:
		inv.Layers, inv.History, inv.Packages = nil, nil, nil
	case 7:
		inv.Risks[gate.RiskFiles] = gate.RiskStatus{Coverage: gate.Complete, Reason: "else"}
	case 8:
		inv.OS.Family, inv.OS.EOL = "alpine", !inv.OS.EOL
	case 9:
		q.Location.Repository, q.Host, q.Digest = "else", "h3", "sha256:cc"
	case 10:
		q.Tags, q.Event, q.Request = []string{"else"}, gate.EventRescan, &gate.Request{User: "else"}
	case 11:
		f.MatchedAt, f.Matcher, inv.AnalyzedAt = testNow.Add(-time.Minute), "m2", inv.AnalyzedAt.Add(-time.Hour)
	case 12:
		q.Advisories = gate.Generation{Number: 9, Content: "sha256:c9", UpdatedAt: testNow.Add(-one(c, 0, 2*time.Hour, 3*time.Hour))}
	}
	q.Record.InventoryID, q.Record.FindingsID = fmt.Sprint("i", c.Int()), fmt.Sprint("f", c.Int())
	if f.InventoryID = q.Record.InventoryID; summaries {
		summarized(q)
	}
}

// rounds is how often a property is tried: DIGESTGATE_ROUNDS times the default.
func rounds(n int) int {
	if more, err := strconv.Atoi(os.Getenv("DIGESTGATE_ROUNDS")); err == nil {
		return n * more
	}
	return n
}

// said is the answer of the rules to an input with everything in it.
func said(set *Set, q gate.Question, inv *gate.Inventory, f *gate.Findings) []gate.Reason {
	return answered(set.eval(context.Background(), wholeInput(&q, inv, f)))
}

// answered is an answer, or an error as one.
func answered(reasons []gate.Reason, err error) []gate.Reason {
	if err != nil {
		return []gate.Reason{{Action: gate.OutcomeDeny, Code: gate.CodePolicyError, Msg: err.Error()}}
	}
	return append([]gate.Reason{}, reasons...)
}

// TestEveryRuleText: each of them compiles, and its input, which holds only what the
// rule mentions, is smaller than the whole one or the whole.
func TestEveryRuleText(t *testing.T) {
	for i, text := range ruleTexts {
		setOf(t, ruleText(text, i))
	}
}

// TestInputOfWhatIsMentioned: random rules decide by an input that holds only what they
// mention, from a summary where it has that, as they do by the whole.
func TestInputOfWhatIsMentioned(t *testing.T) {
	for seed := range rounds(150) {
		c := chance{rand.New(rand.NewPCG(uint64(seed), 1))}
		set := c.set(t)
		for range 5 {
			q, inv, f := c.image()
			l := large{}
			inventory, findings := set.visible.needs(&q.Record, &joint{})
			if inventory {
				l.inv = inv
			}
			if findings {
				l.f = f
			}
			d := set.visible.document
			fs := d.facts(newMaterial(basicsFrom(&q.Record, l), l.inv, l.f, &joint{}))
			own := originOf(f)
			got := answered(set.eval(context.Background(), d.compose(&q, fs, inForce(&q, own), nil)))
			if diff := cmp.Diff(said(set, q, inv, f), got); diff != "" {
				t.Fatalf("seed %d: %s\n(-whole +mentioned):\n%s", seed, set.Files()[0].Text, diff)
			}
		}
	}
}

// TestOneKeyOneAnswer: random questions with one key have one answer, as far as the
// ages that the rules see are the same.
func TestOneKeyOneAnswer(t *testing.T) {
	shared := 0
	for seed := range rounds(150) {
		c := chance{rand.New(rand.NewPCG(uint64(seed), 2))}
		set := &activeSet{Set: c.set(t)}
		type answer struct {
			q       gate.Question
			reasons []gate.Reason
		}
		answers := map[memoKey]answer{}
		base := c.Uint64()
		for range 12 {
			q, inv, f := chance{rand.New(rand.NewPCG(base, 4))}.image() // the same again
			c.change(&q, inv, f)
			key := set.key(&q, originOf(f), nil, &joint{})
			got := answer{q, said(set.Set, q, inv, f)}
			old, ok := answers[key]
			if !ok {
				answers[key] = got
				continue
			}
			shared++
			if diff := cmp.Diff(old.reasons, got.reasons); diff != "" {
				t.Fatalf("seed %d: %s\ntwo answers under one key:\n%s\n%+v\n%+v", seed, set.Files()[0].Text, diff, old.q, q)
			}
		}
	}
	if shared < 50 {
		t.Errorf("only %d questions had a key that another had", shared)
	}
}

// TestNothingOutlivesItsTruth: what an engine answers at random times, also just before
// and after an age turns and when a clock steps back, was or will be true within 30 s.
func TestNothingOutlivesItsTruth(t *testing.T) {
	all := slices.DeleteFunc(slices.Clone(ruleTexts), func(text string) bool { // which a new set may not read
		return strings.Contains(text, "namespaceLabels") || strings.Contains(text, "malware")
	})
	timed := slices.DeleteFunc(slices.Clone(all), func(text string) bool {
		return !strings.Contains(text, "ageHours") && !strings.Contains(text, "nowUnix")
	})
	for seed := range rounds(60) {
		c := chance{rand.New(rand.NewPCG(uint64(seed), 3))}
		text := ruleText(one(c, all...), 1)
		if c.IntN(2) == 0 {
			text = ruleText(one(c, timed...), 1)
		}
		e := engineOver(t, Options{MaxAge: one(c, 0, 2*time.Hour)}, source("package digestgate\n\n"+text+"\n")...)
		set := e.active.Load().Set
		q, inv, f := c.image()
		turns := []time.Time{inv.Created, inv.AnalyzedAt, f.UpdatedAt, q.Advisories.UpdatedAt, inv.AnalyzedAt.Add(-gate.ClockSkew), testNow}
		for range 60 {
			at := one(c, turns...).Add(time.Duration(c.IntN(5)-1) * time.Hour)
			at = at.Add(one(c, 0, -1, 1, -time.Second, 10*time.Second, 25*time.Second, 31*time.Second, -31*time.Second, 29*time.Minute))
			for range 1 + c.IntN(3) {
				q.Now = at
				got := e.Evaluate(context.Background(), q)
				if got.Code == gate.CodePolicyError {
					got.Reasons = said(set, q, inv, f) // the words differ
				}
				stale := 0
				if n := len(got.Reasons); n > 0 && got.Reasons[n-1].Code == gate.CodeStale {
					stale = 1
					got.Reasons = got.Reasons[:n-1] // STALE, which is not remembered
				}
				if later := at.Add(time.Duration(c.IntN(3600)) * time.Second); later.Before(got.Until) && !set.visible.clock {
					q := q
					q.Now = later
					if found, _ := e.conditions(&q, e.judge(large{inv, f}), e.active.Load(), nil); len(found) != stale || !cmp.Equal(said(set, q, inv, f), got.Reasons) {
						t.Fatalf("seed %d: %s\nat %s the decision of %s, %+v, is to hold until %s", seed, text, later, at, got.Reasons, got.Until)
					}
				}
				if !slices.ContainsFunc([]time.Duration{0, -30 * time.Second, 30 * time.Second, -10 * time.Second, -20 * time.Second}, func(d time.Duration) bool {
					q := q
					q.Now = at.Add(d)
					return cmp.Equal(said(set, q, inv, f), got.Reasons)
				}) {
					t.Fatalf("seed %d: %s\nat %s: got %+v, true is %+v", seed, text, at, got.Reasons, said(set, q, inv, f))
				}
				at = at.Add(one(c, time.Second, -time.Second, 15*time.Second, -20*time.Second, 31*time.Second, 45*time.Second))
			}
		}
	}
}
