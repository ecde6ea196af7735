package match_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/statement"
	"github.com/digestgate/digestgate/scanner/match"
)

// TestTouched_architectures: an image whose architecture the advisories did not speak of is
// matched again when they do, and the other way round, although no package of it has another
// advisory.
func TestTouched_architectures(t *testing.T) {
	const sp3 = "openEuler 22.03-LTS-SP3"
	vim := statement.Statement{Package: "vim", FixedVersion: "9.0-34", Arches: []string{"aarch64"}}
	zsh := statement.Statement{Package: "zsh", FixedVersion: "1-1", Arches: []string{"x86_64"}}
	narrow := in(sp3).say("CVE-2024-1", vim).content(t)
	wide := in(sp3).say("CVE-2024-1", vim).say("CVE-2024-2", zsh).content(t)
	image := image12("openeuler", "22.03-LTS-SP3", rpmOf("bash", "bash", "5.1-1.oe2203sp3"))
	for name, c := range map[string]struct {
		before, after content
		unassessable  bool // before
	}{
		"named":    {narrow, wide, true},
		"no_more":  {wide, narrow, false},
		"the_same": {wide, in(sp3).say("CVE-2024-1", vim).say("CVE-2024-3", zsh).content(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
			c.before.write(t, before)
			c.after.write(t, after)
			m := match.New(nil, now)
			defer m.Close()
			if err := m.Load(t.Context(), before, gate.Generation{Number: 1, Content: "a"}); err != nil {
				t.Fatal(err)
			}
			f := find(t, m, image)
			if strings.Contains(f.Unassessable, "are about aarch64") != c.unassessable {
				t.Fatalf("got %q", f.Unassessable)
			}
			d, err := advisory.Diff(t.Context(), before, after)
			if err != nil {
				t.Fatal(err)
			}
			if got := touches(match.Touched(t.Context(), d), m.Lookups(image, f)); got != (name != "the_same") {
				t.Errorf("the image is touched: %t, by %+v", got, d)
			}
		})
	}
}
