package app

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
func (a *App) newSyncer() *registrysync.Syncer {
	return registrysync.New(a.Registries, syncPlans(a.Config.Registries), a.Source, a.Catalog, a.Store, registrysync.NewMetrics(a.Metrics), a.Log)
}

// registryParts are what the API shows and does of registries.
func (a *App) registryParts() api.RegistryParts {
	return api.RegistryParts{Table: a.Registries, Syncs: a.syncer, Events: a.lastEvents, Prober: a.Source}
}
