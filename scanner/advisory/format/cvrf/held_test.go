package cvrf_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/cvrf"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
)

// TestRead_held: whatever a file has a lot of, what is kept of it is bounded by bytes.
func TestRead_held(t *testing.T) {
	const held = 16 << 20
	for name, c := range map[string]struct{ head, part string }{
		"products":        {"<cvrfdoc><ProductTree>", `<FullProductName ProductID="p:%d" CPE="cpe:/o:x:%d">p-%d.rpm</FullProductName>`},
		"relations":       {"<cvrfdoc><ProductTree>", `<Relationship ProductReference="a%d" RelatesToProductReference="b%d"><FullProductName ProductID="c%d"/></Relationship>`},
		"vulnerabilities": {"<cvrfdoc>", `<Vulnerability><CVE>CVE-2024-%d</CVE></Vulnerability>`},
		"statuses":        {"<cvrfdoc><Vulnerability><ProductStatuses><Status Type=\"Fixed\">", `<ProductID>p:%d</ProductID>`},
	} {
		t.Run(name, func(t *testing.T) {
			var failed error
			read := func(r io.Reader, l format.Limits, s format.Sink) error {
				failed = cvrf.Read(r, l, s)
				return nil
			}
			_, peak, _ := formattest.Peak(t, read, formattest.Large(c.head, c.part, "", 1_000_000), format.Limits{Held: held})
			if !errors.Is(failed, gate.ErrTooLarge) || !strings.Contains(failed.Error(), "would have to be kept in memory") {
				t.Errorf("got %v", failed)
			}
			if peak > 2*held {
				t.Errorf("%s were kept, twice the limit is %s", gate.ByteSize(peak), gate.ByteSize(2*held))
			}
		})
	}
}
