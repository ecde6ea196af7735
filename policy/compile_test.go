package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

func source(text string) []File { return []File{{Name: "p.rego", Text: text}} }

// rule is a set with one deny rule.
func rule(body string) []File {
	return source("package digestgate\n\ndeny contains \"no\" if {\n\t" + strings.ReplaceAll(body, "\n", "\n\t") + "\n}\n")
}

func TestCompileRefuses(t *testing.T) {
	const ok = "package digestgate\n\ndeny contains \"no\" if input.image.size > 1\n"
	for _, c := range []struct {
		name  string
		files []File
		want  []string // all of them, in the error's text
	}{
		{"syntax", source("package digestgate\n\ndeny contains {"), []string{"p.rego:3:"}},
		{"rego_v0", source("package digestgate\n\ndeny[msg] { msg := \"x\" }"), []string{"p.rego:3:1: `if` keyword is required"}},
		{"no_file", nil, []string{"no rule"}},
		{"no_rule", source("package digestgate"), []string{"no rule", "would admit every image"}},
		{"only_tests", []File{{Name: "a_test.rego", Text: ok}}, []string{"no rule"}},
		{"misspelt_field", rule("some v in input.findings.vulnerabilites\nv.id == \"x\""), []string{"p.rego:4:", "input.findings.vulnerabilites", `"vulnerabilities"`}},
		{"misspelt_field_of_element", rule("some v in input.findings.vulnerabilities\nv.fixVersion != \"\""), []string{"p.rego:5:2: undefined ref: v.fixVersion", `"fixedVersion"`}},
		{"misspelt_field_under_not", rule("not input.image.config.runAsRoot"), []string{"p.rego:4:", `"runsAsRoot"`}},
		{"misspelt_builtin", rule("startwith(input.image.host, \"x\")"), []string{"p.rego:4:2: undefined function startwith"}},
		{"author_schema", source("# METADATA\n# schemas:\n#   - input: {type: object}\npackage digestgate\n\ndeny contains \"no\" if input.nonsense"), []string{"input.nonsense"}},
		{"recursion", source("package digestgate\n\ndeny contains \"x\" if warn[\"x\"]\n\nwarn contains \"x\" if deny[\"x\"]\n"), []string{"recursive"}},
		{"complete_rule", source("package digestgate\n\ndeny := {\"x\"}\n"), []string{"p.rego:3:1: deny must be a set", "deny contains"}},
		{"boolean_rule", source("package digestgate\n\ndeny if input.image.size > 1\n"), []string{"deny must be a set"}},
		{"object_rule", source("package digestgate\n\nwarn[\"x\"] := 1\n"), []string{"warn must be a set"}},
		{"function", source("package digestgate\n\ndeny(x) := x\n"), []string{"deny must be a set"}},
		{"default_rule", source("package digestgate\n\ndefault deny := false\n"), []string{"deny must be a set"}},
		{"nested_set", source("package digestgate\n\ndeny.x contains \"y\"\n"), []string{"deny must be a set"}},
		{"never_asked", source(ok + "\nviolation contains \"x\" if input.image.size > 2\n"), []string{"p.rego:5:1: rule violation is never asked"}},
		{"other_package", []File{{"a.rego", ok}, {"b.rego", "package main\n\ndeny contains \"x\"\n"}}, []string{"b.rego:3:1: rule deny in package main is never asked"}},
		{"undefined_data", rule("data.allowed[input.image.repository]"), []string{"data.allowed is not defined"}},
		{"undefined_rule", rule("data.digestgate.lib.bad"), []string{"data.digestgate.lib.bad is not defined"}},
		{"testing_package", append(source(ok), File{"t.rego", "package digestgate.testing\n\nx := 1\n"}), []string{"belongs to `policy test`"}},
		{"huge_number", rule("input.image.size > 1e99999999"), []string{"number too big"}},
		{"long_number", rule("input.image.size > " + strings.Repeat("9", 41)), []string{"more than 40 digits"}},
		{"large_exponent", rule("input.image.size > 1e41"), []string{"more than 40 digits"}},
		{"replaced_function", source("package digestgate\n\nf(_) := true\n\ndeny contains \"x\" if count([]) with count as f\n"), []string{"replaces a function"}},
		{"unused_import", source("package digestgate\n\nimport data.foo\n\ndeny contains \"x\"\n"), []string{"import", "unused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile(c.files)
			if !errors.Is(err, gate.ErrInvalid) {
				t.Fatalf("got %v, want gate.ErrInvalid", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got:\n%v\nwant it to contain %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "__local") {
				t.Errorf("a generated name is shown:\n%v", err)
			}
		})
	}
}

func TestCompileAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"plain_text":       "package digestgate\n\ndeny contains \"x\" if input.image.size > 1\n",
		"rego_v1_import":   "package digestgate\n\nimport rego.v1\n\ndeny contains \"x\" if input.image.size > 1\n",
		"warn_only":        "package digestgate\n\nwarn contains \"x\"\n",
		"helpers":          "package digestgate\n\ndeny contains \"x\" if bad(input.image.host)\n\nbad(h) if h in hosts\n\nhosts := {\"a\"}\n",
		"template_string":  "package digestgate\n\ndeny contains $\"{input.image.host} is bad\"\n",
		"labels_are_free":  "package digestgate\n\ndeny contains \"x\" if input.image.config.labels[\"team\"] == \"a\"\n",
		"print":            "package digestgate\n\ndeny contains \"x\" if {\n\tprint(input.image.host)\n\tinput.image.size > 1\n}\n",
		"severity_in_set":  "package digestgate\n\ndeny contains v.id if {\n\tsome v in input.findings.vulnerabilities\n\tv.severity in {\"HIGH\", \"CRITICAL\"}\n}\n",
		"with_input":       "package digestgate\n\ndeny contains \"x\" if y with input as {\"image\": {\"size\": 3}}\n\ny if input.image.size > 2\n",
		"request_optional": "package digestgate\n\nwarn contains \"x\" if input.request.namespace != \"\"\n",
	} {
		if _, err := Compile(source(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	library := File{Name: "lib.rego", Text: "package lib\n\nbad(h) if h == \"x\"\n\nunused := 1\n"}
	if _, err := Compile(append(source("package digestgate\n\nimport data.lib\n\ndeny contains \"x\" if lib.bad(input.image.host)\n"), library)); err != nil {
		t.Errorf("library: %v", err)
	}
}

func TestLintComparisons(t *testing.T) {
	const each = "some v in input.findings.vulnerabilities\n"
	for _, c := range []struct{ name, body, want string }{
		{"lower_case_severity", each + `v.severity == "critical"`, `p.rego:5:2: v.severity is never "critical": it is one of "CRITICAL"`},
		{"reversed", each + `"critical" == v.severity`, `v.severity is never "critical"`},
		{"not_equal", each + `v.severity != "low"`, `v.severity is never "low"`},
		{"indexed", `input.findings.vulnerabilities[_].severity == "Critical"`, `is never "Critical"`},
		{"in_set", each + `v.severity in {"HIGH", "critical"}`, `v.severity is never "critical"`},
		{"in_array", each + `v.severity in ["SEVERE"]`, `is never "SEVERE"`},
		{"in_named_set", each + "bad := {\"high\"}\nv.severity in bad", `is never "high"`},
		{"through_assignment", each + "s := v.severity\ns == \"high\"", `s is never "high"`},
		{"through_list", "list := input.findings.secrets\nsome s in list\ns.severity == \"high\"", `s.severity is never "high"`},
		{"in_comprehension", `count([v | some v in input.findings.vulnerabilities; v.severity == "high"]) > 1`, `is never "high"`},
		{"in_every", "every v in input.findings.vulnerabilities { v.severity == \"high\" }", `is never "high"`},
		{"ordered_severity", each + `v.severity >= "HIGH"`, `v.severity is a word and has no order`},
		{"event", `input.event == "pull"`, `input.event is never "pull"`},
		{"coverage", `input.scan.risks.secrets.coverage == "done"`, `is never "done"`},
		{"number_with_text", each + `v.cvss > "7.0"`, `v.cvss is a number and is compared with the string "7.0"`},
		{"text_with_number", `input.image.os.name == 12`, `input.image.os.name is a string and is compared with the number 12`},
		{"boolean_with_text", `input.image.os.eol == "true"`, `is a boolean and is compared with the string "true"`},
		{"integer_with_text", `input.image.size != "1"`, `is a integer and is compared`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Compile(rule(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				// OPA's own type checker finds some of these first.
				if err != nil && strings.Contains(err.Error(), "match error") {
					return
				}
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	named := "package digestgate\n\ndeny contains \"x\" if {\n\tsome v in input.findings.vulnerabilities\n\tv.severity in bad\n}\n\nbad := {\"high\"}\n"
	if _, err := Compile(source(named)); err == nil || !strings.Contains(err.Error(), `is never "high"`) {
		t.Errorf("named set: got %v", err)
	}
}

func TestBuiltins(t *testing.T) {
	for call, want := range map[string]string{
		`http.send({"method": "get", "url": "http://x"})`: "policies make no calls",
		`net.lookup_ip_addr("x")`:                         "policies make no calls",
		`opa.runtime()`:                                   "everything they may know is in input",
		`time.now_ns() > 1`:                               "input.nowUnix",
		`rand.intn("x", 2) == 1`:                          "the same decision",
		`uuid.rfc4122("x")`:                               "the same decision",
		`bits.lsh(1, 20000000) > 1`:                       "not bounded",
		`numbers.range(1, 1000000000)`:                    "some i, x in array",
		`net.cidr_expand("10.0.0.0/8")`:                   "not bounded",
		`rego.parse_module("x", "package x")`:             "do not build policies",
		`trace("x")`:                                      "use print",
		`yaml.unmarshal("a: b")`:                          "use json.unmarshal",
		`strings.render_template("{{.}}", {})`:            "use sprintf",
		`io.jwt.decode("x")`:                              "not on the list in docs/policies.md",
	} {
		_, err := Compile(rule(call))
		name, _, _ := strings.Cut(call, "(")
		if err == nil || !strings.Contains(err.Error(), "p.rego:4:") || !strings.Contains(err.Error(), "builtin "+name+" is not allowed") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", call, err, want)
		}
	}
	mocked := source("package digestgate\n\ndeny contains \"x\" if y with is_object as http.send\n\ny if is_object({\"url\": \"http://x\"})\n")
	if _, err := Compile(mocked); err == nil {
		t.Error("a builtin replaced by http.send was accepted")
	}
}

// TestBuiltinListIsClosed: every name exists, is named once, and none that
// depends on more than its arguments is in the list.
func TestBuiltinListIsClosed(t *testing.T) {
	names := AllowedBuiltins()
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("a builtin is listed twice")
	}
	for _, n := range names {
		b, ok := ast.BuiltinMap[n]
		if !ok {
			t.Errorf("%s does not exist", n)
			continue
		}
		if b.Nondeterministic {
			t.Errorf("%s is not deterministic", n)
		}
	}
	for n := range refusedBuiltins() {
		if slices.Contains(names, n) || !knownBuiltin(n) {
			t.Errorf("%s: is allowed, or does not exist", n)
		}
	}
	for n := range bounded() {
		if !slices.Contains(names, n) {
			t.Errorf("%s is bounded and not allowed", n)
		}
	}
	if got := len(capabilities(false).Builtins); got != len(names) {
		t.Errorf("%d builtins in the capabilities, want %d", got, len(names))
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var ps Problems
	for i := range 50 {
		ps = append(ps, Problem{File: "x", Row: i, Text: fmt.Sprint(i)})
	}
	if got := strings.Count(ps.Error(), "\n"); got != maxProblems {
		t.Errorf("%d lines, want %d", got+1, maxProblems+1)
	}
}
