package policy

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// problemsIn compiles a set and lists what is wrong.
func problemsIn(t *testing.T, files ...File) Problems {
	t.Helper()
	_, err := Compile(files)
	var ps Problems
	if err != nil && !errors.As(err, &ps) {
		t.Fatalf("got %v, want problems", err)
	}
	return ps
}

// TestConditionsThatDecideNothing: each body has one such condition, and the
// message has the comparison that was meant.
func TestConditionsThatDecideNothing(t *testing.T) {
	const each = "some v in input.findings.vulnerabilities\n"
	const helpers = `
missing(x) if not x

gone(v) if missing(v.fixedVersion)

present(x) if x

chosen(x) := x if x else := "none"

fix_of(v) := v.fixedVersion

user := input.image.config.user

default team := "none"

team := input.image.config.labels.team

users contains input.image.config.user

sizes[l.digest] := l.size if some l in input.image.layers

same(x) := x
`
	for _, c := range []struct{ name, body, want string }{
		{"text", `not input.image.config.user`, `write ` + "`input.image.config.user == \"\"`"},
		{"text_of_element", each + `not v.fixedVersion`, "write `v.fixedVersion == \"\"`"},
		{"bare_text", each + `v.fixedVersion`, "write `v.fixedVersion != \"\"`"},
		{"request", `input.request.namespace`, "write `input.request.namespace != \"\"`"},
		{"list", `input.image.tags`, "write `count(input.image.tags) > 0`"},
		{"not_list", `not input.image.tags`, "write `count(input.image.tags) == 0`"},
		{"count", `count(input.findings.secrets)`, "write `count(input.findings.secrets) > 0`"},
		{"not_count", `not count(input.findings.secrets)`, "write `count(input.findings.secrets) == 0`"},
		{"number", `not input.image.size`, "write `input.image.size == 0`"},
		{"age", `input.image.ageHours`, "write `input.image.ageHours >= 0` (-1 stands for what is not known)"},
		{"time", `not input.image.createdUnix`, "write `input.image.createdUnix == -1`"},
		{"map", `not input.image.config.labels`, "write `count(input.image.config.labels) == 0`"},
		{"object", `input.request`, "compare one of its fields"},
		{"word", each + `not v.severity`, "write `v.severity == \"UNKNOWN\"`"},
		{"words", `input.event`, `of "push", "admission", "rescan", "check"`},
		{"stand_in", `not input.image.platform`, "write `input.image.platform == \"unknown\"`"},
		{"variable", "u := input.image.config.user\nnot u", "write `u == \"\"`"},
		{"variables", "i := input.image\nc := i.config\nu := c.user\nnot u", "write `u == \"\"`"},
		{"unified_variable", "u = input.image.config.user\nnot u", "write `u == \"\"`"},
		{"destructured", "[a, b] := [input.image.host, input.image.size]\nb > 1\nnot a", "`not a` never holds"},
		{"in_object", "x := {\"u\": input.image.config.user}\nnot x.u", "`not x.u` never holds"},
		{"element_of_comprehension", "xs := [v.fixedVersion | some v in input.findings.vulnerabilities]\nsome x in xs\nnot x", "`not x` never holds"},
		{"element_of_set", "xs := {v.id | some v in input.findings.vulnerabilities}\nsome x in xs\nx", "`x` always holds"},
		{"bound_to_label", "u := input.image.config.labels.team\nnot u", "`not u` never holds"},
		{"indexed", "some i\ne := input.image.config.env[i]\nnot e", "`not e` never holds"},
		{"comprehension", `not {v | some v in input.findings.vulnerabilities}`, "is a set"},
		{"in_comprehension", `count([v | some v in input.findings.vulnerabilities; v.fixedVersion]) > 1`, "write `v.fixedVersion != \"\"`"},
		{"in_every", "every v in input.findings.vulnerabilities { v.fixedVersion }", "write `v.fixedVersion != \"\"`"},
		{"not_in_every", "every v in input.packages { not v.source }", "write `v.source == \"\"`"},
		{"object_get", `not object.get(input.image.config.labels, "team", "")`, `write ` + "`object.get(input.image.config.labels, \"team\", \"\") == \"\"`"},
		{"object_get_null", `not object.get(input.image.config.labels, "team", null)`, "never holds"},
		{"object_get_path", `not object.get(input, ["image", "config", "user"], false)`, "is a text"},
		{"builtin", `not lower(input.image.host)`, "write `lower(input.image.host) == \"\"`"},
		{"through_builtin", "u := trim_space(input.image.config.user)\nnot u", "`not u` never holds"},
		{"argument", `missing(input.image.config.user)`, "(in the call missing(input.image.config.user) at p.rego:4)"},
		{"argument_twice", each + `gone(v)`, "(in the call missing(v.fixedVersion) at p.rego:"},
		{"negated_call", `not present(input.image.config.user)`, "write `x != \"\"` (in the call present(input.image.config.user)"},
		{"argument_of_else", `chosen(input.image.host) == "none"`, "(in the call chosen(input.image.host)"},
		{"function_result", each + `not fix_of(v)`, "write `fix_of(v) == \"\"`"},
		{"function_identity", "u := same(input.image.config.user)\nnot u", "`not u` never holds"},
		{"rule", `not user`, "write `user == \"\"`"},
		{"rule_with_default", `not team`, "write `team == \"\"`"},
		{"set_rule", `not users`, "write `count(users) == 0`"},
		{"bare_set_rule", `users`, "write `count(users) > 0`"},
		{"object_rule", `sizes`, "write `count(sizes) > 0`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := rule(c.body)[0].Text + helpers + "\nwarn contains [missing(1), gone(1), present(1), chosen(1), fix_of(1), user, team, users, sizes, same(1)][0] if false\n"
			ps := problemsIn(t, source(text)...)
			if len(ps) != 1 || !strings.Contains(ps[0].Text, c.want) || strings.Contains(ps[0].Text, "__local") || ps[0].Row == 0 {
				t.Errorf("got %v, want one problem with %q", ps, c.want)
			}
		})
	}
}

// TestIdioms: conditions that decide something load.
func TestIdioms(t *testing.T) {
	text, err := os.ReadFile("testdata/idioms.rego")
	if err != nil {
		t.Fatal(err)
	}
	library := File{"lib.rego", "package lib.names\n\nok(h) if h in {\"a\"}\n"}
	if ps := problemsIn(t, File{"idioms.rego", string(text)}, library); len(ps) > 0 {
		t.Errorf("got %v, want none", ps)
	}
}

// TestReadsOfWhatIsNotFilled: every way to read a place that no input fills.
func TestReadsOfWhatIsNotFilled(t *testing.T) {
	const labels = "input.request.namespaceLabels"
	const helpers = `
req := input.request

prod(r) if r.namespaceLabels.env == "p"

fine if input.image.size > 1
`
	for _, c := range []struct{ name, body, want string }{
		{"directly", `input.request.namespaceLabels.env == "p"`, labels},
		{"by_name", `input["request"]["namespaceLabels"].env == "p"`, labels},
		{"bracket_of_label", `input.request.namespaceLabels["a/b"] == "p"`, labels},
		{"under_not", `not input.request.namespaceLabels.env`, labels},
		{"variable", "r := input.request\nr.namespaceLabels.env == \"p\"", labels},
		{"name_in_variable", "k := \"namespaceLabels\"\ninput.request[k].env == \"p\"", labels},
		{"object_get", `object.get(input.request, "namespaceLabels", {}) == {"a": "b"}`, labels},
		{"object_get_path", `object.get(input, ["request", "namespaceLabels", "env"], "") == "p"`, labels},
		{"object_get_below", `object.get(input.request.namespaceLabels, "env", "") == "p"`, labels},
		{"object_filter", `object.filter(input.request, ["namespaceLabels"]).namespaceLabels.env == "p"`, labels},
		{"rule", `req.namespaceLabels.env == "p"`, labels},
		{"argument", `prod(input.request)`, "(in the call prod(input.request) at p.rego:4)"},
		{"iterated", "some k, v in input.request\nk == \"namespaceLabels\"\nv.env == \"p\"", labels},
		{"only_place_with_such_fields", `input.request[_].env == "p"`, labels},
		{"walk", "walk(input.request, [[\"namespaceLabels\", \"env\"], v])\nv == \"p\"", labels},
		{"walk_path", "walk(input, [p, v])\np == [\"request\", \"namespaceLabels\", \"env\"]\nv == \"p\"", labels},
		{"destructured", "[a, b] := [input.request, input.image]\na.namespaceLabels.env == b.digest", labels},
		{"comprehension", "l := {k: v | some k, v in input.request.namespaceLabels}\nl.env == \"p\"", labels},
		{"every", "every v in input.request.namespaceLabels { v == \"x\" }", labels},
		{"membership", `"p" in input.request.namespaceLabels`, labels},
		{"with_value", `fine with input as {"image": {"size": count(input.request.namespaceLabels)}}`, labels},
		{"message", `sprintf("%v", [input.request.namespaceLabels]) != ""`, labels},
		{"malware", "some m in input.findings.malware\nm.name == \"x\"", "input.findings.malware is not filled: this version does not look for malware"},
		{"computed_lists", "some k in [\"malware\", \"licenses\"]\ncount(input.findings[k]) > 0", "input.findings.malware"},
		{"misconfigurations", `count(input.findings.misconfigurations) > 0`, "input.findings.misconfigurations"},
		{"licenses", `input.findings.licenses[_].name == "GPL-3.0"`, "input.findings.licenses"},
		{"baseline", `count(input.findings.baseline) > 0`, "input.findings.baseline"},
		{"signatures", `count(input.provenance.signatures) == 0`, "input.provenance.signatures"},
		{"attestations", "p := input.provenance\nsome a in p.attestations\na.builder == \"x\"", "input.provenance.attestations"},
		{"approved_base", `input.image.approvedBase.state != "yes"`, "input.image.approvedBase"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := rule(c.body)[0].Text + strings.Replace(helpers, `prod(r) if`, "prod(_) if fine\n\nprod(r) if", 1) + "\nwarn contains \"x\" if {\n\treq.user == \"x\"\n\tprod({\"namespaceLabels\": {}})\n\tfine\n}\n"
			ps, filled := problemsIn(t, source(text)...), "is not filled"
			if len(ps) == 0 { // what is wrong only where no cluster is watched
				set, err := Compile(source(text))
				if err != nil {
					t.Fatal(err)
				}
				ps, filled = set.Watched(), "is filled only where the cluster is watched"
			}
			if len(ps) == 0 || !strings.Contains(ps[0].Text, filled) || !strings.Contains(ps.Error(), c.want) {
				t.Errorf("got %v, want %q", ps, c.want)
			}
		})
	}
	for _, body := range []string{
		"some k in [\"malware\", \"vulnerabilities\"]\ncount(input.findings[k]) > 0",
		"some f in input.findings[_]\nf.severity == \"CRITICAL\"",
		"count(input.request) > 3", "some k, v in input.request\nk != \"namespaceLabels\"\nv == \"x\"",
		"walk(input.request, [_, v])\nv == \"x\"", `input.scan.risks.malware.coverage != "complete"`,
		"r := input.request\nr.namespace == \"shop\"", `object.get(input.request, "namespace", "") == "shop"`,
	} {
		if ps := problemsIn(t, rule(body)...); len(ps) > 0 {
			t.Errorf("%s: got %v, want none", body, ps)
		} else if set, err := Compile(rule(body)); err != nil || len(set.Watched()) > 0 {
			t.Errorf("%s: got %v, want nothing that needs a watch", body, err)
		}
	}
}

func TestSprintf(t *testing.T) {
	for _, c := range []struct{ call, want string }{
		{`sprintf("%s hours old, %d, %s", [input.findings.vulnerabilities[0].cvss, input.image.digest])`, "%s does not print a number that may have a fraction"},
		{`sprintf("%d", [input.findings.vulnerabilities[0].cvss])`, "%d does not print a number that may have a fraction"},
		{`sprintf("%s", [input.image.size])`, "%s does not print a whole number"},
		{`sprintf("%s", [count(input.image.tags)])`, "%s does not print a whole number"},
		{`sprintf("%d", [input.image.digest])`, "%d does not print a text"},
		{`sprintf("%t", [input.image.os.eol])`, "%t does not print a text"},
		{`sprintf("%d", [input.image.tags])`, "%d does not print a text"},
		{`sprintf("%s %s", [input.image.digest])`, "no argument is left"},
		{`sprintf("%s", [input.image.digest, input.image.host])`, "1 more arguments than verbs"},
		{`sprintf("%s %", [input.image.digest])`, "the verb is missing"},
		{`sprintf("%k", [input.image.digest])`, "%k does not print a text"},
		{`sprintf("%[3]s", [input.image.digest])`, "index"},
		{`sprintf(format, [input.image.size])`, "%s does not print a whole number"},
		{`sprintf("%s", args)`, "%s does not print a whole number"},
	} {
		text := "package digestgate\n\nformat := \"%s\"\n\nargs := [input.image.size]\n\nwarn contains x if x := [format, args][0]\n\ndeny contains " + c.call + " if input.image.size > 1\n"
		ps := problemsIn(t, source(text)...)
		if len(ps) != 1 || !strings.Contains(ps[0].Text, c.want) || ps[0].Row != 9 {
			t.Errorf("%s: got %v, want %q", c.call, ps, c.want)
		}
	}
	for _, call := range []string{
		`sprintf("%s %d %v %.1f %5.2f%% %x %q", [input.image.digest, input.image.size, input.image.ageHours, input.image.ageHours, input.image.size, input.image.size, input.image.tags])`,
		`sprintf("%d days", [floor(input.image.ageHours / 24)])`, `sprintf("%d", [count(input.image.tags) - 3])`, `sprintf("%[1]s", [input.image.digest, input.image.host])`,
		`sprintf("%v", [input.image.ageHours / 24])`, `sprintf("100%%", [])`,
	} {
		if ps := problemsIn(t, source("package digestgate\n\ndeny contains "+call+" if input.image.size > 1\n")...); len(ps) > 0 {
			t.Errorf("%s: got %v, want none", call, ps)
		}
	}
}

// TestEverythingAtOnce: no mistake hides another.
func TestEverythingAtOnce(t *testing.T) {
	files := []File{
		{"a.rego", `package digestgate

deny contains "builtin" if http.send({"method": "get", "url": "http://x"}).status_code == 200

deny contains "nested" if count(numbers.range(1, 5)) > 2

deny contains "type" if input.nonsense

deny contains "not" if not input.image.config.user

deny contains "word" if input.event == "pull"

deny contains "malware" if count(input.findings.malware) > 0

deny contains "function" if strtswith(input.image.host, "x")

deny contains sprintf("%d", [input.image.host]) if input.image.size > 1
`},
		{"b.rego", "package digestgate\n\nwarn contains \"x\" if uuid.rfc4122(\"x\") == \"\"\n\nlonely if input.image.size > 1\n"},
	}
	want := []string{"a.rego:3:", "a.rego:5:", "a.rego:9:", "a.rego:11:", "a.rego:13:", "a.rego:15:", "a.rego:17:", "b.rego:3:", "b.rego:5:"}
	broken := File{"c.rego", "package digestgate\n\ndeny contains \"x\" if {\n"}
	for _, set := range [][]File{files, append(files, broken)} {
		if len(set) == 3 { // it may define what is missing
			want = []string{"a.rego:3:", "a.rego:5:", "a.rego:9:", "a.rego:11:", "a.rego:13:", "a.rego:17:", "b.rego:3:", "c.rego:"}
		}
		var lines strings.Builder
		for _, p := range problemsIn(t, set...) {
			fmt.Fprintln(&lines, p)
		}
		for _, w := range want {
			if !strings.Contains(lines.String(), w) {
				t.Errorf("%d files: got\n%s\nwant %q", len(set), lines.String(), w)
			}
		}
	}
	// Without the misspelt function the types are checked too.
	files[0].Text = strings.Replace(files[0].Text, "strtswith", "startswith", 1)
	if ps := problemsIn(t, files...); !strings.Contains(ps.Error(), "a.rego:7:25: undefined ref: input.nonsense") || !strings.Contains(ps.Error(), "a.rego:3:") || !strings.Contains(ps.Error(), "a.rego:9:") {
		t.Errorf("got %v", ps)
	}
}
