package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

// TestQuiet: at which ages sets see nothing of the advisory data.
func TestQuiet(t *testing.T) {
	const all, none = "all", "none"
	for _, c := range []struct{ text, want string }{
		{`deny contains "x" if input.image.size > 1`, all},
		{`deny contains "x" if input.scan.advisories.ageHours > 168`, "up to 168"},
		{`deny contains "x" if input.scan.advisories.ageHours > 7 * 24`, "up to 168"},
		{`deny contains "x" if input.scan.advisories.ageHours >= 168`, "up to 167"},
		{`deny contains "x" if input.scan.advisories.ageHours > 1.5`, "up to 1"},
		{`deny contains "x" if 24 < input.scan.advisories.ageHours`, "up to 24"},
		{`deny contains "x" if input.scan.advisories.ageHours > 1.99999999999999999999`, none}, // 2 is more, to OPA
		{`deny contains "x" if input.scan.advisories.ageHours < 2.00000000000000000001`, none},
		{`deny contains "x" if input.scan.advisories.ageHours > 2e0`, none},
		{`deny contains "x" if input.scan.advisories.ageHours < 0.1 * 10`, none},
		{`deny contains "x" if input.scan.advisories.ageHours < 0`, "from 0"},
		{`deny contains "x" if input.scan.advisories.ageHours <= 2.5`, "from 3"},
		{`deny contains "x" if 3 >= input.scan.advisories.ageHours`, "from 4"},
		{`deny contains sprintf("%d", [input.scan.advisories.generation]) if input.scan.advisories.ageHours > 9`, "up to 9"},
		{`deny contains "x" if { d := input.scan; d.advisories.ageHours > 9 }`, none},
		{`deny contains "x" if not input.scan.advisories.ageHours > 9`, none},
		{`deny contains "x" if input.scan.advisories.ageHours == 9`, none},
		{`deny contains "x" if input.scan.advisories.ageHours != 9`, none},
		{`deny contains "x" if input.scan.advisories.ageHours > input.image.size`, none},
		{`deny contains "x" if { input.scan.advisories.updatedAt; input.scan.advisories.ageHours > 9 }`, none},
		{`deny contains "x" if { input.scan.advisories.ageHours > 9; input.scan.advisories.generation == 3 }`, none},
		{`deny contains "x" if { input.scan.advisories.ageHours > 9; input.scan.advisories.content in {"a"} }`, none},
		{`deny contains "x" if count(object.get(input.scan, "advisories", {})) > 9`, none},
		{`deny contains sprintf("%v", [input.scan])`, none},
		{"deny contains \"x\" if y with input.scan.advisories.ageHours as 10\n\ny if input.scan.advisories.ageHours > 9", none},
		{"deny contains \"x\" if y == 2\n\ny := 1 if {\n\tinput.scan.advisories.ageHours > 9\n} else := input.scan.advisories.generation", none},
		{"deny contains \"x\" if y == 2\n\ny := 1 if {\n\tinput.scan.advisories.ageHours > 9\n} else := 2 if input.scan.advisories.ageHours > 5", "up to 5"},
	} {
		q := setOf(t, c.text).visible.quiet
		got := none
		switch below, old := q.at(-1), q.at(1<<40); {
		case below && old:
			got = all
		case below:
			n := int64(0)
			for q.at(n) {
				n++
			}
			got = fmt.Sprint("up to ", n-1)
		case old:
			n := int64(0)
			for !q.at(n) {
				n++
			}
			got = fmt.Sprint("from ", n)
		}
		if got != c.want {
			t.Errorf("%s: quiet %s, want %s", c.text, got, c.want)
		}
	}
	starter := engineOver(t, Options{}, Starter()...).active.Load().visible.quiet
	if starter.at(-1) || !starter.at(0) || !starter.at(168) || starter.at(169) {
		t.Errorf("the starter set is quiet at %+v, want 0 to 168 hours", starter)
	}
}

// TestSees: where an engine sees the same of two generations, random rules say the same
// of an image under both.
func TestSees(t *testing.T) {
	looks := slices.DeleteFunc(slices.Clone(ruleTexts), func(text string) bool { return !strings.Contains(text, "advisories") })
	same, different := 0, 0
	for seed := range rounds(400) {
		c := chance{rand.New(rand.NewPCG(uint64(seed), 5))}
		text := ruleText(one(c, looks...), 1) + "\n\n" + ruleText(one(c, looks...), 2)
		e := engineOver(t, Options{MaxAge: one(c, 0, 3*time.Hour)}, source("package digestgate\n\n"+text+"\n")...)
		set := e.active.Load()
		q, inv, f := c.image()
		generation := func() gate.Generation {
			n := int64(1 + c.IntN(9))
			at := func() time.Time {
				return q.Now.Add(-one(c, -time.Hour, 0, time.Hour, 2*time.Hour, 3*time.Hour, 60*time.Hour))
			}
			g := gate.Generation{Number: n, Content: gate.Digest(fmt.Sprint("sha256:", n%3)), UpdatedAt: at()}
			if c.IntN(2) == 0 { // another content, whose buckets have times of their own
				rest, of := g.UpdatedAt, map[string]time.Time{"debian 12": at(), "go::a": at()}
				g.Ages, g.Content = gate.NewAdvisoryAges(rest, of), gate.Digest(fmt.Sprint("sha256:", n%3, rest, of))
				for _, t := range of {
					if t.Before(g.UpdatedAt) {
						g.UpdatedAt = t
					}
				}
			}
			return g
		}
		for range 20 {
			x, y := q, q
			x.Advisories, y.Advisories = generation(), generation()
			seen := e.Sees(x.Advisories, q.Now)
			if seen == "" || seen != e.Sees(y.Advisories, q.Now) {
				different++
				continue
			}
			uses := one(c, "", gate.JoinUses(nil), gate.JoinUses([]string{"debian 12"}), gate.JoinUses([]string{"debian 11", "go::"}))
			x.Record.Summary.Findings.Uses, y.Record.Summary.Findings.Uses = uses, uses
			if same++; x.Advisories != y.Advisories && set.key(&x, origin{}, nil, &joint{}) != set.key(&y, origin{}, nil, &joint{}) {
				t.Fatalf("seed %d: %s\nthe same is seen of %+v and %+v, and decisions are kept apart", seed, text, x.Advisories, y.Advisories)
			}
			for k, g := range []gate.Question{x, y} {
				if found, _ := e.conditions(&g, e.judge(large{inv, usingOf(f, uses)}), set, nil); len(found) > 0 && found[0].Code == gate.CodeStale {
					t.Fatalf("seed %d: generation %d of two that are alike is stale", seed, k)
				}
			}
			if diff := cmp.Diff(said(set.Set, x, inv, usingOf(f, uses)), said(set.Set, y, inv, usingOf(f, uses))); diff != "" {
				t.Fatalf("seed %d: %s\nthe same is seen of %+v and %+v, and the answers differ:\n%s", seed, text, x.Advisories, y.Advisories, diff)
			}
		}
	}
	if same < 100 || different < 100 {
		t.Errorf("%d pairs of generations were alike and %d were not: too few of one kind", same, different)
	}
	e := engineOver(t, Options{MaxAge: time.Hour}, Starter()...)
	if e.Sees(gate.Generation{Number: 1, UpdatedAt: testNow.Add(-2 * time.Hour)}, testNow) != "" || e.Sees(gate.Generation{}, testNow) != "" {
		t.Error("stale data, and none, are like other data")
	}
}

// usingOf are the findings of an image that depend on the buckets of uses.
func usingOf(f *gate.Findings, uses string) *gate.Findings {
	g := *f
	g.Uses = uses
	return &g
}
