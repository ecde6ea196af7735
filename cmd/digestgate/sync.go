package main

import (
	"github.com/digestgate/digestgate/gate/api"
	registrysync "github.com/digestgate/digestgate/gate/sync"
)

// syncPlans are by the names of the registries.
func syncPlans(list []RegistryConfig) map[string]registrysync.Config {
	plans := map[string]registrysync.Config{}
	for _, r := range list {
		plans[r.Name] = r.Sync
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
