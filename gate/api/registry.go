package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	registrysync "github.com/digestgate/digestgate/gate/sync"
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

// Registry is one configured registry.
type Registry struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Host    string   `json:"host" doc:"where images are pulled"`
	Aliases []string `json:"aliases"`
	// LastEvent is nil as long as nothing came.
	LastEvent *LastEvent `json:"lastEvent" doc:"the newest delivery that was authenticated and answered; null as long as none came"`
	Sync      Sync       `json:"sync"`
}

// LastEvent is the newest delivery of a registry.
type LastEvent struct {
	At    time.Time      `json:"at"`
	State gate.PushState `json:"state" enum:"queued,duplicate,known,ignored" doc:"what it led to"`
}

// Sync is how the synchronisation of a registry stands.
type Sync struct {
	Registry  string                  `json:"registry"`
	State     registrysync.SyncPhase  `json:"state" enum:"never,waiting,running,done"`
	Full      bool                    `json:"full" doc:"the run under way, or the last one, confirms every tag"`
	StartedAt *time.Time              `json:"startedAt" doc:"of the run under way, or the last one"`
	UpdatedAt *time.Time              `json:"updatedAt"`
	EndedAt   *time.Time              `json:"endedAt"`
	Counts    registrysync.SyncCounts `json:"counts" doc:"of that run so far"`
	Cursor    string                  `json:"cursor" doc:"the last repository that is done; the names are sorted"`
	Attempt   int                     `json:"attempt" doc:"of a run that makes no progress"`
	NextTryAt *time.Time              `json:"nextTryAt" doc:"when a run that waits continues"`
	Error     string                  `json:"error" doc:"why it waits, or the last problem of the run"`
	Note      string                  `json:"note" doc:"what the registry's lists leave out"`
	LastTags  *time.Time              `json:"lastTags" doc:"start of the last finished run"`
	LastFull  *time.Time              `json:"lastFull" doc:"start of the last finished run that confirmed every tag"`
	Every     SyncIntervals           `json:"every"`
}

// SyncIntervals is how often a registry is synchronised by itself, such as
// "15m0s"; "0s" is never.
type SyncIntervals struct {
	Tags string `json:"tags"`
	Full string `json:"full"`
}

func viewSync(s registrysync.SyncStatus) Sync {
	return Sync{
		Registry: s.Registry, State: s.Phase, Full: s.Full, StartedAt: optional(s.Started), UpdatedAt: optional(s.Updated),
		EndedAt: optional(s.Ended), Counts: s.Counts, Cursor: s.Cursor, Attempt: s.Attempt, NextTryAt: optional(s.NextTry),
		Error: s.Error, Note: s.Note, LastTags: optional(s.LastTags), LastFull: optional(s.LastFull),
		Every: SyncIntervals{s.Plan.Tags.String(), s.Plan.Full.String()},
	}
}

// Step is one step of a connection test.
type Step struct {
	Name   string           `json:"name" enum:"reachability,certificate,login,catalog,pull"`
	Result gate.ProbeResult `json:"result" enum:"ok,warning,failed,skipped"`
	Text   string           `json:"text"`
	Advice string           `json:"advice" doc:"what to do, empty when nothing is"`
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
		Registries []Registry `json:"registries"`
	}
}

func (s *server) listRegistries(ctx context.Context, _ *struct{}) (*listRegistriesOutput, error) {
	out := &listRegistriesOutput{}
	out.Body.Registries = []Registry{}
	if s.Registries.Table == nil {
		return out, nil
	}
	for _, r := range s.Registries.Table.All() {
		st, err := s.Registries.Syncs.Status(ctx, r.Name)
		if err != nil {
			return nil, s.problem(ctx, "listing registries", err)
		}
		v := Registry{Name: r.Name, Type: r.Type, Host: r.Host, Aliases: orEmpty(r.Aliases), Sync: viewSync(st)}
		last, err := s.Registries.Events.Last(ctx, r.Name)
		if err != nil {
			return nil, s.problem(ctx, "listing registries", err)
		}
		if !last.At.IsZero() {
			v.LastEvent = &LastEvent{last.At, last.State}
		}
		out.Body.Registries = append(out.Body.Registries, v)
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

type syncOutput struct{ Body Sync }

func (s *server) getSync(ctx context.Context, in *registryInput) (*syncOutput, error) {
	err := s.configured(in.Name)
	if err != nil {
		return nil, s.problem(ctx, "reading a synchronisation", err)
	}
	st, err := s.Registries.Syncs.Status(ctx, in.Name)
	if err != nil {
		return nil, s.problem(ctx, "reading a synchronisation", err)
	}
	return &syncOutput{viewSync(st)}, nil
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
	return &syncOutput{viewSync(st)}, nil
}

type testRegistryInput struct {
	Name string `path:"name" maxLength:"63"`
	Body *struct {
		Repository string `json:"repository,omitempty" maxLength:"255" doc:"where a manifest is looked for; empty: one that the registry lists"`
	} `required:"false"`
}

type testRegistryOutput struct {
	Body struct {
		OK    bool   `json:"ok" doc:"no step failed"`
		Steps []Step `json:"steps"`
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
	out.Body.OK, out.Body.Steps = true, []Step{}
	for _, step := range steps {
		out.Body.OK = out.Body.OK && step.Result != gate.ProbeFailed
		out.Body.Steps = append(out.Body.Steps, Step(step))
	}
	return out, nil
}
