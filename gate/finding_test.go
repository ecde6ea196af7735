package gate_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func TestCarryFirstSeen(t *testing.T) {
	then, now := time.Unix(1_790_000_000, 0), time.Unix(1_790_100_000, 0)
	base := gate.Vulnerability{ID: "CVE-1", Package: "curl", PackageID: "curl@1", Path: "/usr"}
	older := &gate.Findings{Vulnerabilities: []gate.Vulnerability{base}}
	older.Vulnerabilities[0].FirstSeen = then
	for name, c := range map[string]struct {
		change func(*gate.Vulnerability)
		older  *gate.Findings
		want   time.Time
	}{
		"the_same":           {func(*gate.Vulnerability) {}, older, then},
		"severity_changed":   {func(v *gate.Vulnerability) { v.Severity, v.FixedVersion, v.Title = "HIGH", "2", "x" }, older, then},
		"other_id":           {func(v *gate.Vulnerability) { v.ID = "CVE-2" }, older, now},
		"other_package":      {func(v *gate.Vulnerability) { v.Package = "libcurl" }, older, now},
		"other_package_id":   {func(v *gate.Vulnerability) { v.PackageID = "curl@2" }, older, now},
		"other_path":         {func(v *gate.Vulnerability) { v.Path = "/opt" }, older, now},
		"fields_run_into":    {func(v *gate.Vulnerability) { v.ID, v.Package = "CVE-1c", "url" }, older, now},
		"claimed_by_the_new": {func(v *gate.Vulnerability) { v.ID, v.FirstSeen = "CVE-2", then }, older, now},
		"no_older":           {func(*gate.Vulnerability) {}, nil, now},
		"older_without_time": {func(*gate.Vulnerability) {}, &gate.Findings{Vulnerabilities: []gate.Vulnerability{base}}, now},
	} {
		t.Run(name, func(t *testing.T) {
			v := base
			c.change(&v)
			f := &gate.Findings{Vulnerabilities: []gate.Vulnerability{v}}
			f.CarryFirstSeen(c.older, now)
			if got := f.Vulnerabilities[0].FirstSeen; !got.Equal(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestCount(t *testing.T) {
	f := &gate.Findings{}
	for i, s := range append(gate.Severities(), "", "critical") {
		for range i + 1 {
			f.Vulnerabilities = append(f.Vulnerabilities, gate.Vulnerability{Severity: s})
		}
	}
	want := gate.Counts{Critical: 1, High: 2, Medium: 3, Low: 4, Unknown: 5 + 6 + 7}
	if got := f.Count(); got != want {
		t.Errorf("Count: got %+v, want %+v", got, want)
	}
	if got := want.Plus(gate.Counts{Critical: 10, High: 20, Medium: 30, Low: 40, Unknown: 50}); got != (gate.Counts{Critical: 11, High: 22, Medium: 33, Low: 44, Unknown: 68}) {
		t.Errorf("Plus: got %+v", got)
	}
}
