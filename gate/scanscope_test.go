package gate_test

import (
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// TestScanChooser: what is given has to hold all together, and at one place.
func TestScanChooser(t *testing.T) {
	now := time.Date(2026, 11, 7, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	index := gate.Digest("sha256:index")
	image := gate.ScanCandidate{
		Digest: "sha256:image", Scanned: true, Decision: gate.OutcomeDeny, SeenAt: now.Add(-10 * day), Parents: []gate.Digest{index},
		Places: []gate.Place{
			{Location: gate.Location{Registry: "hub", Repository: "library/web"}, Tags: []string{"v1.2"}},
			{Location: gate.Location{Registry: "cloud", Repository: "team/web"}, Tags: []string{"latest"}},
			{Location: gate.Location{Registry: "old", Repository: "library/web"}, Tags: []string{"v1.2"}, Gone: true},
		},
	}
	with := func(change func(*gate.ScanCandidate)) gate.ScanCandidate {
		i := image
		change(&i)
		return i
	}
	table := []gate.Registry{{Name: "hub", Type: "harbor"}, {Name: "cloud", Type: "acr"}, {Name: "old", Type: "harbor"}}
	for name, c := range map[string]struct {
		scope   gate.ScanScope
		image   gate.ScanCandidate
		running []gate.Digest
		want    bool
	}{
		"all":                       {gate.ScanScope{}, image, nil, true},
		"nowhere_and_all":           {gate.ScanScope{}, with(func(i *gate.ScanCandidate) { i.Places = nil }), nil, true},
		"registry":                  {gate.ScanScope{Registries: []string{"hub"}}, image, nil, true},
		"registry_that_is_gone":     {gate.ScanScope{Registries: []string{"old"}}, image, nil, false},
		"registry_not_configured":   {gate.ScanScope{Registries: []string{"elsewhere"}}, image, nil, false},
		"type":                      {gate.ScanScope{RegistryTypes: []string{"acr"}}, image, nil, true},
		"type_of_none":              {gate.ScanScope{RegistryTypes: []string{"swr"}}, image, nil, false},
		"type_and_other_registry":   {gate.ScanScope{RegistryTypes: []string{"acr"}, Registries: []string{"hub"}}, image, nil, false},
		"repository":                {gate.ScanScope{Repositories: []string{"library/**"}}, image, nil, true},
		"repository_whole_path":     {gate.ScanScope{Repositories: []string{"library"}}, image, nil, false},
		"tag":                       {gate.ScanScope{Tags: []string{"v1.*"}}, image, nil, true},
		"tag_of_another_repository": {gate.ScanScope{Tags: []string{"latest"}, Repositories: []string{"library/**"}}, image, nil, false},
		"tag_of_another_registry":   {gate.ScanScope{Tags: []string{"v1.*"}, Registries: []string{"cloud"}}, image, nil, false},
		"one_of_several_patterns":   {gate.ScanScope{Tags: []string{"x", "v?.2"}}, image, nil, true},
		"pushed_within":             {gate.ScanScope{PushedWithin: 10 * day}, image, nil, true},
		"pushed_before":             {gate.ScanScope{PushedWithin: 10*day - time.Second}, image, nil, false},
		"running":                   {gate.ScanScope{Running: true}, image, []gate.Digest{image.Digest}, true},
		"running_by_its_index":      {gate.ScanScope{Running: true}, image, []gate.Digest{index}, true},
		"not_running":               {gate.ScanScope{Running: true}, image, []gate.Digest{"sha256:other"}, false},
		"verdict":                   {gate.ScanScope{Verdict: gate.OutcomeDeny}, image, nil, true},
		"other_verdict":             {gate.ScanScope{Verdict: gate.OutcomeAllow}, image, nil, false},
		"no_verdict":                {gate.ScanScope{Verdict: gate.OutcomeNone}, with(func(i *gate.ScanCandidate) { i.Decision = "" }), nil, true},
		"old_and_scanned":           {gate.ScanScope{Recommended: true}, image, nil, false},
		"recommended_running":       {gate.ScanScope{Recommended: true}, image, []gate.Digest{index}, true},
		"recommended_new":           {gate.ScanScope{Recommended: true}, with(func(i *gate.ScanCandidate) { i.SeenAt = now.Add(-7 * day) }), nil, true},
		"recommended_never_scanned": {gate.ScanScope{Recommended: true}, with(func(i *gate.ScanCandidate) { i.Scanned = false }), nil, true},
		"all_together":              {gate.ScanScope{Running: true, Verdict: gate.OutcomeDeny, Registries: []string{"hub"}, Tags: []string{"v*"}}, image, []gate.Digest{index}, true},
	} {
		t.Run(name, func(t *testing.T) {
			chooser := gate.ScanChooser{Scope: c.scope, Now: now, Running: map[gate.Digest]bool{}}
			chooser.Registries, chooser.All = c.scope.Within(table)
			for _, d := range c.running {
				chooser.Running[d] = true
			}
			if got := chooser.Takes(c.image); got != c.want {
				t.Errorf("Takes: got %t, want %t", got, c.want)
			}
		})
	}
}

// TestExpectedEnd: what was seen tells how long the rest takes, in windows only and not
// faster than the rate.
func TestExpectedEnd(t *testing.T) {
	now := time.Date(2026, 11, 7, 6, 0, 0, 0, time.UTC)
	task := gate.ScanTask{State: gate.ScanRunning, Counted: true, Total: 100, Done: 50, Working: 50 * time.Second}
	for name, c := range map[string]struct {
		change func(*gate.ScanTask)
		want   time.Time
	}{
		"as_until_now":  {func(*gate.ScanTask) {}, now.Add(50 * time.Second)},
		"by_the_rate":   {func(t *gate.ScanTask) { t.Rate = 60 }, now.Add(50 * time.Minute)},
		"in_the_window": {func(t *gate.ScanTask) { t.Rate, t.Window = 25, "00:00-07:00" }, time.Date(2026, 11, 8, 1, 0, 0, 0, time.UTC)},
		"not_counted":   {func(t *gate.ScanTask) { t.Counted = false }, time.Time{}},
		"nothing_seen":  {func(t *gate.ScanTask) { t.Done = 0 }, time.Time{}},
		"paused":        {func(t *gate.ScanTask) { t.State = gate.ScanPaused }, time.Time{}},
		"ended":         {func(t *gate.ScanTask) { t.State = gate.ScanDone }, time.Time{}},
		"for_ever":      {func(t *gate.ScanTask) { t.Working, t.Total = 1<<62, 1<<40 }, time.Time{}},
	} {
		one := task
		c.change(&one)
		if got := one.ExpectedEnd(now); !got.Equal(c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
