package stock_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/match"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// images is how many a stock of these tests has, in 100 builds.
const images = 20_000

// A world is a stock with a generation of its advisories loaded, and what it says.
type world struct {
	*stock.Stock
	*match.Matcher
	learnt *stock.Findings
}

// worlds are made once, because a database takes a second.
var worlds = map[stock.Generation]*world{}

func at(tb testing.TB, g stock.Generation) *world {
	tb.Helper()
	if w := worlds[g]; w != nil {
		return w
	}
	s, dir := stock.New(stock.Options{Images: images}), tb.TempDir()
	if err := s.WriteSources(filepath.Join(dir, "sources"), g); err != nil {
		tb.Fatal(err)
	}
	clock := func() time.Time { return now }
	db := filepath.Join(temporary, string(g))
	built, err := advisory.Build(tb.Context(), advisory.BuildOptions{From: os.DirFS(filepath.Join(dir, "sources")), Out: db, Now: clock})
	if err != nil {
		tb.Fatal(err)
	}
	m := match.New(slog.New(slog.DiscardHandler), clock)
	if err := m.Load(tb.Context(), built.Dir, gate.Generation{Number: 1, Content: built.Content, UpdatedAt: built.UpdatedAt, ActivatedAt: now}); err != nil {
		tb.Fatal(err)
	}
	learnt, err := s.Learn(tb.Context(), m)
	if err != nil {
		tb.Fatal(err)
	}
	worlds[g] = &world{s, m, learnt}
	return worlds[g]
}

// temporary outlives the tests that share a database.
var temporary string

func TestMain(m *testing.M) {
	var err error
	if temporary, err = os.MkdirTemp("", "stock-"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, w := range worlds {
		_ = w.Close()
	}
	_ = os.RemoveAll(temporary)
	os.Exit(code)
}

// some are images of every combination and of several builds.
func some(s *stock.Stock) []int {
	var out []int
	for i := 0; i < s.Images(); i += 997 {
		out = append(out, i)
	}
	return out
}

// TestFindings: what is put together is what the matcher says, of every generation.
func TestFindings(t *testing.T) {
	for _, g := range []stock.Generation{stock.First, stock.TwoHundred} {
		w := at(t, g)
		for _, i := range some(w.Stock) {
			inv := w.Inventory(i)
			want, err := w.Match(t.Context(), inv)
			if err != nil {
				t.Fatal(err)
			}
			want.CarryFirstSeen(nil, now)
			if diff := cmp.Diff(want, w.learnt.Of(i, inv)); diff != "" {
				t.Fatalf("generation %s, image %d (-matcher +stock):\n%s", g, i, diff)
			}
		}
	}
}

// TestShape: images are as large as the package says, and as bad as real ones.
func TestShape(t *testing.T) {
	w := at(t, stock.First)
	var counts gate.Counts
	seen, fixed := 0, 0
	for _, i := range some(w.Stock) {
		inv := w.Inventory(i)
		if n := inv.PackageCount(); n != 336 {
			t.Fatalf("image %d has %d packages, want 336", i, n)
		}
		f := w.learnt.Of(i, inv)
		counts = counts.Plus(f.Count())
		critical := false
		for _, v := range f.Vulnerabilities {
			if v.FixedVersion != "" {
				fixed++
				critical = critical || v.Severity == gate.SeverityCritical
			}
		}
		if critical != w.Critical(i) {
			t.Errorf("image %d has a critical vulnerability with a fix: %t", i, critical)
		}
		seen++
	}
	all := counts.Critical + counts.High + counts.Medium + counts.Low + counts.Unknown
	if mean := float64(all) / float64(seen); mean < 185 || mean > 205 {
		t.Errorf("%.1f findings an image, want about 195", mean)
	}
	share := func(n int) int { return 1000 * n / all }
	got := map[string]int{"critical": share(counts.Critical), "high": share(counts.High), "medium": share(counts.Medium), "low": share(counts.Low), "unknown": share(counts.Unknown), "fixed": share(fixed)}
	for name, bounds := range map[string][2]int{"critical": {3, 30}, "high": {80, 200}, "medium": {250, 400}, "low": {400, 600}, "unknown": {10, 60}, "fixed": {200, 600}} {
		if n := got[name]; n < bounds[0] || n > bounds[1] {
			t.Errorf("%d of 1,000 findings are %s, want %v", n, name, bounds)
		}
	}
	t.Logf("%d findings in %d images, of 1,000: %v", all, seen, got)
}

func TestGenerationsChangeWhatTheySay(t *testing.T) {
	first, second := at(t, stock.First), at(t, stock.TwoHundred)
	for g, want := range map[stock.Generation]struct{ packages, atLeast, atMost int }{
		stock.First: {0, 0, 0}, stock.TwoHundred: {200, images / 5, images / 5}, stock.Everywhere: {5, images, images}, stock.OnePercent: {29, images * 3 / 4, images},
	} {
		packages, holders := first.Changed(g)
		if n := len(holders); packages != want.packages || n < want.atLeast || n > want.atMost {
			t.Errorf("generation %s changes %d packages, which %d of %d images have; want %+v", g, packages, len(holders), images, want)
		}
	}
	differ := 0
	for i := range stock.Combinations {
		inv := first.Inventory(i)
		a, b := len(first.learnt.Of(i, inv).Vulnerabilities), len(second.learnt.Of(i, inv).Vulnerabilities)
		if a != b && b-a != 50 {
			t.Errorf("image %d has %d findings more, want 50", i, b-a)
		}
		if a != b {
			differ++
		}
	}
	if differ != stock.Combinations/5 {
		t.Errorf("%d of %d images have other findings, want one of five", differ, stock.Combinations)
	}
}

// TestSameOptionsSameBytes: builds that come later change none before.
func TestSameOptionsSameBytes(t *testing.T) {
	text := func(seed uint64, images, i int) string {
		inv := stock.New(stock.Options{Images: images, Seed: seed}).Inventory(i)
		for k := range inv.History { // when a build was depends on how many follow
			inv.History[k].Created = now
		}
		inv.Created = now
		b, err := json.Marshal(inv)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text(1, 1_000, 777) != text(1, 2_000, 777) {
		t.Error("the same seed gave other bytes")
	}
	if text(1, 1_000, 777) == text(2, 1_000, 777) {
		t.Error("another seed gave the same bytes")
	}
}

// TestFill: every image is stored as it is described.
func TestFill(t *testing.T) {
	const images = 40
	w := at(t, stock.First)
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := w.Fill(t.Context(), st, 0, images, stock.FillOptions{Findings: w.learnt}); err != nil {
		t.Fatal(err)
	}
	for i := range images {
		look(t, st, w, i)
	}
}

func look(t *testing.T, st store.Store, s *world, i int) {
	t.Helper()
	ctx := context.Background()
	d := s.Digest(i)
	res, err := st.Read(ctx, gate.ReadRequest{Digests: []gate.Digest{d}, Tags: []gate.TagKey{s.Tag(i)}})
	if err != nil {
		t.Fatal(err)
	}
	entry := res.Digests[d]
	if entry.State() != gate.StateScanned || entry.Record.Generation != 1 || len(entry.Record.Locations) != len(s.Locations(i)) || res.Tags[s.Tag(i)].Digest != d {
		t.Fatalf("image %d: %+v", i, entry)
	}
	for _, l := range entry.Record.Locations {
		if l.Verdict.Outcome != gate.OutcomeWarn {
			t.Errorf("image %d at %s: verdict %+v", i, l.Location, l.Verdict)
		}
	}
	if charge, err := st.Charged(ctx, d); err != nil || !charge.Served {
		t.Errorf("image %d: charge %+v, %v", i, charge, err)
	}
	inv, err := st.Inventory(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	found, err := st.Findings(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.learnt.Of(i, inv).Vulnerabilities); len(found.Vulnerabilities) != n || n == 0 {
		t.Errorf("image %d: %d findings stored, want %d", i, len(found.Vulnerabilities), n)
	}
}

// BenchmarkFill stores images of a stock, each with a dozen durable writes.
func BenchmarkFill(b *testing.B) {
	w := at(b, stock.First)
	for name, open := range map[string]func(*testing.B) store.Store{"sqlite": openSQLite, "redis": openRedis} {
		b.Run(name, func(b *testing.B) {
			st := open(b)
			b.ResetTimer()
			if err := w.Fill(b.Context(), st, 0, b.N, stock.FillOptions{Findings: w.learnt}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

func openSQLite(b *testing.B) store.Store {
	st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	return st
}

func openRedis(b *testing.B) store.Store {
	server := redistest.Plain(b, redistest.Options{})
	key := filepath.Join(b.TempDir(), "mac-key")
	if err := os.WriteFile(key, []byte("stock-benchmark-0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	st, err := redis.Open(b.Context(), store.Config{URL: server.URL(), Prefix: "stock", MACKeyFile: key}, redis.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	return st
}
