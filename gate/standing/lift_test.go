package standing_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/gate/catalog"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// advisories are contents by which packages have vulnerabilities, and generations of
// them. Each process has one in use.
type advisories struct {
	contents map[gate.Digest]map[string]string
	now      func() time.Time
	use      gate.Generation
	matches  int
}

func (a *advisories) Match(_ context.Context, inv *gate.Inventory) (*gate.Findings, error) {
	a.matches++
	return a.match(inv), nil
}

func (a *advisories) match(inv *gate.Inventory) *gate.Findings {
	f := &gate.Findings{Digest: inv.Digest, Generation: a.use.Number, Advisories: a.use.Content, Matcher: a.Version(), MatchedAt: a.now(), Vulnerabilities: []gate.Vulnerability{}}
	for _, p := range inv.Packages {
		if id := a.contents[a.use.Content][p.Name]; id != "" {
			f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{ID: id, Package: p.Name, Severity: gate.SeverityHigh})
		}
	}
	return f
}

func (a *advisories) Generation() (gate.Generation, bool) { return a.use, true }
func (a *advisories) Version() string                     { return "m1" }

// touched compares two contents.
func (a *advisories) touched(_ context.Context, former, now gate.Digest) (t gate.Touched, err error) {
	x, ok := a.contents[former]
	if !ok {
		return t, gate.ErrNotFound
	}
	for _, p := range []string{"openssl", "zlib", "curl"} {
		if x[p] != a.contents[now][p] {
			t.Packages = append(t.Packages, p)
		}
	}
	if x["about bash"] != a.contents[now]["about bash"] {
		t.Packages = append(t.Packages, "bash")
	}
	return t, nil
}

func heldBy(inv *gate.Inventory, f *gate.Findings) (l gate.Lookups) {
	for _, p := range inv.Packages {
		l.Packages = append(l.Packages, p.Name)
	}
	for _, v := range f.Vulnerabilities {
		l.Vulnerabilities = append(l.Vulnerabilities, v.ID)
	}
	slices.Sort(l.Packages)
	return l
}

// rewound is a store in which records were put back, for who reads.
type rewound struct {
	store.Store
	old map[gate.Digest]snapshot
}

type snapshot struct {
	entry     gate.Entry
	inventory *gate.Inventory
	findings  *gate.Findings
}

func (r *rewound) Read(ctx context.Context, req gate.ReadRequest) (gate.ReadResult, error) {
	res, err := r.Store.Read(ctx, req)
	for _, d := range req.Digests {
		if old, ok := r.old[d]; ok && err == nil {
			res.Digests[d] = old.entry
		}
	}
	return res, err
}

// Marks says that those are other records.
func (r *rewound) Marks(ctx context.Context, digests []gate.Digest) (map[gate.Digest]gate.Mark, error) {
	marks, err := r.Store.Marks(ctx, digests)
	for d := range marks {
		if _, ok := r.old[d]; ok {
			marks[d]++
		}
	}
	return marks, err
}

func (r *rewound) Inventory(ctx context.Context, d gate.Digest) (*gate.Inventory, error) {
	if old, ok := r.old[d]; ok {
		return old.inventory, nil
	}
	return r.Store.Inventory(ctx, d)
}

func (r *rewound) Findings(ctx context.Context, d gate.Digest) (*gate.Findings, error) {
	if old, ok := r.old[d]; ok {
		return old.findings, nil
	}
	return r.Store.Findings(ctx, d)
}

// town is a store with what follows it: a process that is up to date, with the lifts
// that it makes, another that follows these, and one that lags.
type town struct {
	t                *testing.T
	store            *rewound
	active, former   gate.Generation
	current, lagging *advisories
	holdings         *catalog.Holdings
	catalog          *catalog.Catalog
	lifter           *standing.Lifter
	maker, follower  *standing.Standing
	late             *standing.Standing
	// replica reads what the maker says, and no image: it cannot know which have newer
	// findings.
	replica *standing.Standing
	clock   time.Time
	lifted  int
	// present are the findings that images had when the last lift was made, of the data
	// before; formers is how often such decided.
	present map[gate.Digest]string
	formers int
}

type allow struct{}

func (allow) Evaluate(context.Context, gate.Question) gate.Decision {
	return gate.Decision{Outcome: gate.OutcomeAllow, PolicyRevision: "p"}
}
func (allow) Revision() string { return "p" }

func newTown(t *testing.T, s store.Store) *town {
	w := &town{t: t, store: &rewound{s, map[gate.Digest]snapshot{}}, clock: time.Unix(1_790_000_000, 0).UTC()}
	now := func() time.Time { w.clock = w.clock.Add(time.Millisecond); return w.clock }
	contents := map[gate.Digest]map[string]string{
		id("A"): {"openssl": "CVE-1", "curl": "CVE-3", "about bash": "1"},
		id("B"): {"openssl": "CVE-1", "zlib": "CVE-2", "curl": "CVE-3", "about bash": "2"}, // of versions that no image has
		id("C"): {"openssl": "CVE-4", "zlib": "CVE-2", "curl": "CVE-3", "about bash": "2"},
		id("D"): {"openssl": "CVE-1", "curl": "CVE-3", "about bash": "2"},
	}
	w.current = &advisories{contents: contents, now: now}
	w.lagging = &advisories{contents: contents, now: now}
	registries, err := gate.NewRegistries(nil)
	w.no(err)
	process := func(m standing.Matcher) *standing.Standing {
		s := &standing.Standing{Records: w.store, Matcher: m, Evaluator: allow{}, Registries: registries, Lifts: new(standing.Lifts), SweepGrace: 100 * time.Hour, Now: now, Log: slog.New(slog.DiscardHandler)}
		s.Replaced = s.Lifts.Replaced
		return s
	}
	w.maker, w.follower, w.late, w.replica = process(w.current), process(w.current), process(w.lagging), process(w.current)
	w.catalog, err = catalog.Open(t.Context(), memoryDir(t), w.store, slog.New(slog.DiscardHandler))
	w.no(err)
	t.Cleanup(func() { _ = w.catalog.Close() })
	w.holdings = w.catalog.Holdings(catalog.HoldingsOptions{Contents: w.store, Lookups: heldBy, Format: "1"})
	w.lifter = &standing.Lifter{
		Lifts: w.maker.Lifts, Matcher: w.current, Holdings: w.holdings, Touched: w.current.touched, Store: s, Shared: true, Now: now, Log: slog.New(slog.DiscardHandler),
		Active: func(context.Context) (gate.Generation, gate.Generation, error) { return w.active, w.former, nil },
	}
	return w
}

func (w *town) no(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func id(name string) gate.Digest {
	sum := sha256.Sum256([]byte(name))
	return gate.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// activate puts a content in force, and every process but the one that lags uses it.
func (w *town) activate(content string) {
	w.former = w.active
	w.active = gate.Generation{Number: w.active.Number + 1, Content: id(content), ActivatedAt: w.clock}
	w.current.use, w.present = w.active, nil
	for _, s := range []*standing.Standing{w.maker, w.follower, w.replica} {
		s.Begin(w.former.Content, w.active)
	}
}

// lift makes the lift, and notes which findings images have.
func (w *town) lift(images ...gate.Digest) {
	w.t.Helper()
	if _, _, known := w.maker.Lifts.Difference(w.active, "m1"); !known {
		w.present = map[gate.Digest]string{}
		for _, d := range images {
			if rec := w.take(d).entry.Record; rec.Generation == w.former.Number && rec.Advisories == w.former.Content {
				w.present[d] = rec.FindingsID
			}
		}
	}
	w.no(w.lifter.Lift(w.t.Context()))
}

// analysed stores the inventory of an image and matches it, as a process does that has
// its data in use.
func (w *town) analysed(by *standing.Standing, d gate.Digest, packages ...string) {
	w.t.Helper()
	delete(w.store.old, d)
	inv := &gate.Inventory{Format: gate.InventoryFormat, Digest: d, AnalyzerSet: "s", AnalyzedAt: by.Now()}
	for _, p := range packages {
		inv.Packages = append(inv.Packages, gate.Package{Name: p})
	}
	_, err := w.store.PutInventory(w.t.Context(), 1, inv)
	w.no(err)
	w.matched(by, d)
}

func (w *town) matched(by *standing.Standing, d gate.Digest) {
	w.t.Helper()
	entry, err := gate.ReadEntry(w.t.Context(), w.store, d)
	w.no(err)
	err = by.Match(w.t.Context(), gate.Known{Entry: entry}, gate.Occasion{Event: gate.EventRescan})
	if _, back := w.store.old[d]; !back || !errors.Is(err, gate.ErrBusy) && !errors.Is(err, gate.ErrConflict) {
		w.no(err)
	}
}

func (w *town) take(d gate.Digest) snapshot {
	w.t.Helper()
	ctx := w.t.Context()
	entry, err := gate.ReadEntry(ctx, w.store, d)
	w.no(err)
	inv, err := w.store.Inventory(ctx, d)
	w.no(err)
	f, err := w.store.Findings(ctx, d)
	w.no(err)
	return snapshot{entry, inv, f}
}

// check asks both processes that are up to date about an image: whatever decides is what
// a match with the data in force gives.
func (w *town) check(d gate.Digest, when string) {
	w.t.Helper()
	ctx := w.t.Context()
	for name, s := range map[string]*standing.Standing{"maker": w.maker, "follower": w.follower} {
		entry, err := gate.ReadEntry(ctx, w.store, d)
		w.no(err)
		if s == w.follower {
			w.no(s.Lifts.Load(ctx, w.store, w.current))
		}
		matched := false
		q := s.Question(w.store, entry, gate.Location{Registry: "hub", Repository: "app"}, gate.EventRescan, func(error) { matched = true })
		inv, f, err := q.Load(ctx)
		w.no(err)
		want := w.current.match(inv)
		ids := func(f *gate.Findings) (list []string) {
			for _, v := range f.Vulnerabilities {
				list = append(list, v.Package+" "+v.ID)
			}
			return list
		}
		if diff := cmp.Diff(ids(want), ids(f)); diff != "" {
			w.t.Fatalf("%s: the %s decides by other findings than those of generation %d (-full +decides):\n%s", when, name, w.active.Number, diff)
		}
		if q.Record.Generation != w.active.Number || q.Record.Advisories != w.active.Content {
			w.t.Fatalf("%s: the %s says generation %d, in force is %d", when, name, q.Record.Generation, w.active.Number)
		}
		if !matched && entry.Record.Generation < w.active.Number {
			w.lifted++
		}
	}
	w.no(w.replica.Lifts.Load(ctx, w.store, w.current))
	entry, err := gate.ReadEntry(ctx, w.store, d)
	w.no(err)
	for _, s := range []*standing.Standing{w.replica, w.maker} {
		if s.Former(entry.Record, w.clock) {
			if w.formers++; w.present[d] != entry.Record.FindingsID || s.Lifts.Hold(entry.Record.FindingsID, w.active, "m1") {
				w.t.Fatalf("%s: findings may decide that were not the image's when generation %d came, or stand in it", when, w.active.Number)
			}
		}
	}
}

func stores(t *testing.T, run func(t *testing.T, s store.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), filepath.Join(memoryDir(t), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		run(t, s)
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Plain(t, redistest.Options{})
		key := filepath.Join(t.TempDir(), "mac.key")
		if err := os.WriteFile(key, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := redis.Open(t.Context(), store.Config{URL: server.URL(), Prefix: "t", MACKeyFile: key}, redis.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		run(t, s)
	})
}

// TestLift_every_order: an analysis and a match by a process that lags, the activation
// of other data, the lift, a match and a record that was put back, in every order. What
// decides is always what the data in force gives.
func TestLift_every_order(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		w := newTown(t, s)
		w.activate("A")
		steps := []string{"activation", "lift", "analysis", "match", "put back", "lagging match"}
		for n, order := range permutations(len(steps)) {
			if n%someOrders != 0 && os.Getenv("LIFT_ORDERS") != "all" {
				continue
			}
			// Each order begins with data A and images that were matched with it.
			touched, plain, moved := id(fmt.Sprint("touched ", n)), id(fmt.Sprint("plain ", n)), id(fmt.Sprint("moved ", n))
			same := id(fmt.Sprint("same ", n)) // touched, and nothing comes of it
			if w.active.Content != id("A") {
				w.activate("A")
			}
			w.lagging.use = w.active
			w.analysed(w.maker, touched, "zlib", "curl")
			w.analysed(w.maker, plain, "openssl")
			w.analysed(w.maker, same, "openssl", "bash")
			w.analysed(w.maker, moved, "openssl")
			old := w.take(moved)
			w.analysed(w.maker, moved, "openssl", "curl")
			said := ""
			for _, i := range order {
				switch steps[i] {
				case "activation":
					w.activate("B")
				case "lift":
					w.lift(touched, plain, moved, same)
				case "analysis": // other analysers find more
					w.analysed(w.late, moved, "zlib")
				case "match":
					for _, d := range []gate.Digest{touched, moved, same} {
						w.matched(w.maker, d)
					}
				case "put back":
					w.store.old[moved] = old
				case "lagging match":
					w.matched(w.late, touched)
				}
				said += " " + steps[i]
				for _, d := range []gate.Digest{touched, plain, moved, same} {
					w.check(d, said)
				}
			}
			w.store.old = map[gate.Digest]snapshot{}
		}
		if w.lifted == 0 || w.formers == 0 {
			t.Error("no findings were lifted, or no former ones decided, so that the test shows nothing")
		}
	})
}

// memoryDir spares the tests the waiting for a disk, where the system can.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "digestgate-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// someOrders is how many of the orders are left out unless LIFT_ORDERS=all; no divisor of
// their number, so that every step is at every place.
const someOrders = 19

func permutations(n int) (all [][]int) {
	if n == 0 {
		return [][]int{nil}
	}
	for _, p := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return all
}

// TestLift_chain: findings stand over several generations while nothing of them changes,
// also when old data comes back, and not over one that is not known.
func TestLift_chain(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		w := newTown(t, s)
		ctx := t.Context()
		w.activate("A")
		plain, touched := id("plain"), id("touched")
		w.analysed(w.maker, plain, "openssl")
		w.analysed(w.maker, touched, "zlib")
		stands := func(when string, want bool, d gate.Digest) {
			t.Helper()
			entry, err := gate.ReadEntry(ctx, w.store, d)
			w.no(err)
			w.no(w.follower.Lifts.Load(ctx, w.store, w.current))
			for _, p := range []*standing.Standing{w.maker, w.follower} {
				if got := p.Lifts.Hold(entry.Record.FindingsID, w.active, "m1"); got != want {
					t.Errorf("%s: findings stand: got %v, want %v", when, got, want)
				}
			}
		}
		for _, content := range []string{"B", "A", "B"} {
			w.activate(content)
			stands("before the lift", false, plain)
			w.no(w.lifter.Lift(ctx))
			stands("after the lift", true, plain)
			stands("what is touched", false, touched)
			if n, _, ok := w.maker.Lifts.Difference(w.active, "m1"); !ok || n != w.former.Number {
				t.Errorf("the difference is known from %d: %v", n, ok)
			}
		}
		w.activate("C")
		w.no(w.lifter.Lift(ctx))
		stands("what is touched after it stood", false, plain)
		w.no(w.follower.Lifts.Load(ctx, w.store, w.current))
		for name, p := range map[string]*standing.Standing{"maker": w.maker, "follower": w.follower} { // which have not matched
			if rec := w.take(plain).entry.Record; !p.Former(rec, w.clock) {
				t.Errorf("by the %s, findings that stood in the generation before may not decide", name)
			}
			if rec := w.take(touched).entry.Record; p.Former(rec, w.clock) {
				t.Errorf("by the %s, findings may decide that did not stand in the generation before", name)
			}
		}
		w.activate("A")
		w.activate("B") // nobody has looked at the one between
		w.no(w.lifter.Lift(ctx))
		stands("over a generation that is not known", false, plain)
		if w.current.use.Number = 1; w.maker.Lifts.Hold("sha256:00", w.active, "m1") {
			t.Error("what is no id stands")
		}
	})
}

// TestLift_parts: a lift of more findings than fit into a setting is in several, and a
// part that does not fit counts as no lift.
func TestLift_parts(t *testing.T) {
	ctx := t.Context()
	s := agree.NewOwnStore(time.Now)
	m := &advisories{now: time.Now, use: gate.Generation{Number: 2, Content: id("B")}}
	const n = 130_000
	lifts := new(standing.Lifts)
	l := &standing.Lifter{
		Lifts: lifts, Matcher: m, Holdings: many{n, 1, id("A")}, Store: s, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Active: func(context.Context) (gate.Generation, gate.Generation, error) {
			return m.use, gate.Generation{Number: 1, Content: id("A")}, nil
		},
		Touched: func(context.Context, gate.Digest, gate.Digest) (gate.Touched, error) { return gate.Touched{}, nil },
	}
	if err := l.Lift(ctx); err != nil {
		t.Fatal(err)
	}
	follower := new(standing.Lifts)
	if err := follower.Load(ctx, s, m); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		h := holdingOf(i)
		text := "sha256:" + hex.EncodeToString(h[:])
		if !lifts.Hold(text, m.use, "m1") || !follower.Hold(text, m.use, "m1") {
			t.Fatalf("findings %d of %d do not stand", i, n)
		}
	}
	h := holdingOf(n)
	other := "sha256:" + hex.EncodeToString(h[:])
	if lifts.Hold(other, m.use, "m1") || lifts.Hold(string(id("x")), m.use, "m1") || lifts.Hold(other, m.use, "m2") {
		t.Error("findings stand that nobody has named")
	}
	known := "sha256:" + hex.EncodeToString(func() []byte { h := holdingOf(1); return h[:] }())
	if allocs := testing.AllocsPerRun(100, func() { lifts.Hold(known, m.use, "m1") }); allocs != 0 {
		t.Errorf("a look costs %v allocations", allocs)
	}
	part, version, err := s.Setting(ctx, agree.SettingLiftPart(1))
	if err != nil {
		t.Fatal(err)
	}
	part[0]++
	if _, err := s.PutSetting(ctx, agree.SettingLiftPart(1), part, version); err != nil {
		t.Fatal(err)
	}
	if err := new(standing.Lifts).Load(ctx, s, m); !errors.Is(err, gate.ErrConflict) {
		t.Errorf("a damaged part: got %v, want ErrConflict", err)
	}
}

// many are images whose findings are all of one generation.
type many struct {
	n          int
	generation int64
	content    gate.Digest
}

func holdingOf(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, "findings ", i)) }

func (many) CatchUp(context.Context) error           { return nil }
func (many) Sequence(context.Context) (int64, error) { return 7, nil }
func (m many) Untouched(_ context.Context, _ gate.Touched, fn func(gate.Holding) error) error {
	for i := range m.n {
		if err := fn(gate.Holding{Findings: holdingOf(i), Generation: m.generation, Advisories: m.content}); err != nil {
			return err
		}
	}
	return nil
}

// TestVerify: a full sweep leaves alone what a match gives again, and finds, counts and
// mends what a difference has missed.
func TestVerify(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		ctx := t.Context()
		w := newTown(t, s)
		missing := func(context.Context, gate.Digest, gate.Digest) (gate.Touched, error) { return gate.Touched{}, nil }
		w.lifter.Touched = missing // a comparison that sees nothing
		w.activate("A")
		plain, touched := id("plain"), id("touched")
		w.analysed(w.maker, plain, "openssl")
		w.analysed(w.maker, touched, "zlib")
		w.activate("B")
		w.no(w.lifter.Lift(ctx))
		before := w.take(plain)
		registry := prometheus.NewRegistry()
		sweeper := standing.NewSweeper(w.maker, standing.SweepOptions{Digests: w.catalog, Scheduler: s, Marks: w.store.Marks, Metrics: standing.NewMetrics(registry, w.maker.Lifts)})
		swept, err := sweeper.Verify(ctx)
		w.no(err)
		if swept.Matched != 2 || swept.Missed != 1 || swept.Failed != 0 {
			t.Errorf("got %+v, want 2 matched, 1 missed", swept)
		}
		w.check(touched, "after the full sweep")
		w.check(plain, "after the full sweep")
		if after := w.take(plain); after.entry.Record.Version != before.entry.Record.Version {
			t.Error("an image with the same findings was written")
		}
		metrics, err := registry.Gather()
		w.no(err)
		got := map[string]float64{}
		for _, m := range metrics {
			got[m.GetName()] = m.GetMetric()[0].GetCounter().GetValue() + m.GetMetric()[0].GetGauge().GetValue()
		}
		want := map[string]float64{"digestgate_full_sweep_missed_total": 1, "digestgate_full_sweeps_total": 0, "digestgate_unchanged_findings": 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
		if swept, err := sweeper.Verify(ctx); err != nil || swept.Matched != 1 || swept.Missed != 0 {
			t.Errorf("again: got %+v %v, want 1 matched, none missed", swept, err)
		}
	})
}

// loader is a matcher that takes data into use.
type loader struct{ *advisories }

func (l loader) Load(_ context.Context, _ string, g gate.Generation) error {
	l.use = g
	return nil
}

// TestAhead: new data comes into use when it is known what is different in it, so that no
// review ever sees the one without the other; the former lift decides until then. Without
// a grace, and for data that is not in force, nothing waits; nobody waits for ever.
func TestAhead(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		w := newTown(t, s)
		ctx := t.Context()
		w.activate("A")
		plain := id("plain")
		w.analysed(w.maker, plain, "openssl")
		active := func(context.Context) (gate.Generation, gate.Generation, error) { return w.active, w.former, nil }
		ahead := &standing.Ahead{Loader: loader{w.current}, Standing: w.maker, Active: active, Lift: w.lifter.LiftTo}
		for _, content := range []string{"B", "C", "B"} {
			before := w.active
			w.former, w.active = w.active, gate.Generation{Number: w.active.Number + 1, Content: id(content), ActivatedAt: w.clock}
			lift := ahead.Lift
			ahead.Lift = func(ctx context.Context, g gate.Generation) error {
				err := lift(ctx, g)
				if w.current.use != before {
					t.Error("the data is in use before it is known what is different")
				}
				if rec := w.take(plain).entry.Record; content == "C" && !w.maker.Lifts.Hold(rec.FindingsID, before, "m1") {
					t.Error("what stands in the data in use is forgotten while other data waits")
				}
				return err
			}
			w.no(ahead.Load(ctx, "", w.active))
			ahead.Lift = lift
			if _, _, known := w.maker.Lifts.Difference(w.active, "m1"); !known || w.current.use != w.active {
				t.Errorf("generation %d is in use: %v, its difference is known: %v", w.active.Number, w.current.use == w.active, known)
			}
			w.no(w.follower.Lifts.Await(ctx, w.store, w.active, "m1"))
		}
		other := gate.Generation{Number: w.active.Number, Content: id("A")}
		ahead.Lift = func(context.Context, gate.Generation) error { t.Error("data that is not in force waits"); return nil }
		w.no(ahead.Load(ctx, "", other))
		w.maker.SweepGrace = 0
		ahead.Lift = func(context.Context, gate.Generation) error { t.Error("without a grace, data waits"); return nil }
		w.no(ahead.Load(ctx, "", w.active))
		w.maker.SweepGrace, w.current.use = time.Millisecond, other
		ahead.Lift = func(ctx context.Context, g gate.Generation) error {
			return w.follower.Lifts.Await(ctx, w.store, gate.Generation{Number: g.Number + 1, Content: g.Content}, "m1")
		}
		if w.no(ahead.Load(ctx, "", w.active)); w.current.use != w.active {
			t.Error("data does not come into use while nobody says what is different")
		}
		inUse, ended := make(chan struct{}), make(chan struct{})
		w.current.use = other
		ahead.Lift = func(context.Context, gate.Generation) error { // behind another lift
			defer close(ended)
			select {
			case <-inUse:
			case <-time.After(20 * time.Second):
				t.Error("data waits for as long as another lift takes")
			}
			return nil
		}
		if w.no(ahead.Load(ctx, "", w.active)); w.current.use != w.active {
			t.Error("data does not come into use while another lift is made")
		}
		close(inUse)
		<-ended
	})
}

// watching evaluates by nothing, counts, and sees what it is told of advisory data.
type watching struct {
	sees func(gate.Generation) string
	mu   sync.Mutex
	asks map[gate.Digest]int
}

func (w *watching) Evaluate(_ context.Context, q gate.Question) gate.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asks[q.Digest]++
	return gate.Decision{Outcome: gate.OutcomeAllow, PolicyRevision: "p", EvaluatedAt: q.Now, Until: q.Now.Add(time.Hour)}
}
func (w *watching) Revision() string                           { return "p" }
func (w *watching) Sees(g gate.Generation, _ time.Time) string { return w.sees(g) }

// TestSweep_untouched: for a generation in which the findings of an image stand, and of
// which the policies see what they saw of the one before, a sweep evaluates nothing for
// it. What is touched is matched; where the policies see something else, everything is
// evaluated.
func TestSweep_untouched(t *testing.T) {
	stores(t, func(t *testing.T, s store.Store) {
		w := newTown(t, s)
		ctx := t.Context()
		registries, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Host: "hub.example"}})
		w.no(err)
		see := func(gate.Generation) string { return "all alike" }
		e := &watching{asks: map[gate.Digest]int{}, sees: func(g gate.Generation) string { return see(g) }}
		w.maker.Evaluator, w.maker.Registries = e, registries
		w.activate("A")
		plain, touched := id("plain"), id("touched")
		for d, p := range map[gate.Digest]string{plain: "openssl", touched: "zlib"} {
			w.no(s.PutManifest(ctx, gate.Manifest{Digest: d, Kind: gate.KindImage}))
			_, err := s.AddLocation(ctx, d, gate.Location{Registry: "hub", Repository: "app"})
			w.no(err)
			w.analysed(w.maker, d, p)
		}
		quota, err := gate.NewQuota(gate.QuotaConfig{Period: "none", TimeZone: "UTC"})
		w.no(err)
		sweeper := standing.NewSweeper(w.maker, standing.SweepOptions{Digests: w.catalog, Scheduler: s, Quota: quota, Marks: w.store.Marks})
		sweep := func(when string, want ...gate.Digest) {
			t.Helper()
			w.no(w.catalog.CatchUp(ctx))
			w.no(w.lifter.Lift(ctx))
			e.asks = map[gate.Digest]int{}
			_, err := sweeper.Rematch(ctx)
			w.no(err)
			for _, d := range []gate.Digest{plain, touched} {
				if got := e.asks[d] > 0; got != slices.Contains(want, d) {
					t.Errorf("%s: %s is evaluated: %v", when, map[gate.Digest]string{plain: "the image that is not touched", touched: "the one that is"}[d], got)
				}
			}
		}
		sweep("at first", plain, touched)
		sweep("again")
		w.activate("B")
		sweep("other data", touched)
		sweep("other data, again")
		w.activate("A")
		sweep("the data before", touched)
		see = func(g gate.Generation) string { return fmt.Sprint(g.Number) }
		sweep("the policies see more", plain, touched)
		sweep("the policies see the same", nil...)
		w.activate("B")
		sweep("the policies see the number", plain, touched)
		see = func(gate.Generation) string { return "" }
		sweep("what the policies see is not known", plain, touched)
		sweep("the same generation")
		w.activate("A")
		sweep("another generation", plain, touched)
	})
}
