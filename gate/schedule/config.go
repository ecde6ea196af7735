package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Config is one schedule: an entry of the configuration's list "schedules", or one that
// was made through the API.
type Config struct {
	// Name identifies the schedule in logs, the API and the store: lower-case
	// letters, digits and hyphens, at most 63.
	Name string `yaml:"name" json:"name"`
	// Cron has five fields (minute, hour, day of the month, month, day of the
	// week) or is a descriptor (@hourly, @daily, @weekly, @monthly, @yearly,
	// @every 6h). When both day fields are restricted, either suffices, as in
	// crontab(5). It is "" with Every.
	Cron string `yaml:"cron" json:"cron,omitempty"`
	// Every is a number of days, such as 3d, that are counted from a day on, whatever the
	// month; at most 366d. At is the time of day, 00:00 by default. From is that day
	// (2026-12-01); by default the one on which the schedule is first due.
	Every string `yaml:"every" json:"every,omitempty"`
	At    string `yaml:"at" json:"at,omitempty"`
	From  string `yaml:"from" json:"from,omitempty"`
	// TimeZone is the IANA name of the zone of all times here; "" is UTC.
	TimeZone string `yaml:"timeZone" json:"timeZone,omitempty"`
	// Window is when images are begun, as for [gate.ParseDayWindow]. A run that does not
	// end in it stops and continues in the next one.
	Window string         `yaml:"window" json:"window,omitempty"`
	Scope  gate.ScanScope `yaml:"scope" json:"scope"`
	Kind   gate.ScanKind  `yaml:"kind" json:"kind"`
	// Risks, Rate and Concurrency are as for [gate.ScanRequest].
	Risks       []gate.Risk `yaml:"risks" json:"risks,omitempty"`
	Rate        int         `yaml:"rate" json:"rate,omitempty"`
	Concurrency int         `yaml:"concurrency" json:"concurrency,omitempty"`
	// Enabled false leaves ticks out; they are not made up for. Default true.
	Enabled bool `yaml:"enabled" json:"enabled"`
}

// SetDefaults is called for each entry before it is read.
func (c *Config) SetDefaults() { c.Enabled = true }

// Request is the scan that a run of the schedule is. Content is analysed again whatever
// has analysed it before: that is what a schedule of that kind is for.
func (c Config) Request(tick time.Time) gate.ScanRequest {
	return gate.ScanRequest{
		Kind: c.Kind, Force: c.Kind == gate.ScanContent, Scope: c.Scope, Risks: c.Risks, Rate: c.Rate, Concurrency: c.Concurrency,
		Window: c.Window, TimeZone: c.TimeZone, Schedule: c.Name, Tick: tick,
	}
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// maxSchedules bounds each of the two lists. Every process with the role scheduler looks
// at the state of each several times a minute.
const maxSchedules = 100

// Default is the list without any schedule: findings follow the advisories
// without one, and the present analysers are used for every new digest.
func Default() []Config { return nil }

// Validate reports every problem of the list with its key.
func Validate(list []Config, known gate.ScanKnown) error {
	var problems []error
	if len(list) > maxSchedules {
		problems = append(problems, fmt.Errorf("schedules: there are %d, more than %d; give one schedule several registries and repositories in its scope: %w", len(list), maxSchedules, gate.ErrInvalid))
	}
	seen := map[string]bool{}
	for i, c := range list {
		found := c.Problems(known)
		if seen[c.Name] && c.Name != "" {
			found = append(found, gate.ScanProblem{Key: "name", Text: fmt.Sprintf("%q is used twice", c.Name)})
		}
		seen[c.Name] = true
		problems = append(problems, gate.ScanProblems(fmt.Sprintf("schedules[%d].", i), found))
	}
	return errors.Join(problems...)
}

// Problems says what is wrong with a schedule.
func (c Config) Problems(known gate.ScanKnown) (list []gate.ScanProblem) {
	bad := func(key string, err error) {
		if err != nil {
			list = append(list, gate.ScanProblem{Key: key, Text: gate.Sentence(err)})
		}
	}
	if !namePattern.MatchString(c.Name) {
		bad("name", fmt.Errorf("%s is not a name; use lower-case letters, digits and hyphens, at most 63", gate.Quoted(c.Name, 80)))
	}
	zone, err := gate.ParseTimeZone(c.TimeZone)
	bad("timeZone", err)
	if err == nil {
		_, key, err := c.ticks(zone, "")
		bad(key, err)
		_, err = gate.ParseDayWindow(c.Window, zone)
		bad("window", err)
	}
	return append(list, c.Request(time.Time{}).Problems(known)...)
}
