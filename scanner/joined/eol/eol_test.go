package eol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// dates is in the form of api/v1/products/full, shortened, with what older versions say.
const dates = `{"schema_version": "1.2.0", "generated_at": "2026-11-28T12:00:00+00:00", "total": 8, "result": [
 {"name": "debian", "aliases": [], "category": "os", "releases": [
  {"name": "12", "codename": "bookworm", "label": "12", "releaseDate": "2023-06-10", "isEol": false, "eolFrom": "2026-12-01", "isMaintained": true},
  {"name": "9", "isEol": true, "eolFrom": "2020-07-18"}]},
 {"name": "alpine-linux", "aliases": ["alpine"], "releases": [{"name": "3.20", "isEol": false, "eolFrom": "2026-04-01"}]},
 {"name": "openeuler", "releases": [{"name": "22.03-lts-sp4", "isEol": true, "eolFrom": "2026-06-30"}, {"name": "24.03-lts-sp3", "isEol": false, "eolFrom": "2027-12-31"}]},
 {"name": "anolis-os", "aliases": ["anolis", "anolisos"], "releases": [{"name": "8", "isEol": false, "eolFrom": "2031-03-31"}]},
 {"name": "opencloudos", "aliases": ["open-cloud-os"], "releases": [{"name": "9", "isEol": false, "eolFrom": "2033-04-30"}, {"name": "8", "isEol": false, "eolFrom": "2029-05-31"}]},
 {"name": "rhel", "aliases": ["redhat"], "releases": [{"name": "9", "isEol": false, "eolFrom": null}, {"name": "8", "isEol": true, "eolFrom": null}]},
 {"name": "sles", "releases": [{"name": "15.6", "isEol": false, "eolFrom": "2027-12-31"}]},
 {"name": "old-form", "releases": [{"cycle": "1", "eol": true}, {"cycle": 2, "eol": false}, {"cycle": "3", "eol": "2026-01-01"}, {"cycle": "4"}]}]}`

func TestFind(t *testing.T) {
	table, err := Read(strings.NewReader(dates))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ family, release, want string }{
		{"debian", "12.5", "supported until 2026-12-01"}, {"debian", "12", "supported until 2026-12-01"}, {"debian", "9.13", "ended on 2020-07-18"},
		{"debian", "1", "unknown"}, {"debian", "", "unknown"}, {"", "12", "unknown"}, {"none", "", "unknown"},
		{"alpine", "3.20.3", "ended on 2026-04-01"}, {"alpine", "3.2", "unknown"},
		{"openeuler", "22.03 (LTS-SP4)", "ended on 2026-06-30"}, {"openEuler", "22.03-LTS-SP4", "ended on 2026-06-30"}, {"openeuler", "24.03 (LTS-SP3)", "supported until 2027-12-31"},
		{"openeuler", "22.03 (LTS-SP9)", "unknown"},
		{"anolis", "8.8", "supported until 2031-03-31"}, {"anolis", "23.1", "unknown"}, {"opencloudos", "8.10", "supported until 2029-05-31"},
		{"euleros", "2.0 (SP9x86_64)", "unknown"}, {"alinux", "3", "unknown"},
		{"redhat", "9.4", "supported until ever"}, {"redhat", "8.9", "ended on ever"},
		{"suse linux enterprise server", "15.6", "supported until 2027-12-31"}, {"sles", "15-SP6", "supported until 2027-12-31"},
		{"old-form", "1", "ended on ever"}, {"old-form", "2", "supported until ever"}, {"old-form", "3", "ended on 2026-01-01"}, {"old-form", "4", "unknown"},
	} {
		e, ok := table.Find(c.family, c.release)
		got := "unknown"
		if ok {
			day := "ever"
			if !e.From.IsZero() {
				day = e.From.Format(time.DateOnly)
			}
			if got = "supported until " + day; e.EndedAt(now) {
				got = "ended on " + day
			}
		}
		if got != c.want {
			t.Errorf("%q %q: got %s, want %s", c.family, c.release, got, c.want)
		}
	}
	if e, _ := table.Find("debian", "12"); e.EndedAt(e.From.Add(-time.Second)) || !e.EndedAt(e.From) {
		t.Error("it does not end on its day")
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no_time":   {`"generated_at": "2026-11-28T12:00:00+00:00", `, ``, "generated_at"},
		"total":     {`"total": 8`, `"total": 7`, "total 7"},
		"a_date":    {`"2020-07-18"`, `"some day"`, "some day"},
		"a_number":  {`"eol": true`, `"eol": 7`, "date, true, false or null"},
		"no_name":   {`"name": "debian"`, `"name": ""`, "name"},
		"twice":     {`"name": "sles"`, `"name": "rhel"`, "twice"},
		"cut":       {`"cycle": "4"}]}]}`, ``, "JSON"},
		"more":      {`"cycle": "4"}]}]}`, `"cycle": "4"}]}]} 1`, "behind"},
		"no_result": {dates, `{"generated_at": "2026-11-28T12:00:00Z", "result": []}`, "no products"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(strings.Replace(dates, c.old, c.new, 1)))
			if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an invalid one with %q", err, c.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(dates), "debian", "12.5")
	f.Fuzz(func(_ *testing.T, text []byte, family, release string) {
		if table, err := Read(bytes.NewReader(text)); err == nil {
			table.Find(family, release)
		}
	})
}
