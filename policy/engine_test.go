package policy

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

var testNow = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func testInventory() *gate.Inventory {
	return &gate.Inventory{
		Format: 1, AnalyzerSet: "set-1", AnalyzedAt: testNow.Add(-2 * time.Hour),
		Isolation: gate.Isolation{Level: "strict"},
		Platform:  gate.Platform{OS: "linux", Architecture: "amd64"},
		Created:   testNow.Add(-48 * time.Hour), Size: 1000,
		Config: gate.ImageConfig{User: "10001", Labels: map[string]string{"team": "a"}},
		OS:     gate.OS{Family: "debian", Name: "12.5"}, DistributionFiles: true, PackageDatabase: true,
		Packages: []gate.Package{{Name: "libssl3", Version: "3.0.11", Release: "1"}},
		Risks: map[gate.Risk]gate.RiskStatus{
			gate.RiskVulnerabilities: {Coverage: gate.Complete},
			gate.RiskSecrets:         {Coverage: gate.Complete},
		},
	}
}

func testFindings(vulns ...gate.Vulnerability) *gate.Findings {
	return &gate.Findings{Generation: 1, UpdatedAt: testNow.Add(-time.Hour), Matcher: "m", MatchedAt: testNow, Vulnerabilities: vulns}
}

func critical(id string) gate.Vulnerability {
	return gate.Vulnerability{ID: id, Package: "libssl3", InstalledVersion: "3.0.11-1", FixedVersion: "3.0.13-1", Severity: gate.SeverityCritical, CVSS: 9.8, FirstSeen: testNow}
}

func question(inv *gate.Inventory, f *gate.Findings) gate.Question {
	return gate.Question{
		Event: gate.EventAdmission, Now: testNow, Digest: "sha256:aa",
		Location: gate.Location{Registry: "harbor", Repository: "library/web"}, Host: "harbor.example.com",
		Record: gate.Record{Version: 1, InventoryID: "i", FindingsID: "f", Generation: 1}, State: gate.StateScanned,
		Advisories: gate.Generation{Number: 1, UpdatedAt: testNow.Add(-time.Hour)},
		Load:       func(context.Context) (*gate.Inventory, *gate.Findings, error) { return inv, f, nil },
	}
}

func newEngine(t testing.TB, o Options) *Active {
	t.Helper()
	o.Log = quiet()
	if o.Budget == 0 {
		o.Budget = time.Minute // the tests share the machine and run with -race
	}
	if o.Risks == nil {
		o.Risks = gate.Risks()
	}
	e, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStarterDecides(t *testing.T) {
	e := newEngine(t, Options{Config: Default()})
	d := e.Evaluate(context.Background(), question(testInventory(), testFindings()))
	if d.Outcome != gate.OutcomeAllow || len(d.Reasons) != 0 {
		t.Errorf("clean image: got %+v, want allow", d)
	}
	q := question(testInventory(), testFindings(critical("CVE-1")))
	q.Record.FindingsID = "f2"
	d = e.Evaluate(context.Background(), q)
	if d.Outcome != gate.OutcomeDeny || d.Code != gate.CodePolicy {
		t.Errorf("critical: got %+v, want deny", d)
	}
	t.Log(d.Reasons)
}
