package gate_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/lookup"
	"github.com/digestgate/digestgate/policy"
)

// TestWhatIsLetThroughIsSaid: what policy.allowIncomplete lets through is a
// warning at admission and in the standing verdict, and what it does not name
// is refused with the entry that would help.
func TestWhatIsLetThroughIsSaid(t *testing.T) {
	for entry, warned := range map[string]bool{"vulnerabilities:opt/vendor/**": true, "vulnerabilities:opt/other/**": false} {
		t.Run(strings.NewReplacer("/", "_", ":", "_", "*", "").Replace(entry), func(t *testing.T) {
			s := newSite(t, month(0))
			engine, err := policy.New(t.Context(), policy.Options{
				Config: policy.Config{AllowIncomplete: []string{entry}}, Risks: gate.SupportedRisks(), Log: slog.New(slog.DiscardHandler), Now: s.clock.Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			s.standing.Evaluator = engine
			s.analyzer.gaps = []gate.AnalyzerError{{
				Risk: gate.RiskVulnerabilities, Kind: gate.GapJarWithoutCoordinates, Analyzer: "jar", Path: "opt/vendor/a.jar", Message: "it does not name itself",
			}}
			d := s.push("team/app", "v1", 1)
			s.event("team/app", "v1", d)
			s.work()

			a := s.ask(s.lookup(lookup.Options{}), s.at("team/app", "@"+string(d)))
			place, _ := s.entry(d).Record.At(gate.Location{Registry: hub, Repository: "team/app"})
			at := place.Verdict
			if !warned {
				const want = `add "vulnerabilities/jar-without-coordinates" (or, for this file only, "vulnerabilities:opt/vendor/a.jar")`
				if a.Permits() || a.Code != gate.CodeScanFailed || !strings.Contains(english(a), want) || at.Code != gate.CodeScanFailed {
					t.Errorf("got %+v, standing %+v; want SCAN_FAILED with %q", a, at, want)
				}
				return
			}
			want := "policy.allowIncomplete names " + entry + ", which lets this through: "
			if !a.Permits() || len(a.Said()) != 1 || !strings.Contains(a.Said()[0], want) {
				t.Errorf("at admission: got %+v, want a warning with %q", a, want)
			}
			if at.Outcome != gate.OutcomeWarn || len(at.Reasons) != 1 || !strings.Contains(at.Reasons[0].Msg, want) {
				t.Errorf("standing verdict: got %+v, want a warning with %q", at, want)
			}
		})
	}
}
