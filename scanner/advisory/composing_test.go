package advisory_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/source"
)

// composite is a plant whose generations are made of trivy-db, acme and zeta.
type composite struct {
	*plant
	acme, zeta *mirror
	config     []source.Config
}

func newComposite(t *testing.T) *composite {
	t.Helper()
	p := newPlant(t)
	other := func() *mirror { return &mirror{t: t, own: true, known: map[gate.Digest]string{}} }
	c := &composite{plant: p, acme: other(), zeta: other()}
	for i, name := range []string{"acme", "zeta"} {
		s := source.Default()
		s.Name, s.Feed, s.Licence, s.Priority = name, "https://"+name+".example.com/osv.json", "CC-BY-4.0", 10*(i+1)
		c.config = append(c.config, s)
	}
	return c
}

// node starts a process; asks says that it may ask the sources.
func (c *composite) start(dir string, asks bool) *node {
	c.t.Helper()
	n := c.plant.nodeWith(dir, asks, func(a *advisory.Config) { a.Sources, a.MaxAge = c.config, 1000*time.Hour })
	if asks {
		root := filepath.Join(n.dir, "advisories")
		n.Sources = []advisory.Supplied{{Config: c.config[0], Mirrors: rooted{c.acme, root}}, {Config: c.config[1], Mirrors: rooted{c.zeta, root}}}
	}
	return n
}

// fixes builds a database with one row for each "debian 12/openssl/CVE-1" of a version.
func fixes(t *testing.T, hours int, fixed map[string]string) string {
	t.Helper()
	by := map[string]string{}
	for path, version := range fixed {
		parts := strings.Split(path, "/")
		by[parts[0]] += fmt.Sprintf("  - {package: %s, id: %s, fixedVersion: '%s', severity: HIGH}\n", parts[1], parts[2], version)
	}
	from := fstest.MapFS{}
	for release, text := range by {
		from[release+".yaml"] = file(fmt.Sprintf("distribution: debian\nrelease: '%s'\nadvisories:\n%s", release, text))
	}
	out := filepath.Join(t.TempDir(), "db")
	at := clock.Add(time.Duration(hours-48) * time.Hour)
	if _, err := advisory.Build(t.Context(), advisory.BuildOptions{From: from, Out: out, UpdatedAt: at, Now: func() time.Time { return clock.Add(100 * time.Hour) }}); err != nil {
		t.Fatal(err)
	}
	return out
}

// inForce is the generation in force and its directory in a process.
func (c *composite) inForce(n *node) (gate.AdvisoryGeneration, string) {
	c.t.Helper()
	v := c.status().InForce
	dir, ok := n.m.Dir(v.Content)
	if !ok {
		c.t.Fatalf("%s has no files of generation %d", n.Process, v.Number)
	}
	return v, dir
}

// TestSeveralSources: a generation is composed of all sources; one that changes makes a
// new one, which differs in what it touches alone; one that fails keeps its rows with
// their own age, and the others are renewed.
func TestSeveralSources(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1", "12/zlib/CVE-2025-2": "1", "11/zlib/CVE-2025-2": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-1": "9", "12/openssl/CVE-2025-3": "3", "12/curl/CVE-2025-4": "4"}))
	c.zeta.fail(fmt.Errorf("zeta is away: %w", gate.ErrRegistryUnavailable))
	n := c.start("", true)
	n.turn(t)
	n.want(t, "two of three sources", 1, `source "zeta" could not be had, tried 1 times`)
	v, dir := c.inForce(n)
	if len(v.Sources) != 2 || v.Sources[0].Name != gate.SourceTrivyDB || v.Sources[0].Rows != 3 || v.Sources[1].Name != "acme" ||
		v.Sources[1].Rows != 2 || v.Sources[1].Overruled != 1 || v.Sources[1].Licence != "CC-BY-4.0" || v.Sources[1].Priority != 10 || !v.Sources[1].UpdatedAt.Equal(clock.Add(-47*time.Hour)) {
		t.Errorf("in force %+v", v)
	}
	want := []gate.AdvisoryDisagreement{{Bucket: "debian 12", Package: "openssl", ID: "CVE-2025-1", Decided: gate.SourceTrivyDB, Overruled: "acme"}}
	if diff := cmp.Diff(want, v.Disagreements); diff != "" {
		t.Errorf("disagreements (-want +got):\n%s", diff)
	}
	states := map[string]string{}
	for _, s := range c.statusOf(n).Sources {
		states[s.Name] = s.State
	}
	if diff := cmp.Diff(map[string]string{gate.SourceTrivyDB: "ok", "acme": "ok", "zeta": "missing"}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	// Zeta comes back: its rows are added, and nothing else is touched.
	c.zeta.offer(fixes(t, 2, map[string]string{"11/bash/CVE-2025-5": "5"}))
	c.clock.move(2 * time.Minute)
	n.turn(t)
	n.want(t, "three sources", 2, "")
	c.differs(n, dir, advisory.Difference{Packages: []advisory.PackageKey{{Bucket: "debian 11", Package: "bash"}}})
	if s := c.statusOf(n); !strings.Contains(s.Changed, "source changed: zeta is new") {
		t.Errorf("changed: %q", s.Changed)
	}
	_, dir = c.inForce(n)
	// One row of acme changes.
	c.acme.offer(fixes(t, 3, map[string]string{"12/openssl/CVE-2025-1": "9", "12/openssl/CVE-2025-3": "4", "12/curl/CVE-2025-4": "4"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "one row of acme", 3, "")
	c.differs(n, dir, advisory.Difference{Packages: []advisory.PackageKey{{Bucket: "debian 12", Package: "openssl"}}})
	if s := c.statusOf(n); s.Changed != "" {
		t.Errorf("changed: %q", s.Changed)
	}
	// What a row of acme says of what trivy-db decides changes nothing.
	_, dir = c.inForce(n)
	c.acme.offer(fixes(t, 4, map[string]string{"12/openssl/CVE-2025-1": "8", "12/openssl/CVE-2025-3": "4", "12/curl/CVE-2025-4": "4"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	c.differs(n, dir, advisory.Difference{})
	// All sources have what is in force: nothing is composed.
	before := c.status().InForce.Number
	c.clock.move(6 * time.Hour)
	n.turn(t)
	if got := c.status().InForce.Number; got != before {
		t.Errorf("generation %d came into force with nothing new, was %d", got, before)
	}
}

func (c *composite) statusOf(n *node) gate.AdvisoryData {
	c.t.Helper()
	d := c.desk()
	d.Compose(advisory.Config{Sources: c.config, Path: "", Repositories: advisory.Default().Repositories, MaxAge: 1000 * time.Hour})
	v, err := d.Status(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

// differs checks what the generation in force has otherwise than that of a directory.
func (c *composite) differs(n *node, before string, want advisory.Difference) {
	c.t.Helper()
	_, now := c.inForce(n)
	got, err := advisory.Diff(c.t.Context(), before, now)
	if err != nil {
		c.t.Fatal(err)
	}
	got.Vulnerabilities = nil // the records of new ones
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("difference (-want +got):\n%s", diff)
	}
}

// TestFailedSourceKeepsItsRows: with its own age; a bucket that has fallen is held for
// the source alone, and what is refused is not asked for again and again.
func TestFailedSourceKeepsItsRows(t *testing.T) {
	c := newComposite(t)
	five := func(version string) map[string]string {
		m := map[string]string{}
		for i := range 5 {
			m[fmt.Sprintf("12/p%d/CVE-2025-%d", i, i)] = version
		}
		return m
	}
	c.mirror.offer(fixes(t, 10, map[string]string{"12/openssl/CVE-2025-9": "1"}))
	c.acme.offer(fixes(t, 11, five("1")))
	c.zeta.offer(fixes(t, 12, map[string]string{"11/zlib/CVE-2025-9": "1"}))
	n := c.start("", true)
	n.turn(t)
	n.want(t, "three sources", 1, "")
	c.acme.offer(fixes(t, 5, five("2"))) // older than what is in force
	c.mirror.offer(fixes(t, 20, map[string]string{"12/openssl/CVE-2025-9": "2"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "older data of acme", 2, "older than the data in force")
	v := c.status().InForce
	if s := v.Sources; len(s) != 3 || !s[0].UpdatedAt.Equal(clock.Add(-28*time.Hour)) || !s[1].UpdatedAt.Equal(clock.Add(-37*time.Hour)) || s[1].Rows != 5 {
		t.Errorf("in force %+v", v.Sources)
	}
	c.acme.offer(fixes(t, 30, map[string]string{"12/p0/CVE-2025-0": "3"})) // four of five rows have gone
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "a bucket of acme has fallen", 3, `"debian 12" keeps its rows`)
	if v := c.status().InForce; v.Sources[1].Rows != 5 || len(v.Held) != 1 || v.Held[0].Bucket != "debian 12" {
		t.Errorf("in force %+v", v)
	}
	c.acme.fail(fmt.Errorf("acme is away: %w", gate.ErrRegistryUnavailable))
	c.zeta.offer(fixes(t, 31, map[string]string{"11/zlib/CVE-2025-9": "7"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "acme is away", 4, "acme is away")
	if v := c.status().InForce; v.Sources[1].Rows != 5 || len(v.Held) != 1 {
		t.Errorf("in force %+v", v)
	}
}

// TestOthersHaveTheSameBytes: from a process that keeps the generation, or out of its
// sources where none does.
func TestOthersHaveTheSameBytes(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	_, dir := c.inForce(n)
	want, err := os.ReadFile(filepath.Join(dir, "trivy.db"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, n *node) {
		t.Helper()
		n.turn(t)
		n.want(t, what, 1, "")
		_, dir := c.inForce(n)
		if got, err := os.ReadFile(filepath.Join(dir, "trivy.db")); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes, %v", what, err)
		}
	}
	second := c.start("", false)
	check("from a process", second)
	// The generation itself is lost everywhere; its sources are not.
	content := c.status().InForce.Content
	for _, other := range []*node{n, second} {
		if err := os.RemoveAll(filepath.Join(other.dir, "advisories", content.Hex())); err != nil {
			t.Fatal(err)
		}
		other.Tell(t.Context())
	}
	check("composed again", c.start("", false))
	for _, s := range c.status().InForce.Sources {
		if !strings.Contains(strings.Join(keptNames(t, n), " "), s.Digest.Hex()) {
			t.Errorf("the source %s is not kept", s.Name)
		}
	}
}

func keptNames(t *testing.T, n *node) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.dir, "advisories"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestComposedAfterARestart: what was composed is used by the next process without asking
// any source, and a source that is taken out of the configuration takes its rows with it.
func TestComposedAfterARestart(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	for _, m := range []*mirror{c.mirror, c.acme, c.zeta} {
		m.fail(errors.New("nothing is to be asked"))
	}
	n = c.start(n.dir, true)
	n.want(t, "after a restart", 1, "")
	c.config = c.config[:1]
	n = c.start(n.dir, false)
	root := filepath.Join(n.dir, "advisories")
	n.Mirrors, n.Sources = rooted{c.mirror, root}, []advisory.Supplied{{Config: c.config[0], Mirrors: rooted{c.acme, root}}}
	c.mirror.offer(fixes(t, 3, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	if v := c.status().InForce; v.Number != 2 || len(v.Sources) != 2 {
		t.Errorf("in force %+v", v)
	}
	if s := c.statusOf(n); !strings.Contains(s.Changed, "zeta is gone") {
		t.Errorf("changed %q", s.Changed)
	}
}

// TestNothingWithoutTrivyDB: a source with a few rows of a release would have all images
// of that release look clean, so that nothing is put in force before trivy-db is there.
func TestNothingWithoutTrivyDB(t *testing.T) {
	c := newComposite(t)
	c.mirror.fail(fmt.Errorf("trivy-db is away: %w", gate.ErrRegistryUnavailable))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 1, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	n.want(t, "without trivy-db", 0, "trivy-db is away")
	c.mirror.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-1": "3"}))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	n.want(t, "with trivy-db", 1, "")
	if v := c.status().InForce; len(v.Sources) != 3 {
		t.Errorf("in force %+v", v)
	}
}

// TestDamagedPartIsFetchedAgain: a kept source is read before it is composed.
func TestDamagedPartIsFetchedAgain(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	v := c.status().InForce
	damaged := filepath.Join(n.dir, "advisories", v.Sources[1].Digest.Hex(), "metadata.json")
	if err := os.WriteFile(damaged, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.zeta.offer(fixes(t, 3, map[string]string{"12/zlib/CVE-2025-3": "4"}))
	for range 3 {
		c.clock.move(6 * time.Hour)
		n.turn(t)
	}
	if now := c.status().InForce; now.Number != 2 || len(now.Sources) != 3 || now.Sources[1].Rows != 1 {
		t.Errorf("in force %+v", now)
	}
}

// TestSourceThatWasComposedItself: a source that says of some of its rows that they are
// older, as a bundle does, does not make them look new; what it is composed of itself, too.
func TestSourceThatWasComposedItself(t *testing.T) {
	old, recent := clock.Add(-48*time.Hour), clock.Add(-20*time.Hour)
	inner := filepath.Join(t.TempDir(), "inner")
	feed := source.Default()
	feed.Name, feed.Path = "feed", "/srv/feed"
	_, err := advisory.Compose(t.Context(), inner, []advisory.Input{
		{Config: source.Config{Name: gate.SourceTrivyDB}, Dir: fixes(t, 28, map[string]string{"12/openssl/CVE-2025-1": "1"})},
		{Config: feed, Dir: fixes(t, 0, map[string]string{"11/zlib/CVE-2025-2": "1"})},
	}, clock)
	if err != nil {
		t.Fatal(err)
	}
	c := newComposite(t)
	c.mirror.offer(fixes(t, 29, map[string]string{"12/curl/CVE-2025-7": "1"}))
	c.acme.manifests = true
	c.acme.offer(inner)
	c.zeta.offer(fixes(t, 30, map[string]string{"13/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	n.want(t, "three sources", 1, "")
	check := func(what string, held []gate.HeldAdvisories, g gate.Generation) {
		t.Helper()
		if len(held) != 1 || held[0].Bucket != "debian 11" || !held[0].UpdatedAt.Equal(old) {
			t.Errorf("%s: held %+v", what, held)
		}
		if at, _ := g.AgeFor("debian 11"); !at.Equal(old) {
			t.Errorf("%s: debian 11 is of %s, want %s", what, at, old)
		}
		if at, _ := g.AgeFor("debian 12"); !at.Equal(recent) {
			t.Errorf("%s: debian 12 is of %s, want %s", what, at, recent)
		}
	}
	check("in force", c.status().InForce.Held, n.m.Status().Generation)

	// The same of a directory that "advisories fetch" composes further.
	acme := c.config[0]
	db, err := advisory.Compose(t.Context(), filepath.Join(t.TempDir(), "out"), []advisory.Input{
		{Config: source.Config{Name: gate.SourceTrivyDB}, Dir: fixes(t, 29, map[string]string{"12/curl/CVE-2025-7": "1"})}, {Config: acme, Dir: inner},
	}, clock)
	if err != nil {
		t.Fatal(err)
	}
	if h := db.Manifest.Held; len(h) != 1 || h[0].Bucket != "debian 11" || !h[0].UpdatedAt.Equal(old) {
		t.Errorf("composed further: held %+v", h)
	}

	// A bucket that is refused afterwards leaves what the source says of another one, and its
	// rows.
	_, dir := c.inForce(n)
	c.acme.offer(func() string {
		out := filepath.Join(t.TempDir(), "next")
		if _, err := advisory.Compose(t.Context(), out, []advisory.Input{
			{Config: source.Config{Name: gate.SourceTrivyDB}, Dir: fixes(t, 31, map[string]string{"10/openssl/CVE-2025-1": "1"})},
			{Config: feed, Dir: fixes(t, 0, map[string]string{"11/zlib/CVE-2025-2": "2"})},
		}, clock); err != nil {
			t.Fatal(err)
		}
		return out
	}())
	c.clock.move(6 * time.Hour)
	n.turn(t)
	c.differs(n, dir, advisory.Difference{Packages: []advisory.PackageKey{{Bucket: "debian 11", Package: "zlib"}}, Buckets: []string{"debian 10"}})
	names := map[string]time.Time{}
	for _, h := range c.status().InForce.Held {
		names[h.Bucket] = h.UpdatedAt
	}
	if want := map[string]time.Time{"debian 11": old, "debian 12": recent}; !cmp.Equal(names, want) {
		t.Errorf("held %v, want %v", names, want)
	}
}
