package packed_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store/packed"
)

// wholeChange has a value in everything that is kept.
func wholeChange() *gate.StandingChange {
	v := gate.Vulnerability{
		ID: "CVE-2026-1", Package: "openssl", PackageID: "openssl@3", Type: "debian", Path: "lib", InstalledVersion: "3", FixedVersion: "4",
		Severity: gate.SeverityHigh, FirstSeen: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
	}
	var hash [32]byte
	hash[0], hash[31] = 0xff, 7
	return &gate.StandingChange{
		Event: gate.EventRescan, Generation: 12,
		Findings: &gate.FindingsChange{
			Before: gate.FindingsRef{Generation: 11, Counts: gate.Counts{Low: 1}, Unassessable: "no data"},
			After:  gate.FindingsRef{Generation: 12, Advisories: gate.DigestOf(hash), Counts: gate.Counts{Critical: 1, High: 2, Medium: 3, Low: 4, Unknown: 5}},
			First:  true, Lost: true, Incomplete: true, Analysed: true,
			Found:    gate.ChangedFindings{List: []gate.Vulnerability{v, {ID: "CVE-2026-2"}}, Total: gate.Counts{High: 200}},
			Fixed:    gate.ChangedFindings{List: []gate.Vulnerability{v}, Total: gate.Counts{High: 1}},
			Severity: []gate.SeverityChange{{Vulnerability: v, Before: gate.SeverityLow}}, MoreSeverity: 3, Unseen: gate.Counts{Medium: 9}, Missing: []gate.Vulnerability{v},
		},
		Verdicts: []gate.VerdictChange{{
			Location: gate.Location{Registry: "hub", Repository: "app"},
			Before:   gate.VerdictRef{Outcome: gate.OutcomeAllow},
			After:    gate.VerdictRef{Outcome: gate.OutcomeDeny, Code: "POLICY_DENIED", Rules: []string{"a", "b"}, PolicyRevision: "r"},
		}},
		MoreVerdicts: 4,
	}
}

// TestChange: what is kept of a change comes back, and nothing else is taken for one.
func TestChange(t *testing.T) {
	for name, want := range map[string]*gate.StandingChange{"whole": wholeChange(), "empty": {}, "verdicts": {Verdicts: wholeChange().Verdicts}} {
		data, err := packed.AppendChange(nil, want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := packed.Change(data)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		for n := range data {
			if got, err := packed.Change(data[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes were read as %+v", name, n, len(data), got)
			}
		}
		if _, err := packed.Findings(data); !errors.Is(err, packed.ErrDamaged) {
			t.Errorf("%s: read as findings: %v", name, err)
		}
		data[0] = 99
		if _, err := packed.Change(data); !errors.Is(err, packed.ErrNewer) {
			t.Errorf("%s: of a later form: %v", name, err)
		}
	}
}

// FuzzChange: no bytes of a history make a reader fail otherwise than by an error, or
// cost more than their length allows; what is read is written again the same.
func FuzzChange(f *testing.F) {
	for _, c := range []*gate.StandingChange{wholeChange(), {}} {
		data, err := packed.AppendChange(nil, c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{2, 'h', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := packed.Change(data)
		if err != nil {
			return
		}
		if c.Findings != nil && len(c.Findings.Found.List) > gate.MaxChanged || len(c.Verdicts) > gate.MaxChanged {
			t.Fatal("a list is longer than any that is written")
		}
		again, err := packed.AppendChange(nil, c)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		got, err := packed.Change(again)
		if diff := cmp.Diff(c, got); err != nil || diff != "" {
			t.Fatalf("%v (-read +written and read):\n%s", err, diff)
		}
	})
}
