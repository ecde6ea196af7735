package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// SyncConfig is how often a registry is synchronised by itself; what a run
// does is explained at sync.Syncer.
type SyncConfig struct {
	// Tags is the interval between comparisons of tag lists, and so the time
	// in which a lost event is found; at least a minute, 0 is never.
	Tags time.Duration `yaml:"tags"`
	// Full is the interval between runs that confirm every tag; at least ten
	// minutes, 0 is never.
	Full time.Duration `yaml:"full"`
}

// The shortest intervals: a comparison is a request for each repository, a full
// run one for each tag.
const (
	minSyncTags = time.Minute
	minSyncFull = 10 * time.Minute
)

// Validate reports every problem, each line beginning with its key.
func (c SyncConfig) Validate() error {
	check := func(key string, d, least time.Duration) error {
		if d == 0 || d >= least {
			return nil
		}
		return fmt.Errorf("sync.%s: %s is shorter than %s (0 is never): %w", key, d, least, gate.ErrInvalid)
	}
	return errors.Join(check("tags", c.Tags, minSyncTags), check("full", c.Full, minSyncFull))
}

// syncPlans are by the names of the registries.
func syncPlans(list []RegistryConfig) map[string]registrysync.Plan {
	plans := map[string]registrysync.Plan{}
	for _, r := range list {
		plans[r.Name] = registrysync.Plan{Tags: r.Sync.Tags, Full: r.Sync.Full}
	}
	return plans
}

// newSyncer is the synchronisation of the configured registries.
func (a *app) newSyncer() *registrysync.Syncer {
	return registrysync.New(a.registries, syncPlans(a.config.Registries), a.source, a.catalog, a.store, registrysync.NewMetrics(a.metrics), a.log)
}

// registryParts are what the API shows and does of registries.
func (a *app) registryParts() api.RegistryParts {
	return api.RegistryParts{Table: a.registries, Syncs: a.syncer, Events: a.lastEvents, Prober: a.source}
}
