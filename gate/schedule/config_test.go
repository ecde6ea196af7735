package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

var known = gate.ScanKnown{Registries: []gate.Registry{{Name: "hub", Type: "harbor"}}, Risks: gate.SupportedRisks()}

func TestValidate(t *testing.T) {
	good := Config{Name: "nightly", Cron: "0 1 * * *", TimeZone: "Asia/Shanghai", Kind: gate.ScanMatch}
	with := func(change func(*Config)) Config {
		c := good
		change(&c)
		return c
	}
	every := func(change func(*Config)) Config {
		return with(func(c *Config) { c.Cron, c.Every = "", "3d"; change(c) })
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"name_missing":       {with(func(c *Config) { c.Name = "" }), "schedules[1].name: "},
		"name_with_slash":    {with(func(c *Config) { c.Name = "a/b" }), "schedules[1].name: "},
		"name_twice":         {with(func(*Config) {}), "schedules[1].name: \"nightly\" is used twice"},
		"cron":               {with(func(c *Config) { c.Cron = "0 0 1 * * *" }), "schedules[1].cron: "},
		"no_time":            {with(func(c *Config) { c.Cron = "" }), "schedules[1].cron: "},
		"cron_and_every":     {with(func(c *Config) { c.Every = "3d" }), "schedules[1].every: \"3d\" and cron \"0 1 * * *\" are both given; leave out one"},
		"at_with_cron":       {with(func(c *Config) { c.At = "01:00" }), "schedules[1].at: "},
		"from_with_cron":     {with(func(c *Config) { c.From = "2026-12-01" }), "schedules[1].from: "},
		"every_zero":         {every(func(c *Config) { c.Every = "0d" }), "schedules[1].every: \"0d\" is not a number of days from 1d to 366d"},
		"every_hours":        {every(func(c *Config) { c.Every = "6h" }), "@every 6h"},
		"every_plus":         {every(func(c *Config) { c.Every = "+3d" }), "schedules[1].every: "},
		"every_many":         {every(func(c *Config) { c.Every = "99999999999999999999d" }), "schedules[1].every: "},
		"every_unit":         {every(func(c *Config) { c.Every = "d" }), "schedules[1].every: "},
		"at_late":            {every(func(c *Config) { c.At = "24:00" }), "schedules[1].at: \"24:00\" is not a time of day; write HH:MM"},
		"from_no_day":        {every(func(c *Config) { c.From = "2026-02-30" }), "schedules[1].from: \"2026-02-30\" is not a day; write it as"},
		"from_year_0":        {every(func(c *Config) { c.From = "0001-01-01" }), "schedules[1].from: "},
		"zone":               {with(func(c *Config) { c.TimeZone = "Mars/Olympus" }), "schedules[1].timeZone: "},
		"zone_of_the_host":   {with(func(c *Config) { c.TimeZone = "Local" }), "schedules[1].timeZone: "},
		"zone_of_a_file":     {with(func(c *Config) { c.TimeZone = "../../etc/passwd" }), "schedules[1].timeZone: "},
		"kind":               {with(func(c *Config) { c.Kind = "" }), "schedules[1].kind: \"\" is not one of match, content"},
		"window":             {with(func(c *Config) { c.Window = "0-7" }), "schedules[1].window: \"0-7\" is not a window; write the beginning and the end as HH:MM-HH:MM"},
		"window_empty":       {with(func(c *Config) { c.Window = "07:00-07:00" }), "schedules[1].window: \"07:00-07:00\" begins when it ends; leave it out"},
		"window_late":        {with(func(c *Config) { c.Window = "23:00-24:01" }), "schedules[1].window: "},
		"registry_unknown":   {with(func(c *Config) { c.Scope.Registries = []string{"a"} }), "schedules[1].scope.registries[0]: \"a\" is not the name of a configured registry; configured are hub"},
		"type_unknown":       {with(func(c *Config) { c.Scope.RegistryTypes = []string{"acr"} }), "schedules[1].scope.registryTypes[0]: no configured registry is of type \"acr\"; configured are harbor"},
		"pattern":            {with(func(c *Config) { c.Scope.Repositories = []string{"ok", "[a"} }), "schedules[1].scope.repositories[1]: \"[a\" is not a pattern"},
		"pattern_empty":      {with(func(c *Config) { c.Scope.Tags = []string{""} }), "schedules[1].scope.tags[0]: "},
		"patterns_many":      {with(func(c *Config) { c.Scope.Tags = make([]string, 51) }), "schedules[1].scope.tags: has 51 entries, more than 50"},
		"patterns_long":      {with(func(c *Config) { c.Scope.Tags = strings.Fields(strings.Repeat(strings.Repeat("a", 200)+" ", 11)) }), "bytes together, more than 2048"},
		"scope_age":          {with(func(c *Config) { c.Scope.PushedWithin = -time.Hour }), "schedules[1].scope.pushedWithin: "},
		"scope_verdict":      {with(func(c *Config) { c.Scope.Verdict = "denied" }), "schedules[1].scope.verdict: \"denied\" is not one of allow, warn, deny, none"},
		"rate":               {with(func(c *Config) { c.Rate = -1 }), "schedules[1].rate: -1 is not a number of images per hour"},
		"concurrency":        {with(func(c *Config) { c.Concurrency = 65 }), "schedules[1].concurrency: 65 is not a number"},
		"risk_unknown":       {with(func(c *Config) { c.Risks = []gate.Risk{"virus"} }), "schedules[1].risks[0]: \"virus\" is not a risk; write one of"},
		"risk_not_built":     {with(func(c *Config) { c.Risks = []gate.Risk{gate.RiskMalware} }), "schedules[1].risks[0]: \"malware\" is not looked at here"},
		"risk_not_by_match":  {with(func(c *Config) { c.Risks = []gate.Risk{gate.RiskSecrets} }), "does not look at secrets; use the kind content"},
		"risk_part_of_image": {with(func(c *Config) { c.Kind, c.Risks = gate.ScanContent, []gate.Risk{gate.RiskVulnerabilities} }), "leave risks out, or use the kind match"},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "name_twice" && c.config.Name == good.Name {
				c.config.Name = "other"
			}
			err := Validate([]Config{good, c.config}, known)
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, gate.ErrInvalid) {
				t.Fatalf("Validate: got %v, want an ErrInvalid with %q", err, c.want)
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != 1 {
				t.Errorf("Validate: got %d lines, want 1:\n%v", lines, err)
			}
		})
	}
	t.Run("all_at_once", func(t *testing.T) {
		err := Validate([]Config{{}, {}}, known)
		for _, key := range []string{"[0].name", "[0].cron", "[0].kind", "[1].name", "[1].cron", "[1].kind"} {
			if err == nil || !strings.Contains(err.Error(), "schedules"+key+": ") {
				t.Errorf("Validate: %v does not mention %s", err, key)
			}
		}
	})
	if err := Validate(make([]Config, 101), known); err == nil || !strings.Contains(err.Error(), "schedules: there are 101, more than 100") {
		t.Errorf("Validate of 101 schedules: %v", err)
	}
	for name, c := range map[string]Config{
		"weekly":      with(func(c *Config) { c.Name, c.TimeZone, c.Kind, c.Cron = "content", "", gate.ScanContent, "@weekly" }),
		"risks":       with(func(c *Config) { c.Risks = []gate.Risk{gate.RiskVulnerabilities} }),
		"all_risks":   with(func(c *Config) { c.Kind, c.Risks = gate.ScanContent, gate.SupportedRisks() }),
		"every":       every(func(c *Config) { c.At, c.From = "23:59", "2026-11-30" }),
		"to_midnight": with(func(c *Config) { c.Window, c.Rate, c.Concurrency, c.Enabled = "18:00-24:00", 1000, 64, false }),
		"scope": with(func(c *Config) {
			c.Scope = gate.ScanScope{Registries: []string{"hub"}, RegistryTypes: []string{"harbor"}, Repositories: []string{"library/**"}, Tags: []string{"v*"}, PushedWithin: 360 * time.Hour, Running: true, Verdict: gate.OutcomeDeny, Recommended: true}
		}),
	} {
		c.Name = "good"
		if err := Validate([]Config{c}, known); err != nil {
			t.Errorf("Validate of %s: %v", name, err)
		}
	}
	if err := Validate(Default(), known); err != nil {
		t.Errorf("Validate(Default()): %v", err)
	}
}

// FuzzConfig: no value of the keys makes a panic or an endless walk, and what is accepted
// has a next tick.
func FuzzConfig(f *testing.F) {
	f.Add("0 1 * * *", "", "", "", "UTC", "00:00-07:00", "a/**")
	f.Add("", "3d", "02:30", "2026-03-08", "America/New_York", "22:00-06:00", "[a")
	f.Add("@every 6h", "", "", "", "../x", "24:00-24:00", "{a,b}")
	f.Add("0 0 30 2 *", "366d", "24:00", "9999-12-31", "Local", "::", "\x00")
	f.Fuzz(func(t *testing.T, cron, every, at, from, zone, window, pattern string) {
		c := Config{Name: "x", Cron: cron, Every: every, At: at, From: from, TimeZone: zone, Window: window, Kind: gate.ScanMatch, Scope: gate.ScanScope{Repositories: []string{pattern}}}
		if len(c.Problems(known)) > 0 {
			return
		}
		c.SetDefaults()
		e := entry{Config: c}.checked()
		if e.problem != "" {
			t.Fatalf("accepted and then refused: %s", e.problem)
		}
		now := time.Date(2026, 11, 7, 12, 0, 0, 0, time.UTC)
		for _, at := range e.next(state{Tick: now, Anchor: e.firstDay(e.zone, now)}, now) {
			if !at.After(now.Add(-time.Second)) {
				t.Fatalf("next run of %+v is %s", c, at)
			}
		}
	})
}
