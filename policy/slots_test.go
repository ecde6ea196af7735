package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// hostileLabels are texts that an image brings along; the rules below use them.
func hostileLabels() map[string]string {
	n := 1 << 20
	return map[string]string{
		"a": strings.Repeat("a", n), "é": strings.Repeat("é", n/2), "ab": strings.Repeat("ab", n/2),
		"mid":     strings.Repeat("a", 50_000),
		"halfA":   strings.Repeat("a", n/2),
		"halfAB":  strings.Repeat("a", n/2) + "b",
		"deep":    strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"regex":   "(?:" + strings.Repeat("(?:a|b?c)*", 3000) + "){9}x",
		"folds":   "(?i)[" + strings.Repeat("a-\U0001e000", 500) + "]",
		"classes": strings.Repeat(`\PL`, 20_000),
		"stars":   strings.Repeat("*a", 40) + "b",
		"globs":   strings.Repeat("{*a,**b}", 30),
	}
}

// TestNothingKeepsASlot: whatever a rule calls, its evaluation ends soon after
// its budget, and its slot can be used again, also by another set.
func TestNothingKeepsASlot(t *testing.T) {
	label := func(text string) string {
		for name := range hostileLabels() {
			text = strings.ReplaceAll(text, "$"+name+"$", `input.image.config.labels["`+name+`"]`)
		}
		return text
	}
	library := File{Name: "lib.rego", Text: `package lib

x0 := [v.id | some v in input.findings.vulnerabilities]
x1 := [x0 | some _ in x0]
x2 := [x1 | some _ in x0]
x3 := [x2 | some _ in x0]
y0 := [v.id | some v in input.findings.vulnerabilities]
y1 := [y0 | some _ in y0]
y2 := [y1 | some _ in y0]
y3 := [y2 | some _ in y0]

f(x) := [x | some _ in x0]

twice(x) := [x, x]

p[id] := x2 if some id in x0

q[id] := y2 if some id in y0
`}
	for name, body := range map[string]string{
		"regex_product":       `regex.match("(?:a?){500}(?:a*){300}b", $a$)`,
		"regex_at_the_bound":  `regex.match("(?:a?){160}(?:a*){160}b", $mid$)`,
		"regex_repeated":      `regex.match("((a{100}){10}b?){1}", $a$)`,
		"regex_of_the_image":  `regex.match($regex$, $mid$)`,
		"regex_folds":         `regex.match($folds$, "x")`,
		"regex_folds_valid":   `regex.is_valid($folds$)`,
		"regex_classes":       `regex.match($classes$, "x")`,
		"regex_find_all":      `count(regex.find_n("a.*b|a", $a$, -1)) > 1`,
		"regex_submatches":    `count(regex.find_all_string_submatch_n("(a)(.*)b|a", $a$, -1)) > 1`,
		"regex_split":         `count(regex.split("a.*b|a", $a$)) > 1`,
		"regex_replace":       `regex.replace($a$, "a.*b|a", "b") == "x"`,
		"regex_groups":        `count(regex.find_all_string_submatch_n("(((((((((((((((((((((((a*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*)*b", $mid$, -1)) > 1`,
		"glob_stars":          `glob.match($stars$, ["."], $a$)`,
		"glob_alternatives":   `glob.match($globs$, ["."], $mid$)`,
		"trim":                `trim($é$, $é$) == "x"`,
		"trim_left":           `trim_left($ab$, concat("", [$é$, "b", "a"])) == "x"`,
		"trim_right":          `trim_right($ab$, concat("", [$é$, "b", "a"])) == "x"`,
		"indexof":             `indexof(concat("", [$halfA$, "é"]), $halfAB$) > 1`,
		"indexof_n":           `count(indexof_n($a$, $halfA$)) > 1`,
		"replace":             `replace($a$, $halfAB$, "b") == "x"`,
		"replace_n":           `strings.replace_n({$halfAB$: "x", "ab": "c"}, $a$) == "x"`,
		"subset":              "a := [1 | some c in split($a$, \"\")]\nb := array.concat(array.slice(a, 0, 500000), [2])\nobject.subset(a, b)",
		"deep_json":           "walk(json.unmarshal($deep$), [[\"x\"], _])",
		"compare_shared":      "data.lib.x3 == data.lib.y3",
		"walk_shared":         "walk(data.lib.x3, [[_, _, _, _, _, _], \"x\"])",
		"iterate_shared":      "data.lib.x3[_][_][_][_] == \"x\"",
		"sort_shared":         "sort([data.lib.x3, data.lib.y3]) == []",
		"member_of_shared":    "data.lib.x3 in [data.lib.y3]",
		"set_of_shared":       "count({data.lib.x3, data.lib.y3}) == 1",
		"compare_literals":    doubled(40, "a") + " == " + doubled(40, "b"),
		"compare_functions":   "data.lib.f(data.lib.f(data.lib.f(data.lib.f(data.lib.x0)))) == data.lib.f(data.lib.f(data.lib.f(data.lib.f(data.lib.y0))))",
		"shared_partial_rule": "data.lib.p == data.lib.q",
	} {
		t.Run(name, func(t *testing.T) {
			text := "package digestgate\n\ndeny contains \"x\" if {\n\t" + strings.ReplaceAll(label(body), "\n", "\n\t") + "\n}\n"
			e := engineOver(t, Options{Slots: 1, Budget: 100 * time.Millisecond}, append(source(text), library)...)
			inv := testInventory()
			inv.Config.Labels = hostileLabels()
			found := testFindings()
			for range 500 {
				found.Vulnerabilities = append(found.Vulnerabilities, gate.Vulnerability{ID: "CVE-1", Severity: gate.SeverityHigh, CVSS: -1})
			}
			began := processorTime()
			d := e.Evaluate(context.Background(), question(inv, found))
			select {
			case e.pool.slots <- struct{}{}: // the slot is free again
				<-e.pool.slots
			case <-time.After(time.Minute):
				t.Fatalf("the slot is still held after a minute; the decision was %+v", d.Reasons)
			}
			if used := processorTime() - began; used > 15*time.Second {
				t.Errorf("it took %s of processor time", used)
			} else {
				t.Logf("%s: %s", used, d.Reasons)
			}
			if lost, _ := e.pool.lostSlots(); lost != 0 || e.Healthy() != nil {
				t.Errorf("%d slots are lost, %v", lost, e.Healthy())
			}
		})
	}
}

// doubled is a call of lib.twice in another, n times. (Literals of literals are
// caught by the trial: the compiler's type checker takes too long for them.)
func doubled(n int, start string) string {
	return strings.Repeat("data.lib.twice(", n) + `"` + start + `"` + strings.Repeat(")", n)
}
