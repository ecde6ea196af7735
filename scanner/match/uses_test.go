package match_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/match"
)

// TestMatch_uses: findings say which buckets they depend on, have the time of the oldest of
// these, and the summary of the record keeps the names.
func TestMatch_uses(t *testing.T) {
	dir, g := build(t, os.DirFS("../advisory/testdata/sources"))
	rest, held := clock.Add(-time.Hour), clock.Add(-200*time.Hour)
	g.Ages, g.UpdatedAt = gate.NewAdvisoryAges(rest, map[string]time.Time{"debian 12": held, "npm::GitHub Security Advisory npm": held}), held
	m := match.New(slog.New(slog.DiscardHandler), now)
	if err := m.Load(context.Background(), dir, g); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	both := debian("12", deb("openssl", "openssl", "3.0.1-1"))
	both.Applications = app("gobinary", "bin/app", gate.Package{Name: "golang.org/x/net", Version: "0.1.0"}).Applications
	alpine := &gate.Inventory{Format: 1, Digest: image, OS: gate.OS{Family: "alpine", Name: "3.11.5"}}
	for name, c := range map[string]struct {
		inv  *gate.Inventory
		uses string
		at   time.Time
	}{
		"nothing":       {&gate.Inventory{Format: 1, Digest: image}, gate.JoinUses(nil), rest},
		"distribution":  {debian("12", deb("openssl", "openssl", "3.0.1-1")), gate.JoinUses([]string{"debian 12"}), held},
		"another":       {alpine, gate.JoinUses([]string{"alpine 3.11"}), rest},
		"with programs": {both, gate.JoinUses([]string{"debian 12", "go::"}), held},
		"programs":      {app("gobinary", "bin/app", gate.Package{Name: "golang.org/x/net", Version: "0.1.0"}), gate.JoinUses([]string{"go::"}), rest},
		"no source":     {app("conda-pkg", "env", gate.Package{Name: "x", Version: "1"}), gate.JoinUses(nil), rest},
		"unassessable":  {debian("99", deb("openssl", "openssl", "3.0.1-1")), "", held},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, m, c.inv)
			if f.Uses != c.uses || !f.UpdatedAt.Equal(c.at) {
				t.Errorf("uses %q as of %s, want %q as of %s (%s)", f.Uses, f.UpdatedAt, c.uses, c.at, f.Unassessable)
			}
			var rec gate.Record
			rec.TakeFindings("id", f)
			if rec.Summary.Findings.Uses != c.uses {
				t.Errorf("the summary has %q", rec.Summary.Findings.Uses)
			}
			other := *f
			other.Uses += "x"
			if s := rec.Summary.Findings; !s.Unassessable && (!s.Same(f) || s.Same(&other)) {
				t.Error("findings of other buckets count as the same, or the same do not")
			}
		})
	}
}
