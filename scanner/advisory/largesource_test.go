package advisory_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestBuild_large: a JSON file that is too large to be read whole gives the same rows, and a
// damaged one the same refusal.
func TestBuild_large(t *testing.T) {
	pad := strings.Repeat("x", 8<<20)
	csafText := strings.TrimSpace(string(sampleOf(t, "csaf/testdata/alinux.json").Data))
	osvList := func(pad string) string {
		return fmt.Sprintf(`[%s,{"id":"X-1","modified":"2026-01-01T00:00:00Z","details":%q,"affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}]`, openEuler, pad)
	}
	tracker := func(pad string) string {
		return fmt.Sprintf(`{"openssl":{"CVE-2024-1":{"description":%q,"releases":{"bookworm":{"status":"resolved","fixed_version":"3.0.1","urgency":"high"}}}},"zlib":{"CVE-2024-2":{"releases":{"trixie":{"status":"open","urgency":"low"}}}}}`, pad)
	}
	withPad := func(text, pad string) string { return strings.Replace(text, "{", fmt.Sprintf(`{"x":%q,`, pad), 1) }
	for name, c := range map[string]struct {
		small, large string
		rows         [][]string
	}{
		"osv list": {osvList("x"), osvList(pad), [][]string{{"openEuler 20.03-LTS-SP1", "dnsmasq", "CVE-2020-25681"}, {"npm::Open Source Vulnerability", "a", "X-1"}}},
		"csaf":     {csafText, withPad(csafText, pad), [][]string{{"Alibaba Cloud Linux 3", "openssl-libs", "CVE-2023-3446"}}},
		"tracker":  {tracker("x"), tracker(pad), [][]string{{"debian 12", "openssl", "CVE-2024-1"}, {"debian 13", "zlib", "CVE-2024-2"}}},
		"osv":      {openEuler, withPad(openEuler, pad), [][]string{{"openEuler 20.03-LTS-SP1", "dnsmasq", "CVE-2020-25681"}}},
	} {
		t.Run(name, func(t *testing.T) {
			small, _ := build(t, fstest.MapFS{"a.json": file(c.small)})
			large, _ := build(t, fstest.MapFS{"a.json.gz": gz(t, c.large)})
			for _, keys := range c.rows {
				if want, got := value(t, small, keys...), value(t, large, keys...); got != want || got == "" {
					t.Errorf("%v: got %s, want %s", keys, got, want)
				}
			}
			for _, bad := range []string{c.large[:len(c.large)-1], c.large + "{"} {
				_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"a.json": file(bad)}, Out: filepath.Join(t.TempDir(), "db"), Now: now})
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), `"a.json"`) {
					t.Errorf("damaged: got %v", err)
				}
			}
		})
	}
	for name, text := range map[string]string{
		"no format":    withPad(`{"hello":1}`, pad),
		"half tracker": strings.TrimSuffix(tracker(pad), "}") + `,"pad":1}`,
		"a huge entry": `[{"id":"` + strings.Repeat("x", 65<<20) + `"}]`,
	} {
		_, err := advisory.Build(t.Context(), advisory.BuildOptions{From: fstest.MapFS{"a.json": file(text)}, Out: filepath.Join(t.TempDir(), "db"), Now: now})
		if !errors.Is(err, gate.ErrInvalid) && !errors.Is(err, gate.ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
