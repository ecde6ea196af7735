package gate_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func summaryInventory() *gate.Inventory {
	return &gate.Inventory{
		OS:       gate.OS{Family: "debian", Name: "12.5", EOL: true},
		Platform: gate.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
		Config:   gate.ImageConfig{User: "10001:10001"}, Size: 31 << 20, Created: time.Unix(1_790_000_000, 5).UTC(),
		Isolation: gate.Isolation{Level: "strict"}, DistributionFiles: true, PackageDatabase: true,
		Secrets: []gate.Secret{{Rule: "aws", Category: "AWS", Severity: "HIGH", Title: "a key", Path: "app/.env", StartLine: 1, EndLine: 2}},
		Risks: map[gate.Risk]gate.RiskStatus{
			gate.RiskSecrets: {Coverage: gate.Partial, Reason: "3 files"}, gate.RiskVulnerabilities: {Coverage: "??"}, gate.RiskMalware: {Coverage: gate.NotLookedAt},
			gate.RiskFiles: {Coverage: gate.Complete},
		},
	}
}

func summaryFindings() *gate.Findings {
	at := time.Unix(1_780_000_000, 0).UTC()
	return &gate.Findings{
		Generation: 4, Advisories: gate.Digest("sha256:" + strings.Repeat("a", 64)), UpdatedAt: at, Unassessable: "unknown release", EOL: true,
		Gaps: []gate.Gap{{Package: "p", Version: "1", Reason: "elsewhere"}},
		Vulnerabilities: []gate.Vulnerability{{
			ID: "CVE-1", Package: "p", PackageID: "p@1", Type: "debian", Path: "x", InstalledVersion: "1", FixedVersion: "2", Status: "fixed",
			Severity: gate.SeverityHigh, SeveritySource: "nvd", CVSS: 7.5, Title: "t", URL: "u", PublishedAt: &at, Layer: "l", PURL: "pkg:p", FirstSeen: at,
		}},
	}
}

// TestSummary: it says what it is of, fits into 1 kB at its longest, and comes back
// from JSON.
func TestSummary(t *testing.T) {
	id := "sha256:" + strings.Repeat("f", 64)
	inv, f := summaryInventory(), summaryFindings()
	long := strings.Repeat("u", 64)
	inv.OS.Family, inv.OS.Name, inv.Config.User = long[:20], long[:20], long
	var r gate.Record
	r.TakeInventory(id, inv)
	if r.Summarized() {
		t.Error("a record without findings is summarized")
	}
	f.InventoryID = id
	r.TakeFindings(id, f)
	if !r.Summarized() {
		t.Errorf("not summarized: %+v", r)
	}
	text, err := json.Marshal(r.Summary)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 1000 {
		t.Errorf("a summary of %d bytes: %s", len(text), text)
	}
	var back gate.Summary
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Summary, back); diff != "" {
		t.Errorf("from JSON (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]gate.Risk{gate.RiskVulnerabilities, gate.RiskSecrets}, r.Summary.Inventory.Incomplete); diff != "" {
		t.Errorf("incomplete (-want +got):\n%s", diff)
	}
	for name, change := range map[string]func(*gate.Record){
		"another_inventory": func(r *gate.Record) { r.InventoryID = "x" },
		"other_findings":    func(r *gate.Record) { r.FindingsID += ", matched again" },
		"an_older_version":  func(r *gate.Record) { r.Summary = gate.Summary{} },
		"no_values":         func(r *gate.Record) { *r = gate.Record{} },
		"a_newer_format":    func(r *gate.Record) { r.Summary.Findings.Format++ },
		"a_text_too_long": func(r *gate.Record) {
			inv := summaryInventory()
			inv.Config.User = long + "u"
			r.TakeInventory(id, inv)
		},
		"no_text": func(r *gate.Record) {
			inv := summaryInventory()
			inv.OS.Name = "\xff"
			r.TakeInventory(id, inv)
		},
	} {
		changed := r
		change(&changed)
		if changed.Summarized() {
			t.Errorf("%s: the summary is believed", name)
		}
	}
}

// TestSummaryOfAnEarlierRecord: it comes with the next findings, if they were matched
// from the inventory that the record names.
func TestSummaryOfAnEarlierRecord(t *testing.T) {
	for matched, want := range map[string]bool{"i": true, "another": false, "": false} {
		r := gate.Record{InventoryID: "i", FindingsID: "f"}
		f := summaryFindings()
		if matched != "" {
			f.Matched = summaryInventory().Summarize(matched)
		}
		if r.TakeFindings("g", f); r.Summarized() != want {
			t.Errorf("matched from %q: summarized is %t, want %t", matched, r.Summarized(), want)
		}
	}
}

// TestSummaryAlike: each field of what is hashed makes a difference, but for those
// that are left out.
func TestSummaryAlike(t *testing.T) {
	left := map[string]bool{"Layer": true, "FirstSeen": true, "Platforms": true}
	each := func(name string, v reflect.Value, sum func() string) {
		before := sum()
		for i := range v.NumField() {
			f, old := v.Field(i), reflect.ValueOf(v.Field(i).Interface())
			switch f.Interface().(type) {
			case time.Time:
				f.Set(reflect.ValueOf(time.Unix(1, 0)))
			case *time.Time:
				f.SetZero()
			case []string:
				f.Set(reflect.ValueOf([]string{"x"}))
			default:
				switch {
				case f.CanInt():
					f.SetInt(f.Int() + 1)
				case f.CanFloat():
					f.SetFloat(f.Float() + 0.1)
				default:
					f.SetString(f.String() + "x")
				}
			}
			field := v.Type().Field(i).Name
			if same := sum() == before; same != left[field] {
				t.Errorf("%s.%s: alike is %t, want %t", name, field, same, left[field])
			}
			f.Set(old)
		}
	}
	inv, f := summaryInventory(), summaryFindings()
	each("secret", reflect.ValueOf(&inv.Secrets[0]).Elem(), func() string { return inv.Summarize("i").SecretsAlike })
	each("gap", reflect.ValueOf(&f.Gaps[0]).Elem(), func() string { return f.Summarize("f").GapsAlike })
	each("vulnerability", reflect.ValueOf(&f.Vulnerabilities[0]).Elem(), func() string { return f.Summarize("f").Alike[4] })
	status := inv.Risks[gate.RiskSecrets]
	each("risk", reflect.ValueOf(&status).Elem(), func() string {
		inv.Risks[gate.RiskSecrets] = status
		return inv.Summarize("i").RisksAlike
	})
	before := f.Summarize("f").Alike
	f.Vulnerabilities[0].ID, f.Vulnerabilities[0].Package = "CVE-1p", ""
	if f.Summarize("f").Alike == before {
		t.Error("two fields run into each other")
	}
}

// TestSummaryAlikeBySeverity: what is less severe makes no difference to what is worse,
// and the order does.
func TestSummaryAlikeBySeverity(t *testing.T) {
	of := func(list ...gate.Vulnerability) [5]string {
		return (&gate.Findings{Vulnerabilities: list}).Summarize("f").Alike
	}
	v := func(id string, s gate.Severity) gate.Vulnerability { return gate.Vulnerability{ID: id, Severity: s} }
	critical, high, low, odd := v("1", gate.SeverityCritical), v("2", gate.SeverityHigh), v("3", gate.SeverityLow), v("4", "??")
	all := of(critical, high, low, odd)
	for i, want := range [][5]string{
		of(low, critical, high, odd), of(critical, high, v("5", gate.SeverityLow), odd), of(critical, high), of(critical),
	} {
		// All are alike at critical; the first three at high and medium; none at low.
		for rank := range all {
			if same := want[rank] == all[rank]; same != (rank < 1 || rank < 3 && i < 3) {
				t.Errorf("list %d at %s: alike is %t", i, gate.Severities()[rank], same)
			}
		}
	}
	if a, b := of(critical, high), of(high, critical); a[0] != b[0] || a[1] == b[1] {
		t.Errorf("in another order: got %v and %v", a, b)
	}
	if got := of(); got != [5]string{} {
		t.Errorf("of nothing: got %v", got)
	}
	if got := of(odd); got[3] != "" || got[4] == "" {
		t.Errorf("of an unknown word: got %v", got)
	}
}

// TestFindings_Hash: hashes that are kept are those of the findings, and carrying over when
// they were first seen changes none.
func TestFindings_Hash(t *testing.T) {
	findings := func() *gate.Findings {
		f := summaryFindings()
		f.Unassessable = ""
		return f
	}
	f, older := findings(), findings()
	want := findings().Summarize("f")
	f.Hash()
	f.CarryFirstSeen(older, time.Unix(9, 0))
	if diff := cmp.Diff(want, f.Summarize("f")); diff != "" {
		t.Errorf("(-hashed when asked +kept):\n%s", diff)
	}
	if !want.Same(f) {
		t.Error("findings are not those of their summary")
	}
	other := findings()
	other.Vulnerabilities[0].Severity = gate.SeverityUnknown
	other.Hash()
	if want.Same(other) {
		t.Error("a severity that changes goes unnoticed")
	}
}
