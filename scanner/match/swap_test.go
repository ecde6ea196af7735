package match_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// release is a source in which package p0 to p(n-1) are fixed in version.
func release(n int, version string) fstest.MapFS {
	var y strings.Builder
	fmt.Fprintf(&y, "distribution: debian\nrelease: '12'\nadvisories:\n")
	for i := range n {
		fmt.Fprintf(&y, "- {package: p%d, id: CVE-2024-%d, fixedVersion: %q, severity: HIGH}\n", i, 1000+i, version)
	}
	y.WriteString("vulnerabilities:\n")
	for i := range n {
		fmt.Fprintf(&y, "- {id: CVE-2024-%d, source: nvd, severity: LOW}\n", 1000+i)
	}
	return fstest.MapFS{"a.yaml": {Data: []byte(y.String())}}
}

// installed is n packages in no order, built anew each time: the detectors sort
// what they are given in place.
func installed(n int) *gate.Inventory {
	var pkgs []gate.Package
	for i := range n {
		pkgs = append(pkgs, deb(fmt.Sprintf("p%d", (i*7919)%n), fmt.Sprintf("p%d", (i*7919)%n), "1-1"))
	}
	inv := debian("12", pkgs...)
	inv.Applications = []gate.Application{{Type: "node-pkg", Packages: []gate.Package{{Name: "z", Version: "2.0.0"}, {Name: "a", Version: "1.0.0"}}}}
	return inv
}

// TestLoad_under_load swaps 40 generations while 8 goroutines match one shared
// inventory. Each result must be of one generation alone.
func TestLoad_under_load(t *testing.T) {
	const packages, swaps, matchers = 150, 40, 8
	var dirs [2]string
	var gens [2]gate.Generation
	for i, version := range []string{"2-1", "3-1"} {
		dirs[i], gens[i] = build(t, release(packages, version))
	}
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	load := func(n int) error {
		g := gens[n%2]
		g.Number = int64(n + 1)
		return m.Load(t.Context(), dirs[n%2], g)
	}
	if err := load(0); err != nil {
		t.Fatal(err)
	}
	inv := installed(packages)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range matchers {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, err := m.Match(t.Context(), inv)
				if err != nil {
					t.Error(err)
					return
				}
				want := []string{"2-1", "3-1"}[(f.Generation-1)%2]
				if len(f.Vulnerabilities) != packages || f.Advisories != gens[(f.Generation-1)%2].Content {
					t.Errorf("generation %d: %d findings of %s", f.Generation, len(f.Vulnerabilities), f.Advisories)
				}
				for _, v := range f.Vulnerabilities {
					if v.FixedVersion != want {
						t.Errorf("generation %d has a finding of another: %+v", f.Generation, v)
						return
					}
				}
			}
		})
	}
	for n := 1; n <= swaps; n++ {
		if err := load(n); err != nil {
			t.Error(err)
		}
		// The comparison of two contents goes on beside the matchers.
		if _, err := advisory.Diff(t.Context(), dirs[0], dirs[1]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
	if g, ok := m.Generation(); !ok || g.Number != swaps+1 {
		t.Errorf("Generation: got %v %v, want %d", g, ok, swaps+1)
	}
}

// TestLoad_waits_for_no_slow_match: while a match of a huge inventory runs,
// swaps and matches of ordinary images go on, and the huge one still ends,
// however often they come.
func TestLoad_waits_for_no_slow_match(t *testing.T) {
	var y strings.Builder
	y.WriteString("distribution: debian\nrelease: '12'\nadvisories:\n- {package: p0, id: CVE-2023-1, fixedVersion: '2-1'}\n")
	for i := range 500 {
		fmt.Fprintf(&y, "- {package: linux, id: CVE-2024-%d, fixedVersion: '1-1'}\n", i)
	}
	dir, g := build(t, fstest.MapFS{"a.yaml": {Data: []byte(y.String())}})
	var pkgs []gate.Package
	for i := range 300 {
		pkgs = append(pkgs, deb(fmt.Sprintf("linux-%d", i), "linux", "6.1-1"))
	}
	huge := debian("12", pkgs...)
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	if err := m.Load(t.Context(), dir, g); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	find(t, m, huge)
	alone := time.Since(start)
	g.Number++ // of which nothing is remembered
	if err := m.Load(t.Context(), dir, g); err != nil {
		t.Fatal(err)
	}

	done := make(chan error, 1)
	ctx := &firstLook{Context: context.Background(), looked: make(chan struct{})}
	go func() {
		_, err := m.Match(ctx, huge)
		done <- err
	}()
	<-ctx.looked // the huge match has done a step and holds the lock
	var longest time.Duration
	for swaps := 0; ; swaps++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("the huge match: %v", err)
			}
			if swaps < 5 {
				t.Errorf("%d swaps in a match that takes %v: they waited for it", swaps, alone)
			}
			t.Logf("%d swaps; the longest with a small match %v; the huge match alone %v", swaps, longest, alone)
			return
		default:
		}
		g.Number++
		start := time.Now()
		if err := m.Load(t.Context(), dir, g); err != nil {
			t.Fatal(err)
		}
		if f := find(t, m, installed(1)); len(f.Vulnerabilities) != 1 {
			t.Fatalf("got %v", rows(f))
		}
		longest = max(longest, time.Since(start))
	}
}

// firstLook is a context that tells when it is first asked whether it has ended.
type firstLook struct {
	context.Context
	once   sync.Once
	looked chan struct{}
}

func (c *firstLook) Err() error {
	c.once.Do(func() { close(c.looked) })
	return c.Context.Err()
}

// TestMatchers_take_turns: two matchers with different data in one process give
// each its own findings, although trivy-db has one connection.
func TestMatchers_take_turns(t *testing.T) {
	versions := []string{"2-1", "3-1"}
	var group sync.WaitGroup
	for _, version := range versions {
		m := load(t, release(20, version))
		for range 3 {
			group.Go(func() {
				for range 30 {
					f, err := m.Match(t.Context(), installed(20))
					if err != nil {
						t.Error(err)
						return
					}
					for _, v := range f.Vulnerabilities {
						if v.FixedVersion != version {
							t.Errorf("got a finding of another's data: %+v", v)
							return
						}
					}
				}
			})
		}
	}
	group.Wait()
}

func TestLoad_bad_keeps_good(t *testing.T) {
	m := samples(t)
	before, _ := m.Generation()
	want := rows(find(t, m, debian("12", deb("libexpat1", "expat", "2.5.0-1"))))
	empty := t.TempDir()
	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "trivy.db"), bytes.Repeat([]byte("x"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{empty, garbage, filepath.Join(empty, "missing")} {
		if err := m.Load(t.Context(), dir, gate.Generation{Number: 9, Content: image}); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Load(%q): got %v, want ErrInvalid", dir, err)
		}
		if g, ok := m.Generation(); !ok || g != before {
			t.Errorf("Generation: got %v, want %v", g, before)
		}
		if diff := cmp.Diff(want, rows(find(t, m, debian("12", deb("libexpat1", "expat", "2.5.0-1"))))); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) != 0 {
		t.Errorf("loading made files: %v %v", entries, err)
	}
}

// TestLoad_new_number: the same content under a new number costs nothing and
// shows in the next findings.
func TestLoad_new_number(t *testing.T) {
	dir, g := build(t, release(1, "2-1"))
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	for n := int64(1); n <= 3; n++ {
		g.Number = n
		if err := m.Load(t.Context(), dir, g); err != nil {
			t.Fatal(err)
		}
		if f := find(t, m, installed(1)); f.Generation != n || len(f.Vulnerabilities) != 1 {
			t.Errorf("got generation %d with %d findings, want %d with 1", f.Generation, len(f.Vulnerabilities), n)
		}
	}
}

// TestManager_with_matcher is the whole way: the operator's directory, manager,
// matcher, findings; a bad directory; a rollback.
func TestManager_with_matcher(t *testing.T) {
	m := match.New(nil, now)
	t.Cleanup(func() { _ = m.Close() })
	path := filepath.Join(t.TempDir(), "live")
	c := advisory.Default()
	c.Path = path
	manager := advisory.NewManager(advisory.Options{Config: c, DataDir: t.TempDir(), Loader: m, Now: now})
	put := func(version string) {
		t.Helper()
		dir, _ := build(t, release(1, version))
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(dir, path); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	look := func() {
		t.Helper()
		if _, err := manager.Refresh(t.Context()); err != nil {
			t.Log(err)
		}
		f := find(t, m, installed(1))
		got = append(got, fmt.Sprint(f.Generation, " ", f.Vulnerabilities[0].FixedVersion))
	}
	put("2-1")
	look()
	put("3-1")
	look()
	if err := os.Truncate(filepath.Join(path, "trivy.db"), 5000); err != nil {
		t.Fatal(err)
	}
	look()
	put("2-1")
	look()
	if diff := cmp.Diff([]string{"1 2-1", "2 3-1", "2 3-1", "3 2-1"}, got); diff != "" {
		t.Errorf("generation and fix (-want +got):\n%s", diff)
	}
}

// TestLogging: no line for a match, and not Trivy's handler that keeps them all.
func TestLogging(t *testing.T) {
	var out bytes.Buffer
	former := slog.Default()
	t.Cleanup(func() { slog.SetDefault(former) })
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})
	slog.SetDefault(slog.New(match.DependencyLog(handler)))
	m := match.New(slog.New(handler), now)
	t.Cleanup(func() { _ = m.Close() })
	dir, g := build(t, release(3, "2-1"))
	if err := m.Load(t.Context(), dir, g); err != nil {
		t.Fatal(err)
	}
	inv := installed(3)
	inv.Applications = append(inv.Applications, gate.Application{Type: "conda-pkg", Packages: []gate.Package{{Name: "a", Version: "1"}}})
	find(t, m, inv)
	if out.Len() > 0 {
		t.Errorf("a match logged:\n%s", out.String())
	}
	slog.Error("something", "key", "value")
	if !strings.Contains(out.String(), "something") || !strings.Contains(out.String(), "from=dependency") {
		t.Errorf("an error of a dependency is not passed on: %q", out.String())
	}
}

// TestNew_replaces_trivys_handler runs before anything else could: importing
// Trivy left its handler in place.
func TestNew_replaces_trivys_handler(t *testing.T) {
	match.New(nil, nil)
	if name := fmt.Sprintf("%T", slog.Default().Handler()); strings.Contains(name, "Deferred") {
		t.Errorf("slog.Default still has %s", name)
	}
}

func TestLoad_is_sorted(t *testing.T) {
	m := load(t, release(200, "2-1"))
	f := find(t, m, installed(200))
	if !slices.IsSortedFunc(f.Vulnerabilities, func(a, b gate.Vulnerability) int { return strings.Compare(a.Package, b.Package) }) {
		t.Error("findings are not sorted by package")
	}
}
