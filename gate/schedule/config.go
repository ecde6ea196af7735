package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Kind is what a rescan repeats.
type Kind string

// The kinds of rescan.
const (
	// KindMatch matches the stored inventories against the present advisories
	// and evaluates again: no pull, no charge.
	KindMatch Kind = "match"
	// KindContent analyses again what was analysed with another set of
	// analysers: pulls, and is free.
	KindContent Kind = "content"
)

// Config is one entry of the configuration's list "schedules".
type Config struct {
	// Name identifies the schedule in logs, the API and the store: lower-case
	// letters, digits and hyphens, at most 63.
	Name string `yaml:"name"`
	// Cron has five fields (minute, hour, day of the month, month, day of the
	// week) or is a descriptor (@hourly, @daily, @weekly, @monthly, @yearly,
	// @every 6h). When both day fields are restricted, either suffices, as in
	// crontab(5).
	Cron string `yaml:"cron"`
	// TimeZone is the IANA name of the zone that Cron is read in; "" is UTC.
	TimeZone string `yaml:"timeZone"`
	// Window and Scope are accepted as keys and refused with a value: they are
	// not supported yet.
	Window string `yaml:"window"`
	Scope  Scope  `yaml:"scope"`
	Kind   Kind   `yaml:"kind"`
}

// Scope will limit a rescan to some images.
type Scope struct {
	Registries   []string      `yaml:"registries"`
	Repositories []string      `yaml:"repositories"`
	Tags         []string      `yaml:"tags"`
	PushedWithin time.Duration `yaml:"pushedWithin"`
	Running      bool          `yaml:"running"`
}

func (s Scope) zero() bool {
	return len(s.Registries)+len(s.Repositories)+len(s.Tags) == 0 && s.PushedWithin == 0 && !s.Running
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Default is the list without any schedule: findings follow the advisories
// without one, and the present analysers are used for every new digest.
func Default() []Config { return nil }

// Validate reports every problem of the list with its key.
func Validate(list []Config) error {
	var problems []error
	seen := map[string]bool{}
	for i, c := range list {
		bad := func(key, format string, args ...any) {
			problems = append(problems, fmt.Errorf("schedules[%d].%s: %w: %w", i, key, fmt.Errorf(format, args...), gate.ErrInvalid))
		}
		switch {
		case !namePattern.MatchString(c.Name):
			bad("name", "%s is not a name; use lower-case letters, digits and hyphens, at most 63", gate.Quoted(c.Name, 80))
		case seen[c.Name]:
			bad("name", "%q is used twice", c.Name)
		}
		seen[c.Name] = true
		if zone, err := c.zone(); err != nil {
			bad("timeZone", "%w", err)
		} else if _, err := parseCron(c.Cron, zone); err != nil {
			bad("cron", "%w", err)
		}
		if c.Kind != KindMatch && c.Kind != KindContent {
			bad("kind", "%s is not one of match, content", gate.Quoted(string(c.Kind), 40))
		}
		if c.Window != "" {
			bad("window", "not supported yet; remove it, and let cron start the rescan where the window would begin")
		}
		if !c.Scope.zero() {
			bad("scope", "not supported yet; remove it, a rescan looks at everything that is stored")
		}
	}
	return errors.Join(problems...)
}

// zone loads the time zone. "Local" would make replicas disagree.
func (c Config) zone() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil || strings.EqualFold(c.TimeZone, "local") {
		return nil, fmt.Errorf("%s is not an IANA time zone such as Asia/Shanghai", gate.Quoted(c.TimeZone, 60))
	}
	return zone, nil
}
