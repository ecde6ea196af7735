package advisory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/advisory"
)

// TestTwoLimits: what of the two limits of age is refused, and what each says of data.
func TestTwoLimits(t *testing.T) {
	const h = time.Hour
	for name, c := range map[string]struct {
		stale       advisory.StaleAction
		max, refuse time.Duration
		invalid     string
		at3, at11   string // of data of 3 and 11 days
	}{
		"default":        {advisory.StaleWarn, 48 * h, 0, "", "decisions have a warning", "decisions have a warning"},
		"warn_refuse":    {advisory.StaleWarn, 48 * h, 240 * h, "", "decisions have a warning", "advisories.refuseAge (240h0m0s): images are refused"},
		"never_warned":   {advisory.StaleAllow, 48 * h, 240 * h, "", "", "images are refused"},
		"deny":           {advisory.StaleDeny, 48 * h, 0, "", "advisories.maxAge (48h0m0s): images are refused", "images are refused"},
		"no_limit":       {advisory.StaleWarn, 0, 0, "", "", ""},
		"only_refuse":    {advisory.StaleWarn, 0, 240 * h, "", "", "images are refused"},
		"deny_twice":     {advisory.StaleDeny, 48 * h, 240 * h, "with stale: deny images are refused from maxAge (48h0m0s) on already", "", ""},
		"shorter":        {advisory.StaleWarn, 48 * h, 24 * h, "less than maxAge (48h0m0s)", "", ""},
		"negative":       {advisory.StaleWarn, 48 * h, -h, "want 0 (never) or more", "", ""},
		"allow_shortest": {advisory.StaleAllow, 48 * h, 24 * h, "", "images are refused", "images are refused"},
	} {
		t.Run(name, func(t *testing.T) {
			config := advisory.Default()
			config.Stale, config.MaxAge, config.RefuseAge = c.stale, c.max, c.refuse
			err := config.Validate()
			if c.invalid != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "refuseAge: ") || !strings.Contains(err.Error(), c.invalid) {
					t.Errorf("got %v, want refuseAge: … %s", err, c.invalid)
				}
				return
			}
			if err != nil {
				t.Error(err)
			}
			for age, want := range map[time.Duration]string{72 * h: c.at3, 264 * h: c.at11, 47*h - 24*h: ""} {
				got := config.TooOld(clock.Add(-age), clock)
				if name == "allow_shortest" && age < 48*h {
					continue
				}
				if (got == "") != (want == "") || !strings.Contains(got, want) {
					t.Errorf("data of %s: got %q, want %q", age, got, want)
				}
			}
			if got := config.TooOld(gate.UnknownTime(), clock); (got == "") != (c.at11 == "") {
				t.Errorf("data of an unknown time: got %q", got)
			}
		})
	}
}
