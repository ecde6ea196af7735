package sync

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Config is how often a registry is synchronised by itself; what a run
// does is explained at [Syncer].
type Config struct {
	// Tags is the interval between the starts of two comparisons of tag lists, and
	// so the time in which a lost event is found: new tags are read, gone ones
	// marked, and of the known ones as many confirmed as rotation permits. At least
	// a minute, 0 is never.
	Tags time.Duration `yaml:"tags"`
	// Full is the interval between the starts of two runs that confirm every tag;
	// at least ten minutes, 0 is never.
	Full time.Duration `yaml:"full"`
}

// The shortest intervals: a comparison is a request for each repository, a full
// run one for each tag.
const (
	minTags = time.Minute
	minFull = 10 * time.Minute
)

// Validate reports every problem, each line beginning with its key.
func (c Config) Validate() error {
	check := func(key string, d, least time.Duration) error {
		if d == 0 || d >= least {
			return nil
		}
		return fmt.Errorf("sync.%s: %s is shorter than %s (0 is never): %w", key, d, least, gate.ErrInvalid)
	}
	return errors.Join(check("tags", c.Tags, minTags), check("full", c.Full, minFull))
}
