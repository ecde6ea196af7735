package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func TestValidate(t *testing.T) {
	good := Config{Name: "nightly", Cron: "0 1 * * *", TimeZone: "Asia/Shanghai", Kind: KindMatch}
	with := func(change func(*Config)) Config {
		c := good
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"name_missing":     {with(func(c *Config) { c.Name = "" }), "schedules[1].name: "},
		"name_with_slash":  {with(func(c *Config) { c.Name = "a/b" }), "schedules[1].name: "},
		"name_twice":       {with(func(*Config) {}), "schedules[1].name: \"nightly\" is used twice"},
		"cron":             {with(func(c *Config) { c.Cron = "0 0 1 * * *" }), "schedules[1].cron: "},
		"zone":             {with(func(c *Config) { c.TimeZone = "Mars/Olympus" }), "schedules[1].timeZone: "},
		"zone_of_the_host": {with(func(c *Config) { c.TimeZone = "Local" }), "schedules[1].timeZone: "},
		"kind":             {with(func(c *Config) { c.Kind = "" }), "schedules[1].kind: \"\" is not one of match, content"},
		"window":           {with(func(c *Config) { c.Window = "00:00-07:00" }), "schedules[1].window: not supported yet"},
		"scope_registries": {with(func(c *Config) { c.Scope.Registries = []string{"a"} }), "schedules[1].scope: not supported yet"},
		"scope_age":        {with(func(c *Config) { c.Scope.PushedWithin = time.Hour }), "schedules[1].scope: not supported yet"},
		"scope_running":    {with(func(c *Config) { c.Scope.Running = true }), "schedules[1].scope: not supported yet"},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "name_twice" && c.config.Name == good.Name {
				c.config.Name = "other"
			}
			err := Validate([]Config{good, c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, gate.ErrInvalid) {
				t.Fatalf("Validate: got %v, want an ErrInvalid with %q", err, c.want)
			}
			if lines := strings.Count(err.Error(), "\n") + 1; lines != 1 {
				t.Errorf("Validate: got %d lines, want 1:\n%v", lines, err)
			}
			if _, err := New([]Config{good, c.config}, nil, nil, nil); err == nil {
				t.Error("New takes what Validate refuses")
			}
		})
	}
	t.Run("all_at_once", func(t *testing.T) {
		err := Validate([]Config{{}, {}})
		for _, key := range []string{"[0].name", "[0].cron", "[0].kind", "[1].name", "[1].cron", "[1].kind"} {
			if err == nil || !strings.Contains(err.Error(), "schedules"+key+": ") {
				t.Errorf("Validate: %v does not mention %s", err, key)
			}
		}
	})
	if err := Validate([]Config{good, with(func(c *Config) { c.Name, c.TimeZone, c.Kind, c.Cron = "content", "", KindContent, "@weekly" })}); err != nil {
		t.Errorf("Validate of a good list: %v", err)
	}
	if err := Validate(Default()); err != nil {
		t.Errorf("Validate(Default()): %v", err)
	}
}
