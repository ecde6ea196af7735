package gate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/standing"
	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/sqlite"
)

// mirror answers with all that a question shows, so that whatever is different is another
// answer. It sees the hour, half of the numbers of generations, tables of its own, and the
// end of life of a release.
type mirror struct {
	revision string
	tables   map[gate.Digest]int
	ends     int
}

func (m *mirror) Revision() string { return m.revision }

func (m *mirror) Sees(g gate.Generation, _ time.Time) string { return fmt.Sprint(g.Number % 2) }

func (m *mirror) Ends(family, release string, known bool, _ time.Time) string {
	return fmt.Sprint(m.ends, family, release, known)
}

func (m *mirror) Evaluate(_ context.Context, q gate.Question) gate.Decision {
	rec, i := &q.Record, &q.Record.Summary.Inventory
	hour := q.Now.Truncate(time.Hour)
	text := fmt.Sprint(m.revision, m.tables[q.Digest], q.Location, q.Host, q.Tags, q.State, hour, m.Ends(i.Family, i.Release, rec.InventorySummarized(), q.Now),
		rec.InventoryID, rec.FindingsID, rec.FindingsOf, rec.Matcher, rec.Generation%2, rec.Manifest.Kind, rec.Manifest.Unassessable)
	return gate.Decision{
		Outcome: gate.OutcomeWarn, PolicyRevision: m.revision, EvaluatedAt: q.Now, Until: hour.Add(time.Hour),
		Reasons: []gate.Reason{{Action: gate.OutcomeWarn, Rule: "mirror", Msg: text, Findings: []string{}}},
	}
}

// sweepHistory is a site to which things happen, with a sweep after some of them.
type sweepHistory struct {
	*site
	random  *rand.Rand
	mirror  *mirror
	tables  *tableChange
	all     listed // that the list of images has
	images  listed
	tags    map[gate.Digest][]gate.TagKey
	other   *sql.DB // another program at the store's file, nil for none
	copies  map[gate.Digest]map[string][][]any
	sweeper *standing.Sweeper
	number  int64
}

// Scanned lists what the list has: it may lag.
func (h *sweepHistory) Scanned(ctx context.Context, after gate.Digest, limit int) ([]gate.Digest, error) {
	return h.all.Scanned(ctx, after, limit)
}

func newHistory(s *site, seed uint64, other *sql.DB) *sweepHistory {
	h := &sweepHistory{
		site: s, random: rand.New(rand.NewPCG(seed, 1)), mirror: &mirror{revision: "p0", tables: map[gate.Digest]int{}},
		tables: &tableChange{revision: "0"}, images: s.stored(5), tags: map[gate.Digest][]gate.TagKey{}, other: other,
		copies: map[gate.Digest]map[string][][]any{}, number: 1,
	}
	h.all = h.images
	s.standing.Evaluator, s.standing.Joined = h.mirror, h.tables
	s.standing.Tags = func(_ context.Context, d gate.Digest, loc gate.Location) (names []string) {
		for _, t := range h.tags[d] {
			if t.Location == loc {
				names = append(names, t.Tag)
			}
		}
		slices.Sort(names)
		return names
	}
	h.sweeper = standing.NewSweeper(s.standing, standing.SweepOptions{
		Digests: h, Scheduler: s.sweeping, Quota: s.Quota, Marks: s.marks(),
		Tags: func(context.Context, []gate.Digest) (map[gate.Digest][]gate.TagKey, error) { return h.tags, nil },
	})
	return h
}

// happens is one thing. It returns what it was.
func (h *sweepHistory) happens() string {
	d := h.images[h.random.IntN(len(h.images))]
	rec := h.entry(d).Record
	h.number++
	loc := gate.Location{Registry: hub, Repository: fmt.Sprintf("team/%d", h.random.IntN(3))}
	events := []func() (string, error){
		func() (string, error) {
			h.clock.Advance(time.Duration(h.random.IntN(50)) * time.Minute)
			return "time", nil
		},
		func() (string, error) {
			h.clock.Advance(-time.Duration(h.random.IntN(90)) * time.Minute)
			return "time back", nil
		},
		func() (string, error) { h.mirror.revision = fmt.Sprint("p", h.random.IntN(3)); return "policies", nil },
		func() (string, error) {
			h.mirror.tables[d]++
			h.tables.revision = fmt.Sprint(h.number)
			if h.tables.touched == nil {
				h.tables.touched = map[gate.Digest]bool{}
			}
			h.tables.touched[d] = true
			return "a table", nil
		},
		func() (string, error) { h.mirror.ends++; return "ends of life", nil },
		func() (string, error) {
			h.tags[d] = append(slices.Clone(h.tags[d]), gate.TagKey{Location: loc, Tag: fmt.Sprint("t", h.number)})
			return "a tag", nil
		},
		func() (string, error) { delete(h.tags, d); return "no tags", nil },
		func() (string, error) { _, err := h.store.AddLocation(h.ctx, d, loc); return "a location", err },
		func() (string, error) { return "a location is gone", h.store.MarkGone(h.ctx, d, loc) },
		func() (string, error) {
			f, err := h.store.Findings(h.ctx, d)
			if err == nil {
				f.Vulnerabilities = []gate.Vulnerability{{ID: fmt.Sprint("CVE-", h.number), Package: "curl", Severity: gate.SeverityLow}}
				_, err = h.store.PutFindings(h.ctx, f, rec.FindingsID)
			}
			return "findings", err
		},
		func() (string, error) {
			old := gate.Verdict{Location: gate.Location{Registry: hub, Repository: "team/app"}, Decision: gate.Decision{
				Outcome: gate.OutcomeAllow, Reasons: []gate.Reason{}, PolicyRevision: h.mirror.revision, EvaluatedAt: h.clock.Now()}}
			_, err := h.store.PutVerdicts(h.ctx, d, rec.Basis(), []gate.Verdict{old})
			return "a verdict of another", err
		},
		func() (string, error) { h.matcher.activate(h.number); return "a generation", nil },
		func() (string, error) {
			h.all = slices.DeleteFunc(slices.Clone(h.images), func(gate.Digest) bool { return h.random.IntN(4) == 0 })
			return "the list lags", nil
		},
		func() (string, error) { h.all = h.images; return "the list is whole", nil },
		func() (string, error) {
			list := slices.Clone(h.standing.Registries.All())
			list[0].Host = fmt.Sprintf("h%d.invalid", h.random.IntN(2))
			with, err := gate.NewRegistries(list)
			if err == nil {
				h.standing.Registries.Replace(with)
			}
			return "a host", err
		},
	}
	if h.other != nil {
		events = append(events,
			func() (string, error) { return "a copy is made of an image", h.copy(d) },
			func() (string, error) { return "an image is put back", h.putBack(d) },
			func() (string, error) {
				_, err := h.other.Exec(`UPDATE locations SET verdict = replace(verdict, 'warn', 'allow') WHERE digest = ?`, string(d))
				return "a verdict is forged", err
			})
	}
	what, err := events[h.random.IntN(len(events))]()
	if err != nil && !errors.Is(err, gate.ErrConflict) {
		h.t.Fatalf("%s: %v", what, err)
	}
	return what
}

// rowsOf are the tables with what is stored of an image.
var rowsOf = []string{"records", "locations", "findings", "inventories"}

// copy keeps the rows of an image.
func (h *sweepHistory) copy(d gate.Digest) error {
	kept := map[string][][]any{}
	for _, table := range rowsOf {
		rows, err := h.other.Query(`SELECT * FROM `+table+` WHERE digest = ?`, string(d))
		if err != nil {
			return err
		}
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				to[i] = &row[i]
			}
			if err := rows.Scan(to...); err != nil {
				return err
			}
			kept[table] = append(kept[table], row)
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	h.copies[d] = kept
	return nil
}

// putBack makes the rows of an image those of the copy.
func (h *sweepHistory) putBack(d gate.Digest) error {
	if h.copies[d] == nil {
		return nil
	}
	tx, err := h.other.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, table := range rowsOf {
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE digest = ?`, string(d)); err != nil {
			return err
		}
		for _, row := range h.copies[d][table] {
			if _, err := tx.Exec(`INSERT INTO `+table+` VALUES (?`+strings.Repeat(", ?", len(row)-1)+`)`, row...); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// TestSweepSkipsNothingThatChanged: whatever has happened to images, their data, policies
// and tags, after a sweep each standing verdict of the images that were listed is what an
// evaluation of what is stored gives.
func TestSweepSkipsNothingThatChanged(t *testing.T) {
	skipped := 0
	play := func(t *testing.T, s *site, seed uint64, other *sql.DB) {
		h := newHistory(s, seed, other)
		var past []string
		for range 120 {
			for range 1 + h.random.IntN(2) {
				past = append(past, h.happens())
			}
			for range 1 + h.random.IntN(3) {
				swept := h.rematch(h.sweeper)
				skipped += swept.Skipped
				past = append(past, fmt.Sprintf("%+v", swept))
			}
			h.wantTrue(past)
			if t.Failed() {
				return
			}
		}
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("sqlite_", seed), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
			st, err := sqlite.Open(t.Context(), path, sqlite.Options{Clock: clk.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = st.Close() })
			other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Close() })
			play(t, newSiteOn(t, month(0), st, clk), seed, other)
		})
	}
	t.Run("redis", func(t *testing.T) {
		clk := &clock{now: time.Unix(1_790_000_000, 0).UTC()}
		st, err := openRedis(t, redistest.Plain(t, redistest.Options{}), clk)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		play(t, newSiteOn(t, month(0), st, clk), 9, nil)
	})
	if skipped == 0 {
		t.Error("no sweep has left anything out")
	}
}

// wantTrue compares the standing verdicts with what an evaluation gives.
func (h *sweepHistory) wantTrue(past []string) {
	h.t.Helper()
	for _, d := range h.all {
		e := h.entry(d)
		for _, l := range e.Record.Locations {
			q := h.standing.Question(h.store, e, l.Location, gate.EventRescan, nil)
			q.Tags = h.standing.Tags(h.ctx, d, l.Location)
			if want := h.mirror.Evaluate(h.ctx, q); !want.Same(l.Verdict) {
				h.t.Errorf("after %s:\nthe verdict of %s at %s\nis   %v\nwant %v", strings.Join(past[max(0, len(past)-12):], "\n"), d, l.Location, l.Verdict, want)
				return
			}
		}
	}
}
