package policy

import (
	"strings"
	"testing"
)

// TestFailureShowsInputAndResult: where a test failed, what it saw, and what the
// rules say of it.
func TestFailureShowsInputAndResult(t *testing.T) {
	files := []File{
		{"a.rego", "package digestgate\n\ndeny contains {\"rule\": \"many\", \"msg\": \"too many\"} if count(input.findings.vulnerabilities) > 1\n\nwarn contains sprintf(concat(\"\", [\"%\", \"d\"]), [input.image.digest]) if input.image.size == 7\n"},
		{"a_test.rego", `package digestgate_test

import data.digestgate.deny
import data.digestgate.testing
import data.digestgate.warn

test_total if {
	count(deny) == 0 with input as testing.image({})
	found := [testing.vulnerability({"id": id}) | some id in ["CVE-A", "CVE-B"]]
	count(deny) == 0 with input as testing.image({"findings": {"vulnerabilities": found}})
}

test_own_document if {
	count(deny) == 3 with input as {"findings": {"vulnerabilities": ["a", "b"]}}
}

test_without_input if {
	x := 3
	x == 4
}

test_misprint if {
	count(warn) == 1 with input as testing.image({"image": {"size": 7}})
}

test_passes if true

todo_test_later if false
`},
	}
	results, err := Test(t.Context(), files, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range results {
		text := r.Error
		if r.Failure != nil {
			text += strings.Join(r.Failure.Lines(), "\n")
		}
		got[strings.TrimPrefix(r.Name, "digestgate_test.")] = text
	}
	for name, want := range map[string][]string{
		"test_total":         {"line 10 does not hold: count(deny) == 0 with input as testing.image(", "input, where it differs from testing.image({}): {\"findings\":{\"vulnerabilities\":[", `"id":"CVE-B"`, `deny: [{"msg":"too many","rule":"many"}]`, "warn: []"},
		"test_own_document":  {"line 14 does not hold", `input: {"findings":{"vulnerabilities":["a","b"]}}`, `"rule":"many"`},
		"test_without_input": {"line 19 does not hold: x == 4", "no input"},
		"test_misprint":      {"prints %!", "%d does not print a text", `input, where it differs from testing.image({}): {"image":{"size":7}}`},
		"test_passes":        {}, "todo_test_later": {},
	} {
		for _, w := range want {
			if !strings.Contains(got[name], w) {
				t.Errorf("%s: got\n%s\nwant %q", name, got[name], w)
			}
		}
		if len(want) == 0 && got[name] != "" {
			t.Errorf("%s: got %q, want nothing", name, got[name])
		}
	}
}
