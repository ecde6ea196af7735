package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// filled is a catalog of n images in n/20 repositories, each with a tag and a
// job, written as rebuild writes them.
func filled(tb testing.TB, n int) *Catalog {
	tb.Helper()
	ctx := context.Background()
	c, err := Open(ctx, tb.TempDir(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	err = c.write(ctx, func(w *writer) error {
		for i := range n {
			d := gate.Digest(fmt.Sprintf("sha256:%064x", uint64(i)*0x9e3779b97f4a7c15))
			at := time.Unix(1_790_000_000+int64(i), 0)
			l := gate.Location{Registry: []string{"hub", "mirror"}[i%2], Repository: fmt.Sprintf("team/app-%d", i/20)}
			r := gate.Record{
				Digest: d, Version: 1, InventoryID: "x", AnalyzedAt: at,
				Manifest:  gate.Manifest{Digest: d, Kind: gate.KindImage, Platform: gate.Platform{OS: "linux", Architecture: "amd64"}},
				Locations: []gate.LocationState{{Location: l, SeenAt: at, Verdict: gate.Decision{Outcome: gate.OutcomeAllow}}},
			}
			if i%1000 == 0 {
				r.InventoryID, r.Locations[0].Verdict.Outcome = "", gate.OutcomeDeny
			}
			w.image(d, gate.Entry{Record: r})
			w.tag(gate.TagKey{Location: l, Tag: fmt.Sprint("v", i)}, gate.TagMapping{Digest: d})
			w.job(gate.Job{ID: fmt.Sprint("job-", i), Kind: gate.JobAnalyze, State: gate.JobDone, Digest: d, Location: l, UpdatedAt: at})
		}
		return w.err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// questions are the lists that people ask for.
func questions(tb testing.TB) map[string]struct {
	query string
	args  []any
} {
	list := map[string]struct {
		query string
		args  []any
	}{}
	add := func(name string, q query) {
		list[name] = struct {
			query string
			args  []any
		}{q.text, q.args}
	}
	next := cursor("images", time.Unix(1_790_005_000, 0).UnixMicro(), "sha256:")
	for name, f := range map[string]gate.ImageFilter{
		"images": {}, "images_next": {Cursor: next}, "images_state": {State: gate.StateNotScanned},
		"images_state_next": {State: gate.StateScanned, Cursor: next}, "images_decision": {Decision: gate.OutcomeDeny},
		"images_kind": {Kind: gate.KindIndex}, "images_registry": {Registry: "hub"}, "images_repository": {Repository: "team/app-7"},
		"images_place": {Registry: "hub", Repository: "team/app-7"},
	} {
		where, limit, err := imageConditions(f, false)
		if err != nil {
			tb.Fatal(err)
		}
		add(name, imagesQuery(where, limit))
	}
	where, limit, err := imageConditions(gate.ImageFilter{Registry: "small"}, true)
	if err != nil {
		tb.Fatal(err)
	}
	add("images_of_a_small_registry", imagesQuery(where, limit))
	add("count_at", query{countAtQuery, []any{"small", 2000}})
	add("places_of", query{placesOfQuery, []any{`["sha256:x"]`}})
	add("accessories_of", query{havingAccessories, []any{`["sha256:x"]`}})
	add("newest_keyword", newestWith(conditions{}, "%app%", 100, 50))
	add("candidates_keyword", query{candidates, []any{`["team/app-7"]`}})
	next = cursor("jobs", time.Unix(1_790_005_000, 0).UnixMicro(), "job")
	for name, f := range map[string]gate.JobFilter{
		"jobs": {}, "jobs_next": {Cursor: next}, "jobs_state": {State: gate.JobDone, Cursor: next}, "jobs_kind": {Kind: gate.JobAnalyze},
		"jobs_digest": {Digest: "sha256:x"},
	} {
		query, args, _, err := jobsQuery(f)
		if err != nil {
			tb.Fatal(err)
		}
		list[name] = struct {
			query string
			args  []any
		}{query, args}
	}
	list["waiting"] = struct {
		query string
		args  []any
	}{waitingQuery, []any{string(gate.JobParked)}}
	list["resolves"] = struct {
		query string
		args  []any
	}{resolvesQuery, []any{"sha256:x", string(gate.JobResolve), gate.MaxPage}}
	list["accessories"] = struct {
		query string
		args  []any
	}{accessoriesQuery, []any{"sha256:x", maxAccessories}}
	return list
}

// TestPlans: every list but a search by keyword is read in the order of an
// index, or finds its few rows by one and sorts those. Nothing scans a table.
func TestPlans(t *testing.T) {
	c := filled(t, 2000)
	want := map[string]string{
		"images": "images_seen", "images_next": "images_seen (seen_at<?)", "images_state": "images_state (state=?)",
		"images_state_next": "images_state (state=? AND seen_at<?)", "images_decision": "images_decision (decision=?)",
		"images_kind": "images_kind (kind=?)", "images_registry": "images_seen", "images_repository": "locations_repository (repository=?)",
		"images_of_a_small_registry": "locations_registry (registry=?)", "count_at": "locations_registry (registry=?)",
		"images_place": "locations_repository (repository=? AND registry=?)",
		"places_of":    "SEARCH l USING PRIMARY KEY (digest=?)", "accessories_of": "attestations_subject (subject=?)",
		"newest_keyword": "tags_digest (digest=?)", "candidates_keyword": "tags_tag (tag=?)",
		"jobs": "jobs_updated", "jobs_next": "jobs_updated (updated_at<?)", "jobs_state": "jobs_state (state=? AND updated_at<?)",
		"jobs_kind": "jobs_kind (kind=?)", "jobs_digest": "jobs_digest (digest=?)",
		"resolves": "jobs_digest (digest=?)", "accessories": "attestations_subject (subject=?)",
		"waiting": "COVERING INDEX jobs_state (state=?)",
	}
	tableScan := regexp.MustCompile(`(?m)^SCAN \w+$`)
	for name, q := range questions(t) {
		t.Run(name, func(t *testing.T) {
			lines, err := all(t.Context(), c, "explaining", func(rows *sql.Rows) (detail string, err error) {
				var id, parent, unused int
				return detail, rows.Scan(&id, &parent, &unused, &detail)
			}, "EXPLAIN QUERY PLAN "+q.query, q.args...)
			if err != nil {
				t.Fatal(err)
			}
			plan := strings.Join(lines, "\n")
			sorts := strings.Contains(plan, "TEMP B-TREE FOR ORDER BY")
			if name == "accessories" { // these two are what its own parts have found
				plan = strings.NewReplacer("SCAN a\n", "", "SCAN s\n", "").Replace(plan)
			}
			plan = strings.NewReplacer("SCAN json_each VIRTUAL TABLE", "", "SCAN n VIRTUAL TABLE", "").Replace(plan)
			few := strings.Contains(name, "repository") || strings.Contains(name, "place") || strings.Contains(name, "small") || strings.Contains(name, "_of") || name == "accessories"
			if want[name] == "" || !strings.Contains(plan, want[name]) || (sorts && !few) || (tableScan.MatchString(plan) && !strings.Contains(name, "keyword")) {
				t.Errorf("want %q and no other scan or sort:\n%s", want[name], plan)
			}
		})
	}
}

func BenchmarkImages(b *testing.B) {
	n := 20_000
	if s := os.Getenv("DIGESTGATE_BENCH_IMAGES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	c := filled(b, n)
	for _, bench := range []struct {
		name   string
		filter gate.ImageFilter
	}{
		{"first_page", gate.ImageFilter{}},
		{"middle_page", gate.ImageFilter{Cursor: cursor("images", time.Unix(1_790_000_000+int64(n)/2, 0).UnixMicro(), "sha256:")}},
		{"rare_state", gate.ImageFilter{State: gate.StateNotScanned}},
		{"repository", gate.ImageFilter{Registry: "hub", Repository: "team/app-7"}},
		{"unknown_registry", gate.ImageFilter{Registry: "other"}},
		{"keyword", gate.ImageFilter{Keyword: "app-77"}},
		{"keyword_of_all", gate.ImageFilter{Keyword: "team"}},
		{"keyword_tag", gate.ImageFilter{Keyword: "v1234"}},
		{"keyword_digest", gate.ImageFilter{Keyword: "cafe5"}},
		{"keyword_short", gate.ImageFilter{Keyword: "v9"}},
		{"keyword_without_match", gate.ImageFilter{Keyword: "nothing"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := c.Images(b.Context(), bench.filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
