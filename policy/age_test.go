package policy

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/digestgate/digestgate/gate"
)

// TestAges: a time in the future has no age. That of another machine's clock
// may be a little ahead; what an image claims is not given that.
func TestAges(t *testing.T) {
	type ages struct{ image, scan, advisories float64 }
	for name, c := range map[string]struct {
		at   time.Time
		want ages
	}{
		"a_day_ago":       {testNow.Add(-24 * time.Hour), ages{24, 24, 24}},
		"now":             {testNow, ages{0, 0, 0}},
		"a_clock_fast":    {testNow.Add(time.Second), ages{-1, 0, 0}},
		"minutes":         {testNow.Add(gate.ClockSkew + time.Second), ages{-1, -1, -1}},
		"years":           {testNow.AddDate(20, 0, 0), ages{-1, -1, -1}},
		"nearly_an_hour":  {testNow.Add(time.Nanosecond - time.Hour), ages{0, 0, 0}},
		"nearly_two_days": {testNow.Add(time.Nanosecond - 48*time.Hour), ages{47, 47, 47}},
		"the_first_year":  {time.Unix(-62_135_596_799, 0), ages{17_758_113, 17_758_113, -1}},
		"none":            {time.Time{}, ages{-1, -1, -1}},
	} {
		inv, f := testInventory(), testFindings()
		inv.Created, inv.AnalyzedAt = c.at, c.at
		q := question(inv, f)
		q.Advisories = gate.Generation{Number: 1, UpdatedAt: c.at}
		if got := agesOf(t, wholeInput(&q, inv, f)); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	inv, f := testInventory(), testFindings()
	q := question(inv, f)
	q.Advisories = gate.Generation{Number: 1, UpdatedAt: gate.UnknownTime()}
	if got := agesOf(t, wholeInput(&q, inv, f)).advisories; got != -1 {
		t.Errorf("advisories of unknown time: got age %v, want -1", got)
	}
}

func agesOf(t *testing.T, input ast.Value) (a struct{ image, scan, advisories float64 }) {
	t.Helper()
	value, err := ast.JSON(input)
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		Image struct{ AgeHours float64 }
		Scan  struct {
			AgeHours   float64
			Advisories struct{ AgeHours float64 }
		}
	}
	raw, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(raw, &in)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.image, a.scan, a.advisories = in.Image.AgeHours, in.Scan.AgeHours, in.Scan.Advisories.AgeHours
	return a
}

// TestSampleCoverage: the sample says of each risk what an inventory of this
// version says.
func TestSampleCoverage(t *testing.T) {
	var in struct {
		Scan struct{ Risks map[gate.Risk]gate.RiskStatus }
	}
	if err := json.Unmarshal(SampleInput(), &in); err != nil {
		t.Fatal(err)
	}
	want := map[gate.Risk]gate.RiskStatus{}
	for _, r := range gate.Risks() {
		want[r] = gate.RiskStatus{Coverage: gate.NotLookedAt, Reason: gate.ReasonNotSupported}
	}
	for _, r := range gate.SupportedRisks() {
		want[r] = gate.RiskStatus{Coverage: gate.Complete}
	}
	if diff := cmp.Diff(want, in.Scan.Risks); diff != "" {
		t.Errorf("risks (-want +got):\n%s", diff)
	}
}
