package advisory_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

func osvEntry(id, modified, published string) string {
	return fmt.Sprintf(`{"id":%q,"modified":%q,"published":%q,"affected":[{"package":{"name":"a","ecosystem":"Go"},"versions":["1.0.0"]}]}`, id, modified, published)
}

func ownDebian(release, updatedAt string) string {
	text := "distribution: debian\nrelease: '" + release + "'\nadvisories: [{package: a, id: CVE-2020-1, fixedVersion: '1'}]\n"
	if updatedAt != "" {
		text += "updatedAt: " + updatedAt + "\n"
	}
	return text
}

// TestBuild_age: data is as old as its sources say themselves. The files are of
// this very moment, as after a copy or a clone, which makes nothing fresh.
func TestBuild_age(t *testing.T) {
	const year1, secdb = "0001-01-01T00:00:00Z", "distroversion: v3.20\npackages: [{pkg: {name: a, secfixes: {1-r0: [CVE-2020-1]}}}]"
	at := func(day int) time.Time { return time.Date(2024, 5, day, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		sources map[string]string
		want    time.Time // zero: not known
		undated string
	}{
		"osv_newest_counts":    {map[string]string{"a.json": osvEntry("GO-1", "2024-05-06T00:00:00Z", year1), "b.json": osvEntry("GO-2", "2021-05-06T00:00:00Z", year1)}, at(6), ""},
		"osv_list":             {map[string]string{"a.json": "[" + osvEntry("GO-1", "2024-05-06T00:00:00Z", year1) + "]"}, at(6), ""},
		"osv_published_counts": {map[string]string{"a.json": osvEntry("GO-1", year1, "2024-05-06T00:00:00Z")}, at(6), ""},
		"osv_without":          {map[string]string{"a.json": osvEntry("GO-1", year1, year1)}, time.Time{}, "OSV entries state no time"},
		"osv_future_is_none":   {map[string]string{"a.json": osvEntry("GO-1", "2999-01-01T00:00:00Z", year1)}, time.Time{}, "in the future"},
		"osv_future_beside":    {map[string]string{"a.json": osvEntry("GO-1", "2999-01-01T00:00:00Z", "2024-05-06T00:00:00Z")}, at(6), ""},
		"a_clock_ahead":        {map[string]string{"a.json": osvEntry("GO-1", clock.Add(time.Minute).Format(time.RFC3339), year1)}, clock, ""},
		"own":                  {map[string]string{"a.yaml": ownDebian("12", "2024-05-07T00:00:00Z")}, at(7), ""},
		"own_without":          {map[string]string{"d/a.yaml": ownDebian("12", "")}, time.Time{}, `"d/a.yaml" states no time`},
		"own_oldest_release":   {map[string]string{"a.yaml": ownDebian("12", "2024-05-07T00:00:00Z"), "b.yaml": ownDebian("11", "2024-05-03T00:00:00Z")}, at(3), ""},
		"own_newest_of_one":    {map[string]string{"a.yaml": ownDebian("12", "2024-05-07T00:00:00Z"), "b.yaml": ownDebian("12", "2024-05-03T00:00:00Z")}, at(7), ""},
		"details_have_no_age": {map[string]string{
			"a.yaml": ownDebian("12", "2024-05-07T00:00:00Z"), "nvd.yaml": "vulnerabilities: [{id: CVE-2020-1, severity: HIGH}]",
		}, at(7), ""},
		"fresh_does_not_hide_old": {map[string]string{"a.yaml": ownDebian("12", "2024-05-03T00:00:00Z"), "a.json": osvEntry("GO-1", "2024-05-06T00:00:00Z", year1)}, at(3), ""},
		"alpine_states_none":      {map[string]string{"v3.20/main.yaml": secdb}, time.Time{}, `"v3.20/main.yaml" states no time`},
		"tracker_states_none":     {map[string]string{"debian.json": tracker}, time.Time{}, `"debian.json" states no time`},
		"fresh_does_not_date":     {map[string]string{"a.json": osvEntry("GO-1", "2024-05-06T00:00:00Z", year1), "b.yaml": secdb, "c.json": tracker}, time.Time{}, `2 files state no time; the first is "b.yaml"`},
	} {
		t.Run(name, func(t *testing.T) {
			sources := fstest.MapFS{}
			for file, text := range c.sources {
				sources[file] = &fstest.MapFile{Data: []byte(text), ModTime: clock}
			}
			out, r := build(t, sources)
			if c.want.IsZero() {
				c.want = gate.UnknownTime()
			}
			if !r.UpdatedAt.Equal(c.want) || !strings.Contains(r.Undated, c.undated) || (r.Undated == "") != (c.undated == "") {
				t.Errorf("got %v, %q; want %v, %q", r.UpdatedAt, r.Undated, c.want, c.undated)
			}
			db, err := advisory.Inspect(t.Context(), out, clock)
			if err != nil || !db.UpdatedAt.Equal(c.want) {
				t.Errorf("read back: got %v, %v", db, err)
			}
			if f := advisory.FreshnessOf(db.UpdatedAt, clock, 48*time.Hour); c.undated != "" && f != advisory.Stale {
				t.Errorf("data of unknown time is %s", f)
			}
		})
	}
}

// TestBuild_future: nobody says that data is from the future.
func TestBuild_future(t *testing.T) {
	for name, c := range map[string]struct {
		source  string
		updated time.Time
		want    string
	}{
		"option": {ownDebian("12", "2024-05-07T00:00:00Z"), clock.Add(time.Hour), "given as 2026-11-23T13:00:00Z, which is in the future"},
		"source": {ownDebian("12", "2026-11-23T13:00:00Z"), time.Time{}, `"a.yaml": field updatedAt: 2026-11-23T13:00:00Z is in the future`},
	} {
		_, err := advisory.Build(t.Context(), advisory.BuildOptions{
			From: fstest.MapFS{"a.yaml": file(c.source)}, Out: filepath.Join(t.TempDir(), "db"), UpdatedAt: c.updated, Now: now,
		})
		if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
	if f := advisory.FreshnessOf(clock.Add(time.Hour), clock, 48*time.Hour); f != advisory.Stale {
		t.Errorf("data from the future is %s", f)
	}
}
