package updateinfo_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/updateinfo"
)

// TestRead_held: whatever a file has a lot of, what is kept of it is bounded by bytes.
func TestRead_held(t *testing.T) {
	const held = 16 << 20
	for name, c := range map[string]struct{ head, part string }{
		"packages":        {"<updates><update><pkglist><collection>", `<package name="p%d" version="1" release="1.x%d" arch="x86_64" src="s%d-1-1.src.rpm"/>`},
		"broken_packages": {"<updates><update><pkglist><collection>", `<package name="p%d"/>`},
		"references":      {"<updates><update><references>", `<reference type="cve" id="CVE-2024-%d" href="https://x/%d"/>`},
	} {
		t.Run(name, func(t *testing.T) {
			var failed error
			read := func(r io.Reader, l format.Limits, s format.Sink) error {
				failed = updateinfo.Read(r, l, s)
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
