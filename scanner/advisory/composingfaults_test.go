package advisory_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/source"
	"github.com/digestgate/digestgate/scanner/advisory/supply"
	"github.com/digestgate/digestgate/store/sqlite"
)

// shelf offers what is in a directory, in a process of its own too.
type shelf struct{ offers, root string }

// Fetch implements advisory.Mirrors.
func (s shelf) Fetch(ctx context.Context, r advisory.MirrorRequest) (*advisory.Download, error) {
	d := advisory.Download{Repository: "mirror.example.com/db:2", Own: true}
	stamp, err := os.ReadFile(filepath.Join(s.offers, "metadata.json"))
	if err != nil {
		return nil, fmt.Errorf("nothing is there: %w", gate.ErrRegistryUnavailable)
	}
	if d.Manifest = gate.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s.offers+string(stamp))))); d.Manifest == r.Settled {
		return nil, nil
	}
	if d.Dir, err = os.MkdirTemp(s.root, ".import-"); err != nil {
		return nil, err
	}
	d.Discard = func() { _ = os.RemoveAll(d.Dir) }
	if err := os.CopyFS(d.Dir, os.DirFS(s.offers)); err != nil {
		return nil, err
	}
	if r.Accept != nil {
		if err := r.Accept(ctx, d); err != nil {
			d.Discard()
			return nil, err
		}
	}
	return &d, nil
}

// shop is a process that composes what is on the shelves of dir: trivy-db, acme, zeta, and
// an index of Java archives. late is how much later its clock is.
func shop(dir string, late time.Duration) (*advisory.Refresher, *sqlite.Store, error) {
	now := func() time.Time { return clock.Add(late) }
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "s.db"), sqlite.Options{Clock: now})
	if err != nil {
		return nil, nil, err
	}
	root := filepath.Join(dir, "data", "advisories")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, nil, err
	}
	r := &advisory.Refresher{Store: s, Process: "p" + late.String(), Every: 6 * time.Hour, Log: slog.New(slog.DiscardHandler),
		Mirrors: shelf{filepath.Join(dir, "trivy-db"), root}, JavaMirrors: shelf{filepath.Join(dir, "java"), root}}
	c := advisory.Default()
	c.MaxAge, c.Java.MaxAge = 0, 0
	for i, name := range []string{"acme", "zeta"} {
		of := source.Default()
		of.Name, of.Feed, of.Priority = name, "https://"+name+".example.com/osv.json", 10*(i+1)
		c.Sources = append(c.Sources, of)
		r.Sources = append(r.Sources, advisory.Supplied{Config: of, Mirrors: shelf{filepath.Join(dir, name), root}})
	}
	r.Manager = advisory.NewManager(advisory.Options{Config: c, DataDir: filepath.Join(dir, "data"), Store: s, Loader: &loader{}, Now: now, Process: r.Process, Downloads: true})
	_ = r.Manager.Open(context.Background()) // there may be nothing yet
	return r, s, nil
}

// composeAndDie is a process that composes, and is killed before step at.
func composeAndDie(dir string, at int) int {
	r, _, err := shop(dir, 7*time.Hour)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	steps := 0
	r.Manager.OnStep(func(name string) {
		if steps++; steps == at {
			fmt.Println(name)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	})
	r.Turn(context.Background())
	fmt.Println("composed", r.Manager.Status().Generation.Number)
	return 0
}

// stock puts databases on the shelves of a directory.
func stock(t *testing.T, dir string, shelves map[string]string) {
	t.Helper()
	for name, from := range shelves {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledWhileComposing: a process that is killed with SIGKILL while it composes, keeps
// or activates a generation, or an index of Java archives, at whatever step, leaves the one
// in force usable for the next process, which brings the newer one.
func TestKilledWhileComposing(t *testing.T) {
	first := t.TempDir()
	stock(t, first, map[string]string{
		"trivy-db": fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}), "acme": fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}),
		"zeta": fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}), "java": indexOf(t, 0, 20),
	})
	r, s, err := shop(first, 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Turn(t.Context())
	before := r.Manager.Status()
	if before.Generation.Number != 2 || before.Java == nil {
		t.Fatalf("got %+v", before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stock(t, first, map[string]string{"acme": fixes(t, 3, map[string]string{"12/openssl/CVE-2025-3": "4"}), "java": indexOf(t, 3, 22)})
	var steps []string
	for n := 1; ; n++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprint("ADVISORY_TEST_KILLED_AT=", n), "ADVISORY_TEST_COMPOSE="+dir)
		out, err := cmd.CombinedOutput()
		if err == nil {
			if !strings.Contains(string(out), "composed 4") {
				t.Errorf("without being killed: %s", out)
			}
			break
		}
		step := strings.TrimSpace(string(out))
		steps = append(steps, step)
		r, s, err := shop(dir, 7*time.Hour+2*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		g := r.Manager.Status().Generation
		if active, ok, err := inForce(s).Active(t.Context()); err != nil || !ok || g.Number != active.Number || g.Content != active.Content || g.Number < 2 || g.Number > 4 {
			t.Errorf("killed before %q: in use is %d %s; in force %d %s, %v", step, g.Number, g.Content.Short(), active.Number, active.Content.Short(), err)
		}
		r.Turn(t.Context())
		after := r.Manager.Status()
		place, ok := r.Manager.Dir(after.Generation.Content)
		if !ok || after.Generation.Number != 4 || after.Java == nil || after.Java.Archives != 22 || !strings.Contains(value(t, place, "debian 12", "openssl", "CVE-2025-3"), `"FixedVersion":"4"`) {
			t.Errorf("killed before %q: the newer data is not used: %+v", step, after)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	want := "write manifest, remove damaged, rename, sync, compose, write manifest, remove damaged, rename, sync, activate"
	if got := strings.Join(steps, ", "); !strings.HasPrefix(got, want) || !strings.Contains(got, "rename index") || !strings.Contains(got, "activate index") {
		t.Errorf("killed before %s; want each of %s, and those of the index", got, want)
	}
}

// TestTwoReplicasCompose: of two processes at once one asks the sources and composes; the
// other has the same bytes from it.
func TestTwoReplicasCompose(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 1, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	one, other := c.start("", true), c.start("", true)
	for round := range 3 {
		var both sync.WaitGroup
		for _, n := range []*node{one, other} {
			both.Go(func() { n.turn(t) })
		}
		both.Wait()
		one.turn(t)
		other.turn(t)
		want := int64(round + 1)
		if a, b := one.want(t, "the one", want, ""), other.want(t, "the other", want, ""); a.Content != b.Content {
			t.Errorf("round %d: %s and %s", round, a.Content, b.Content)
		}
		for name, m := range map[string]*mirror{"trivy-db": c.mirror, "acme": c.acme, "zeta": c.zeta} {
			if asked, _ := m.counts(); asked != round+1 {
				t.Errorf("round %d: %s was asked %d times", round, name, asked)
			}
		}
		c.acme.offer(fixes(t, 3+round, map[string]string{"12/openssl/CVE-2025-3": strconv.Itoa(4 + round)}))
		c.clock.move(6 * time.Hour)
	}
}

// TestClockBackWhileComposing: a clock that goes back a day takes nothing away, and delays
// no source.
func TestClockBackWhileComposing(t *testing.T) {
	c := newComposite(t)
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.acme.offer(fixes(t, 20, map[string]string{"12/openssl/CVE-2025-3": "3"}))
	c.zeta.offer(fixes(t, 2, map[string]string{"12/zlib/CVE-2025-3": "3"}))
	n := c.start("", true)
	n.turn(t)
	n.want(t, "three sources", 1, "")
	c.clock.move(-24 * time.Hour)
	c.zeta.offer(fixes(t, 21, map[string]string{"12/zlib/CVE-2025-3": "4"}))
	n = c.start(n.dir, true)
	n.want(t, "a day earlier", 1, "")
	n.turn(t)
	g := n.want(t, "newer data a day earlier", 2, "")
	place, _ := n.m.Dir(g.Content)
	if row := value(t, place, "debian 12", "zlib", "CVE-2025-3"); !strings.Contains(row, `"FixedVersion":"4"`) {
		t.Errorf("the row is %s", row)
	}
	if v := c.status().InForce; len(v.Sources) != 3 || v.Sources[1].Rows != 1 {
		t.Errorf("in force %+v", v)
	}
}

// TestMalformedSource: a source whose file is damaged, hostile or something else keeps its
// rows, with the reason in the status; the others are renewed, and it comes back.
func TestMalformedSource(t *testing.T) {
	c := newComposite(t)
	files := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.RemoveAll(files); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(files, 0o700); err != nil {
			t.Fatal(err)
		}
		feed := "distribution: hce\nrelease: '2.0'\n"
		for name, text := range map[string]string{name: text, "feed.yaml": feed} {
			if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("updateinfo.xml", hce)
	c.config[0] = source.Default()
	c.config[0].Name, c.config[0].Path, c.config[0].Priority = "acme", files, 10
	c.mirror.offer(fixes(t, 0, map[string]string{"12/openssl/CVE-2025-1": "1"}))
	c.zeta.fail(fmt.Errorf("away: %w", gate.ErrRegistryUnavailable))
	n := c.start("", true)
	n.Sources[0].Mirrors = supply.New(supply.Options{Config: c.config[0], Dir: filepath.Join(n.dir, "acme"), Now: c.clock.now})
	n.turn(t)
	rows := func() (int, gate.AdvisoryGeneration) {
		t.Helper()
		v := c.status().InForce
		if len(v.Sources) != 2 || v.Sources[1].Name != "acme" {
			t.Fatalf("in force %+v", v)
		}
		return v.Sources[1].Rows, v
	}
	if got, v := rows(); got != 1 || v.Number != 1 {
		t.Fatalf("in force %+v", v)
	}
	number := int64(1)
	for name, bad := range map[string]struct{ file, text, want string }{
		"cut xml":      {"updateinfo.xml", hce[:len(hce)/2], `"updateinfo.xml"`},
		"no xml":       {"updateinfo.xml", "\x00\x01\x02", `"updateinfo.xml"`},
		"entities":     {"updateinfo.xml", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><updates>&b;</updates>`, "a document type"},
		"deep xml":     {"updateinfo.xml", "<updates>" + strings.Repeat("<a>", 100_000), `"updateinfo.xml"`},
		"cut json":     {"a.json", openEuler[:len(openEuler)/2], `"a.json"`},
		"deep json":    {"a.json", `{"affected":` + strings.Repeat("[", 200_000), `"a.json"`},
		"other json":   {"a.json", `{"hello":1}`, "unknown format"},
		"cut packing":  {"updateinfo.xml.gz", "\x1f\x8b\x08\x00", `"updateinfo.xml.gz"`},
		"cut archive":  {"a.zip", "PK\x03\x04", `"a.zip"`},
		"another feed": {"updateinfo.xml", strings.ReplaceAll(hce, "hce2", "ky10"), "feed.yaml says HCE 2.0"},
		"cut yaml":     {"a.yaml", "advisories: [", `"a.yaml"`},
		"no advisory":  {"updateinfo.xml", "<updates/>", "hold no advisories"},
	} {
		write(bad.file, bad.text)
		number++
		c.mirror.offer(fixes(t, int(number), map[string]string{"12/openssl/CVE-2025-1": fmt.Sprint(number)}))
		c.clock.move(6 * time.Hour)
		n.turn(t)
		if got, v := rows(); got != 1 || v.Number != number {
			t.Errorf("%s: in force is generation %d with %d rows of acme, want %d with 1", name, v.Number, got, number)
		}
		n.want(t, name, number, bad.want)
	}
	write("updateinfo.xml", strings.ReplaceAll(hce, "7.79.1", "7.79.2"))
	c.clock.move(6 * time.Hour)
	n.turn(t)
	if got, v := rows(); got != 1 || v.Number != number+1 {
		t.Errorf("repaired: in force is generation %d with %d rows", v.Number, got)
	}
	place, _ := n.m.Dir(c.status().InForce.Content)
	if row := value(t, place, "HCE 2.0", "curl", "CVE-2024-2398"); !strings.Contains(row, "7.79.2") {
		t.Errorf("repaired: the row is %s", row)
	}
}
