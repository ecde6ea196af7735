package osv_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory/format"
	"github.com/digestgate/digestgate/scanner/advisory/format/formattest"
	"github.com/digestgate/digestgate/scanner/advisory/format/osv"
)

// openEuler has the facts of OESA-2021-1001: CVEs under upstream, a malformed purl, line
// ends written out, no epochs.
const openEuler = `{"schema_version":"1.7.2","id":"OESA-2021-1001","modified":"2021-01-21T11:02:32Z","published":"2021-01-21T11:02:32Z","upstream":["CVE-2020-25682","CVE-2020-25681"],
"summary":"dnsmasq security update","details":"Dnsmasq provides\\r\\nDNS","related":["CVE-1999-0001"],
"affected":[{"package":{"ecosystem":"openEuler:20.03-LTS","name":"dnsmasq","purl":"pkg:rpm/openEuler/dnsmasq&distro=openEuler-20.03-LTS"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2.82-5.oe1"}]}],
"ecosystem_specific":{"aarch64":["dnsmasq-2.82-4.oe1.aarch64.rpm"],"src":["dnsmasq-2.82-5.oe1.src.rpm"]}},
{"package":{"ecosystem":"npm","name":"left-pad"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}],
"database_specific":{"severity":"High"}}`

var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

func read(r io.Reader, _ format.Limits, sink format.Sink) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return osv.Read(data, func(e string) bool { return !strings.HasPrefix(e, "npm") }, now, sink)
}

func TestRead_openeuler(t *testing.T) {
	r, err := formattest.Collect(read, openEuler, format.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"OESA-2021-1001: CVE-2020-25681 CVE-2020-25682", "  [openEuler:20.03-LTS] dnsmasq source fixed 2.82-5.oe1 without-epoch"}
	if diff := cmp.Diff(want, r.Lines()); diff != "" || len(r.Gaps) > 0 {
		t.Errorf("gaps %v; entries (-want +got):\n%s", r.Gaps, diff)
	}
	if v := r.Entries[0].Vulnerabilities[0]; v.Severity != "High" || v.Description != "Dnsmasq provides\nDNS" {
		t.Errorf("got %+v", v)
	}
	if diff := cmp.Diff([]string{"openEuler:20.03-LTS", "npm"}, osv.Ecosystems([]byte(openEuler))); diff != "" {
		t.Error(diff)
	}
}

// TestRead_profile: the fields for a distribution that publishes nothing for machines.
func TestRead_profile(t *testing.T) {
	entry := func(ranges, specific string) string {
		return `{"id":"KYSA-202506-1068","modified":"2025-06-01T00:00:00Z","affected":[{"package":{"ecosystem":"Kylin:V10-SP3","name":"bash"},"ranges":[` + ranges + `],"ecosystem_specific":{"digestgate":{` + specific + `}}}]}`
	}
	const fixed = `{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.0-31.p24.ky10"}]}`
	const open = `{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}`
	for name, c := range map[string]struct {
		in   string
		want []string // statements
		gap  string
		err  string
	}{
		"plain":           {entry(fixed, ""), []string{"  [Kylin:V10-SP3] bash source fixed 5.0-31.p24.ky10 without-epoch"}, "", ""},
		"binary":          {entry(fixed, `"names":"binary","arches":["x86_64","aarch64"]`), []string{"  [Kylin:V10-SP3] bash x86_64 fixed 5.0-31.p24.ky10 without-epoch", "  [Kylin:V10-SP3] bash aarch64 fixed 5.0-31.p24.ky10 without-epoch"}, "", ""},
		"epochs":          {entry(fixed, `"epochs":true`), []string{"  [Kylin:V10-SP3] bash source fixed 5.0-31.p24.ky10"}, "", ""},
		"module":          {entry(fixed, `"module":"nodejs:20"`), []string{"  [Kylin:V10-SP3] nodejs:20 bash source fixed 5.0-31.p24.ky10 without-epoch"}, "", ""},
		"no_fix":          {entry(open, ""), []string{"  [Kylin:V10-SP3] bash source affected"}, "", ""},
		"will_not_fix":    {entry(open, `"status":"will_not_fix"`), []string{"  [Kylin:V10-SP3] bash source will not fix"}, "", ""},
		"again":           {entry(`{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1-1"},{"introduced":"2"},{"fixed":"3-1"}]}`, ""), []string{"  [Kylin:V10-SP3] bash source fixed 1-1 without-epoch", "  [Kylin:V10-SP3] bash source fixed 3-1 without-epoch"}, "", ""},
		"open_again":      {entry(`{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1-1"},{"introduced":"2"}]}`, ""), []string{"  [Kylin:V10-SP3] bash source affected"}, "", ""},
		"semver":          {entry(`{"type":"SEMVER","events":[]}`, ""), nil, "of type ECOSYSTEM", ""},
		"no_range":        {entry("", ""), nil, "it has no range of versions", ""},
		"version":         {entry(strings.Replace(fixed, "5.0-31.p24.ky10", "soon", 1), ""), nil, `the fixed version is "soon"`, ""},
		"names":           {entry(fixed, `"names":"both"`), nil, "", `affected[0].ecosystem_specific.digestgate.names: got "both"`},
		"status":          {entry(open, `"status":"fine"`), nil, "", `status: got "fine"`},
		"status_fixed":    {entry(fixed, `"status":"affected"`), nil, "", "together with a fixed version"},
		"name":            {strings.Replace(entry(fixed, ""), `"bash"`, `"../x"`, 1), nil, "", `affected[0].package.name: got "../x"`},
		"id":              {`{"id":"../x"}`, nil, "", `field id: got "../x"`},
		"json":            {`{`, nil, "", "parsing JSON"},
		"withdrawn_later": {strings.Replace(entry(fixed, ""), `"affected"`, `"withdrawn":"2026-06-01T00:00:01Z","affected"`, 1), []string{"  [Kylin:V10-SP3] bash source fixed 5.0-31.p24.ky10 without-epoch"}, "", ""},
		"fixed_first":     {entry(`{"type":"ECOSYSTEM","events":[{"fixed":"1-1"},{"introduced":"0"}]}`, ""), []string{"  [Kylin:V10-SP3] bash source fixed 1-1 without-epoch"}, "", ""},
		"withdrawn":       {strings.Replace(entry(fixed, ""), `"affected"`, `"withdrawn":"2025-07-01T00:00:00Z","affected"`, 1), nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := formattest.Collect(read, c.in, format.Limits{})
			if c.err != "" {
				if !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want ErrInvalid with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if lines := r.Lines(); len(lines) > 0 {
				got = lines[1:]
			}
			if diff := cmp.Diff(c.want, got); diff != "" || (c.gap != "") != (len(r.Gaps) == 1) || c.gap != "" && !strings.Contains(r.Gaps[0].Why, c.gap) {
				t.Errorf("gaps %+v; statements (-want +got):\n%s", r.Gaps, diff)
			}
		})
	}
}

func FuzzRead(f *testing.F) { formattest.Fuzz(f, read, openEuler, `{"id":"A-1","affected":[null]}`) }
