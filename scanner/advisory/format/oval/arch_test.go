package oval_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/oval"
)

// TestRead_archCondition: an architecture that a criterion demands and one that the state of
// a version demands are both demanded; what is not understood means all, never none.
func TestRead_archCondition(t *testing.T) {
	const text = `<oval_definitions><definitions><definition class="patch" id="oval:x:def:1" version="1"><metadata><title>ELSA-2024-1: x</title>` +
		`<affected family="unix"><platform>Oracle Linux 8</platform></affected><reference ref_id="ELSA-2024-1" source="elsa"/><advisory><cve>CVE-2024-1</cve></advisory></metadata>` +
		`<criteria operator="AND"><criterion comment="Oracle Linux 8 is installed" test_ref="t:0"/>%s` +
		`<criterion comment="a is earlier than 0:1-1.el8" test_ref="t:1"/></criteria></definition></definitions>` +
		`<tests><rpminfo_test id="t:1"><object object_ref="o:1"/><state state_ref="s:1"/></rpminfo_test></tests>` +
		`<objects><rpminfo_object id="o:1"><name>a</name></rpminfo_object></objects>` +
		`<states><rpminfo_state id="s:1">%s<evr operation="less than">0:1-1.el8</evr></rpminfo_state></states></oval_definitions>`
	condition := func(arch string) string {
		return `<criterion comment="Oracle Linux arch is ` + arch + `" test_ref="t:2"/>`
	}
	pattern := func(p string) string { return `<arch operation="pattern match">` + p + `</arch>` }
	for name, c := range map[string]struct {
		condition, state string
		want             []string
	}{
		"none":                  {"", "", []string{""}},
		"condition":             {condition("x86_64"), "", []string{"x86_64"}},
		"state":                 {"", pattern("aarch64|x86_64"), []string{"aarch64", "x86_64"}},
		"both":                  {condition("x86_64"), pattern("aarch64|x86_64"), []string{"x86_64"}},
		"both_in_parentheses":   {condition("aarch64"), pattern("^(aarch64|x86_64)$"), []string{"aarch64"}},
		"that_contradict":       {condition("s390x"), pattern("aarch64|x86_64"), []string{""}},
		"pattern_not_known":     {"", pattern("(aarch|x86_)64"), []string{""}},
		"pattern_and_condition": {condition("x86_64"), pattern(".*"), []string{"x86_64"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(oval.Read, fmt.Sprintf(text, c.condition, c.state), format.Limits{})
			if err != nil || len(r.Entries) != 1 || len(r.Gaps) != 0 {
				t.Fatalf("got %v, gaps %v, %v", r.Lines(), r.Gaps, err)
			}
			var got []string
			for _, s := range r.Entries[0].Statements {
				got = append(got, s.Arch)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
