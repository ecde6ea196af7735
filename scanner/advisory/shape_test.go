package advisory_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// shaped builds a database as of an hour with rows of Debian 12, fixed or not, and others.
func shaped(t *testing.T, hours int, row string, more fstest.MapFS) string {
	t.Helper()
	text := "distribution: debian\nrelease: '12'\nadvisories:\n"
	for i := range 30 {
		text += fmt.Sprintf("  - {package: p%02d, id: CVE-2025-%d, %s}\n", i, 1000+i, row)
	}
	from := fstest.MapFS{"12.yaml": file(text)}
	for name, f := range more {
		from[name] = f
	}
	out := filepath.Join(t.TempDir(), "db")
	at := clock.Add(time.Duration(hours-48) * time.Hour)
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: out, UpdatedAt: at, Now: func() time.Time { return clock.Add(100 * time.Hour) }}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSourceChangesItsShape: where a source has another form than before, so that whole
// releases are matched again, the status says "source changed"; other versions in the same
// form say nothing. So it is with data of repositories, of a path, and composed.
func TestSourceChangesItsShape(t *testing.T) {
	const fixed, open = "fixedVersion: '%d', severity: HIGH", "status: affected, severity: HIGH"
	npm := fstest.MapFS{"npm.json": file(`{"id":"GHSA-aaaa-bbbb-cccc","modified":"2026-05-30T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}`)}
	steps := []struct {
		row  string
		more fstest.MapFS
		want string
	}{
		{fmt.Sprintf(fixed, 1), nil, ""},
		{fmt.Sprintf(fixed, 2), nil, ""},
		{fmt.Sprintf(fixed, 2), npm, "source changed: npm::GitHub Security Advisory npm is new"},
		{fmt.Sprintf(fixed, 3), npm, ""},
		{open, npm, "source changed: debian 12 has no FixedVersion, has Status in its rows"},
		{open, npm, ""},
	}
	t.Run("repository", func(t *testing.T) {
		p := newPlant(t)
		n := p.node("", true)
		for i, s := range steps {
			p.mirror.offer(shaped(t, i, s.row, s.more))
			p.clock.move(6 * time.Hour)
			n.turn(t)
			if v := p.status(); v.InForce.Number != int64(i+1) || v.Changed != s.want {
				t.Errorf("step %d: generation %d, changed %q, want %q", i, v.InForce.Number, v.Changed, s.want)
			}
		}
		if _, err := p.desk().Rollback(t.Context(), "somebody", "why"); err != nil {
			t.Fatal(err)
		}
		if v := p.status(); strings.Contains(v.Changed, "Status") {
			t.Errorf("after a rollback: %q", v.Changed)
		}
	})
	t.Run("composed", func(t *testing.T) {
		c := newComposite(t)
		c.zeta.fail(fmt.Errorf("away: %w", gate.ErrRegistryUnavailable))
		c.mirror.offer(fixes(t, 0, map[string]string{"11/openssl/CVE-2025-1": "1"}))
		n := c.start("", true)
		for i, s := range steps {
			c.acme.offer(shaped(t, i, s.row, s.more))
			c.clock.move(6 * time.Hour)
			n.turn(t)
			if v := c.status(); v.InForce.Number != int64(i+1) || v.Changed != s.want {
				t.Errorf("step %d: generation %d, changed %q, want %q", i, v.InForce.Number, v.Changed, s.want)
			}
		}
	})
}
