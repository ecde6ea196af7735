package gate_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// onBothStores runs a test on a site with each store.
func onBothStores(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	open := map[string]func(t *testing.T, clk *clock) (store.Store, error){
		"sqlite": func(t *testing.T, clk *clock) (store.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Clock: clk.Now})
		},
		"redis": func(t *testing.T, clk *clock) (store.Store, error) {
			return openRedis(t, redistest.Plain(t, redistest.Options{}), clk)
		},
	}
	for name, open := range open {
		t.Run(name, func(t *testing.T) {
			clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
			st, err := open(t, clk)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			test(t, newSiteOn(t, month(0), st, clk))
		})
	}
}

// TestStoreCalls pins what the works ask of the store on the ways that images take.
// Capitals are writes.
func TestStoreCalls(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *site) {
		c := s.counted()
		check := func(way, calls, want string) {
			t.Helper()
			if calls != want {
				t.Errorf("%s makes %d calls, want %d:\n got %s\nwant %s", way, len(strings.Fields(calls)), len(strings.Fields(want)), calls, want)
			}
		}
		d := s.push("team/app", "v1", 1)
		s.event("team/app", "v1", d)
		calls := s.each(c)
		check("the resolve of a new digest with a tag", most(calls[gate.JobResolve]),
			"Now Read SIGHT")
		check("an analysis", most(calls[gate.JobAnalyze]),
			"FENCE Read SERVE PUTINVENTORY PUTFINDINGS PUTVERDICTS")

		s.push("team/app", "v2", 1)
		s.event("team/app", "v2", d)
		check("the resolve of a known digest with another tag", most(s.each(c)[gate.JobResolve]),
			"Now Read SIGHT AVOID")

		s.push("team/copy", "v1", 1)
		s.event("team/copy", "v1", d)
		check("the resolve of a known digest at another location", most(s.each(c)[gate.JobResolve]),
			"Now Read SIGHT PUTVERDICTS AVOID")

		s.push("team/app", "v3", 1)
		s.push("team/app", "v4", 1)
		s.event("team/app", "v3", d)
		s.event("team/app", "v4", d)
		check("the resolve of a known digest with two tags", most(s.each(c)[gate.JobResolve]),
			"Now Now Read SIGHT AVOID")

		// Both tags have moved on to a digest that is known by now.
		moved := s.push("team/app", "v5", 2)
		s.event("team/app", "v5", moved)
		s.each(c)
		s.push("team/app", "v6", 2)
		s.event("team/app", "v5", d)
		s.event("team/app", "v6", d)
		check("the resolve of two tags that name another known digest", most(s.each(c)[gate.JobResolve]),
			"Now Read Now Read SIGHT SIGHT AVOID")

		if _, err := s.Scan(s.ctx, s.at("team/app", ":v4"), false); err != nil {
			t.Fatal(err)
		}
		check("the resolve of a tag of a known digest", most(s.each(c)[gate.JobResolve]),
			"Now Read SIGHT AVOID")

		index, _ := s.pushIndex("team/multi", "v1")
		s.event("team/multi", "v1", index)
		check("the resolve of an index of two with a tag", most(s.each(c)[gate.JobResolve]),
			"Now Read SIGHT SIGHT SIGHT")

		s.analyzer.set = "set-2"
		if _, err := s.Scan(s.ctx, s.at("team/app", "@"+string(d)), true); err != nil {
			t.Fatal(err)
		}
		check("an analysis that repeats another", most(s.each(c)[gate.JobAnalyze]),
			"FENCE Read SERVE PUTINVENTORY Findings PUTFINDINGS")

		sweeper := s.sweeper(listed{d})
		s.rematch(sweeper)
		check("a sweep of a digest with nothing new", strings.Join(c.take(), " "), "Marks Read ChargesOf")
		s.clock.Advance(time.Minute)
		s.matcher.activate(2)
		s.rematch(sweeper)
		check("a sweep of a digest after a new generation", strings.Join(c.take(), " "),
			"Marks Read ChargesOf Inventory Findings PUTFINDINGS")
		s.clock.Advance(time.Minute)
		s.matcher.bad[d] = gate.SeverityCritical
		s.matcher.activate(3)
		s.rematch(sweeper)
		check("a sweep of a digest whose verdict changes", strings.Join(c.take(), " "),
			"Marks Read ChargesOf Inventory Findings HISTORY PUTFINDINGS PUTVERDICTS") // what is found may have been seen before
	})
}
