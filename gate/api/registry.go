package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/gate/view"
)

// Syncs asks for synchronisations and says how they stand; sync.Syncer
// implements it.
type Syncs interface {
	// Request has a registry synchronised, at once or after the run under way.
	// gate.ErrNotFound: no such registry, 404; gate.ErrStoreUnavailable: 503.
	Request(ctx context.Context, registry string, full bool) (registrysync.SyncStatus, error)
	// Status is the run under way, or the last one. Errors: those of Request.
	Status(ctx context.Context, registry string) (registrysync.SyncStatus, error)
}

// Prober tests the connection to a registry; scanner/registry implements it.
type Prober interface {
	// Probe makes the test and returns its steps, the failed one last. An error is
	// only for what keeps the test from being made: gate.ErrNotFound, no such
	// registry, 404.
	Probe(ctx context.Context, registry, repository string) ([]gate.ProbeStep, error)
}

// Events says when registries were last heard of; intake.LastEvents implements
// it. The zero LastEvent is never.
type Events interface {
	// Last is the newest delivery of a registry that any replica has taken.
	// gate.ErrStoreUnavailable: those of other replicas are not known.
	Last(ctx context.Context, registry string) (intake.LastEvent, error)
}

// RegistryParts are what the API shows of registries. Without a Table none are
// configured.
type RegistryParts struct {
	Table  *gate.Registries
	Syncs  Syncs
	Events Events
	Prober Prober
}

// registerRegistries adds the operations about registries.
func (s *server) registerRegistries(api huma.API) {
	huma.Register(api, operation(http.MethodGet, "/registries", "list-registries", "List the configured registries", "digestgate registries list, dashboards"), s.listRegistries)
	huma.Register(api, operation(http.MethodGet, "/registries/{name}/sync", "get-sync", "The synchronisation of a registry", "digestgate registries sync --wait"), s.getSync)
	ask := operation(http.MethodPost, "/registries/{name}/sync", "start-sync", "Request a synchronisation", "digestgate registries sync")
	ask.DefaultStatus = http.StatusAccepted
	huma.Register(api, ask, s.startSync)
	huma.Register(api, operation(http.MethodPost, "/registries/{name}/test", "test-registry", "Test the connection to a registry", "digestgate registries test"), s.testRegistry)
}

type listRegistriesOutput struct {
	Body struct {
		Registries []view.Registry `json:"registries"`
	}
}

func (s *server) listRegistries(ctx context.Context, _ *struct{}) (*listRegistriesOutput, error) {
	out := &listRegistriesOutput{}
	out.Body.Registries = []view.Registry{}
	if s.Registries.Table == nil {
		return out, nil
	}
	for _, r := range s.Registries.Table.All() {
		st, err := s.Registries.Syncs.Status(ctx, r.Name)
		if err != nil {
			return nil, s.problem(ctx, "listing registries", err)
		}
		last, err := s.Registries.Events.Last(ctx, r.Name)
		if err != nil {
			return nil, s.problem(ctx, "listing registries", err)
		}
		out.Body.Registries = append(out.Body.Registries, view.OfRegistry(r, st, last))
	}
	return out, nil
}

type registryInput struct {
	Name string `path:"name" maxLength:"63"`
}

// configured refuses names of registries that do not exist.
func (s *server) configured(name string) error {
	if s.Registries.Table != nil {
		if _, ok := s.Registries.Table.ByName(name); ok {
			return nil
		}
	}
	return fmt.Errorf("registry %s is not configured: %w", gate.Quoted(name, 80), gate.ErrNotFound)
}

type syncOutput struct{ Body view.Sync }

func (s *server) getSync(ctx context.Context, in *registryInput) (*syncOutput, error) {
	err := s.configured(in.Name)
	if err != nil {
		return nil, s.problem(ctx, "reading a synchronisation", err)
	}
	st, err := s.Registries.Syncs.Status(ctx, in.Name)
	if err != nil {
		return nil, s.problem(ctx, "reading a synchronisation", err)
	}
	return &syncOutput{view.OfSync(st)}, nil
}

type startSyncInput struct {
	Name string `path:"name" maxLength:"63"`
	Body *struct {
		Full bool `json:"full,omitempty" doc:"confirm every tag, not only new ones and some of the known"`
	} `required:"false"`
}

func (s *server) startSync(ctx context.Context, in *startSyncInput) (*syncOutput, error) {
	err := s.configured(in.Name)
	if err != nil {
		return nil, s.problem(ctx, "asking for a synchronisation", err)
	}
	full := in.Body != nil && in.Body.Full
	st, err := s.Registries.Syncs.Request(ctx, in.Name, full)
	if err != nil {
		return nil, s.problem(ctx, "asking for a synchronisation", err)
	}
	s.Log.InfoContext(ctx, "synchronisation asked for", "registry", in.Name, "full", full)
	return &syncOutput{view.OfSync(st)}, nil
}

type testRegistryInput struct {
	Name string `path:"name" maxLength:"63"`
	Body *struct {
		Repository string `json:"repository,omitempty" maxLength:"255" doc:"where a manifest is looked for; empty: one that the registry lists"`
	} `required:"false"`
}

type testRegistryOutput struct {
	Body struct {
		OK    bool        `json:"ok" doc:"no step failed"`
		Steps []view.Step `json:"steps"`
	}
}

func (s *server) testRegistry(ctx context.Context, in *testRegistryInput) (*testRegistryOutput, error) {
	err := s.configured(in.Name)
	if err != nil {
		return nil, s.problem(ctx, "testing a registry", err)
	}
	repository := ""
	if in.Body != nil {
		repository = in.Body.Repository
	}
	steps, err := s.Registries.Prober.Probe(ctx, in.Name, repository)
	if err != nil {
		return nil, s.problem(ctx, "testing a registry", err)
	}
	out := &testRegistryOutput{}
	out.Body.OK, out.Body.Steps = true, []view.Step{}
	for _, step := range steps {
		out.Body.OK = out.Body.OK && step.Result != gate.ProbeFailed
		out.Body.Steps = append(out.Body.Steps, view.Step(step))
	}
	return out, nil
}
