package oval_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/oval"
)

// TestRead_held: whatever a file has a lot of, what is kept of it is bounded by bytes, and
// the estimate is not less than half of what the heap really has.
func TestRead_held(t *testing.T) {
	const held = 16 << 20
	const def = `<oval_definitions><definitions><definition class="patch" id="oval:x:def:1"><metadata><title>X-1</title>`
	for name, c := range map[string]struct{ head, part string }{
		"tests":           {"<oval_definitions><tests>", `<rpminfo_test id="t:%d"><object object_ref="o:%d"/><state state_ref="s:%d"/></rpminfo_test>`},
		"small_tests":     {"<oval_definitions><tests>", `<rpminfo_test id="%d"/>`},
		"states":          {"<oval_definitions><states>", `<rpminfo_state id="s:%d"><evr operation="less than">0:%d</evr></rpminfo_state>`},
		"objects":         {"<oval_definitions><objects>", `<rpminfo_object id="o:%d"><name>n%d</name></rpminfo_object>`},
		"definitions":     {"<oval_definitions><definitions>", `<definition class="patch" id="d:%d"/>`},
		"descriptions":    {"<oval_definitions><definitions>", `<definition><metadata><description>` + strings.Repeat("d", 2048) + `</description></metadata></definition>`},
		"criteria":        {def + `</metadata><criteria>`, `<criteria/>`},
		"leaves":          {def + `</metadata><criteria>`, `<criterion test_ref="t:1"/>`},
		"comments":        {def + `</metadata><criteria>`, `<criterion test_ref="t:1" comment="P%d is installed"/>`},
		"vulnerabilities": {def, `<reference ref_id="CVE-2024-%d" source="CVE"/>`},
		"cves":            {def + `<advisory>`, `<cve>CVE-2024-%d</cve>`},
		"platforms":       {def + `<affected>`, `<platform>P%d</platform>`},
	} {
		t.Run(name, func(t *testing.T) {
			var failed error
			read := func(r io.Reader, l format.Limits, s format.Sink) error {
				failed = oval.Read(r, l, s)
				return nil
			}
			_, peak, _ := formattest.Peak(t, read, formattest.Large(c.head, c.part, "", 2_000_000), format.Limits{Held: held})
			if !errors.Is(failed, gate.ErrTooLarge) || !strings.Contains(failed.Error(), "would have to be kept in memory") {
				t.Errorf("got %v", failed)
			}
			if peak > 2*held {
				t.Errorf("%s were kept, twice the limit is %s", gate.ByteSize(peak), gate.ByteSize(2*held))
			}
		})
	}
}

// TestRead_amplified: a definition that multiplies releases and packages is a gap, and costs
// no more than its bytes.
func TestRead_amplified(t *testing.T) {
	list := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const tail = `</definition></definitions><tests><rpminfo_test id="t:1"><object object_ref="o:1"/><state state_ref="s:1"/></rpminfo_test></tests>` +
		`<objects><rpminfo_object id="o:1"><name>a</name></rpminfo_object></objects><states><rpminfo_state id="s:1"><evr operation="less than">0:1-1</evr></rpminfo_state></states></oval_definitions>`
	head := func(platforms int) string {
		return `<oval_definitions><definitions><definition class="patch" id="oval:x:def:1"><metadata><title>X-1</title><affected>` + list(platforms, `<platform>P%d</platform>`) +
			`</affected><reference ref_id="CVE-2024-0001" source="CVE"/></metadata>`
	}
	or := func(n int) string {
		return `<criteria operator="OR">` + list(n, `<criterion test_ref="t:0" comment="Q%d is installed"/>`) + `</criteria>`
	}
	one := `<criterion test_ref="t:1" comment="a is earlier than 0:1-1"/>`
	for name, c := range map[string]struct{ text, want string }{
		"platforms":    {head(250_000) + `<criteria>` + one + `</criteria>` + tail, "more than 200000 statements"},
		"ors":          {head(1) + `<criteria operator="AND">` + or(900) + or(300_000) + one + `</criteria>` + tail, "more than 1000 releases"},
		"alternatives": {head(1) + `<criteria operator="AND">` + or(30) + or(30) + one + `</criteria>` + tail, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(oval.Read, c.text, format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(r.Gaps) != 0 || len(r.Entries) != 1 {
					t.Errorf("got %v, gaps %v", r.Lines(), r.Gaps)
				}
				return
			}
			if len(r.Entries) != 0 || len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Why, c.want) {
				t.Errorf("got %d entries, gaps %v, want %q", len(r.Entries), r.Gaps, c.want)
			}
		})
	}
}
