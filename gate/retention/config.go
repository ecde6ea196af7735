package retention

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

const (
	// DefaultImages is how long an image stays known that no registry has and that
	// admission was not asked for: 180 days, two quarters.
	DefaultImages = 180 * 24 * time.Hour
	// DefaultHistory is how long a change of an image is kept: a year, for the audit of
	// one. At most store.MaxHistory changes of each image are kept.
	DefaultHistory = 365 * 24 * time.Hour
	// DefaultJobs is how long a job that is done can be read by its id.
	DefaultJobs = 7 * 24 * time.Hour

	// Least is the shortest time after which an image is forgotten, or a change: a unit
	// that was mistyped must not empty a store.
	Least = 24 * time.Hour
	// LeastJobs is the shortest time for which a job that is done is kept: a pipeline that
	// waits for it still finds it.
	LeastJobs = time.Hour
)

// Config is the block "retention" of the configuration: for how long what grows is kept.
// What is not named here is bounded by a count, or kept; docs/operations.md lists all of it.
type Config struct {
	// Images is after which time an image is forgotten, but for its digest and its charge,
	// that is in no registry and that admission was not asked for in that time. 0 never
	// forgets; otherwise at least [Least].
	Images time.Duration `yaml:"images"`
	// History is how long a change in the history of an image is kept and shown. 0 is
	// without a limit of time; otherwise at least [Least]. First-seen times of findings
	// that are present do not depend on it: the findings have them.
	History time.Duration `yaml:"history"`
	// Jobs is how long a job that is done, or was replaced by a later one, can be read by
	// its id; at least [LeastJobs]. The newest failed or cancelled job of an image is its
	// state and is kept.
	Jobs time.Duration `yaml:"jobs"`
}

// Default is the configuration when nothing is written.
func Default() Config {
	return Config{Images: DefaultImages, History: DefaultHistory, Jobs: DefaultJobs}
}

// Validate reports every problem with its key.
func (c Config) Validate() error {
	var problems []error
	least := func(key string, d, least time.Duration, zero string) {
		if d < least && (zero == "" || d != 0) {
			problems = append(problems, fmt.Errorf("%s: %s is too short; give at least %s%s: %w", key, d, least, zero, gate.ErrInvalid))
		}
	}
	least("images", c.Images, Least, ", or 0 to forget nothing")
	least("history", c.History, Least, ", or 0 for no limit of time")
	least("jobs", c.Jobs, LeastJobs, "")
	return errors.Join(problems...)
}
