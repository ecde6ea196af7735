package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/intake"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/gate/view"
)

// emptyRegistry is a registry that lists one repository without tags.
type emptyRegistry struct{}

func (emptyRegistry) Repositories(context.Context, string) (gate.RepositoryList, error) {
	return gate.RepositoryList{Names: []string{"team/app"}, Complete: true, Note: "a note"}, nil
}

func (emptyRegistry) Tags(context.Context, gate.Location) (gate.TagList, error) {
	return gate.TagList{Complete: true}, nil
}

func (emptyRegistry) Head(context.Context, gate.Location, string) (gate.Digest, error) {
	return "", gate.ErrNotFound
}

// prober answers a connection test.
type prober func(registry, repository string) ([]gate.ProbeStep, error)

func (p prober) Probe(_ context.Context, registry, repository string) ([]gate.ProbeStep, error) {
	return p(registry, repository)
}

// registrySite is the API of two registries with a real synchronisation.
func registrySite(t *testing.T, p prober) (*site, *registrysync.Syncer, *gate.Registries) {
	t.Helper()
	table, err := gate.NewRegistries([]gate.Registry{{Name: "hub", Type: "harbor", Host: "hub.example.com"}, {Name: "second", Type: "swr", Host: "second.example.com", Aliases: []string{"other.example.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	var syncer *registrysync.Syncer
	var events *intake.LastEvents
	s := newSite(t, func(o *api.Options) {
		o.Registries = api.RegistryParts{Table: table, Prober: p, Syncs: late{&syncer}, Events: lateEvents{&events}}
	})
	events = intake.NewLastEvents(table, s.store, nil, slog.New(slog.DiscardHandler))
	s.events = events
	syncer = registrysync.New(table, map[string]registrysync.Config{"hub": {Tags: 15 * time.Minute}}, emptyRegistry{}, s.catalog, s.store, nil, slog.New(slog.DiscardHandler))
	return s, syncer, table
}

// late breaks the circle that the store is made with the API.
type late struct{ syncer **registrysync.Syncer }

func (l late) Request(ctx context.Context, name string, full bool) (registrysync.SyncStatus, error) {
	return (*l.syncer).Request(ctx, name, full)
}

func (l late) Status(ctx context.Context, name string) (registrysync.SyncStatus, error) {
	return (*l.syncer).Status(ctx, name)
}

type lateEvents struct{ events **intake.LastEvents }

func (l lateEvents) Last(ctx context.Context, name string) (intake.LastEvent, error) {
	return (*l.events).Last(ctx, name)
}

func TestRegistries(t *testing.T) {
	s, syncer, _ := registrySite(t, nil)
	var list struct{ Registries []view.Registry }
	s.get("/registries", &list)
	want := []view.Registry{
		{Name: "hub", Type: "harbor", Host: "hub.example.com", Aliases: []string{}, Sync: view.Sync{Registry: "hub", State: registrysync.Never, Every: view.SyncIntervals{Tags: "15m0s", Full: "0s"}}},
		{Name: "second", Type: "swr", Host: "second.example.com", Aliases: []string{"other.example.com"}, Sync: view.Sync{Registry: "second", State: registrysync.Never, Every: view.SyncIntervals{Tags: "0s", Full: "0s"}}},
	}
	if diff := cmp.Diff(want, list.Registries); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}

	at := time.Date(2026, 11, 28, 11, 0, 0, 0, time.UTC)
	s.events.Seen("second", gate.PushQueued, at)
	s.get("/registries", &list)
	want[1].LastEvent = &view.LastEvent{At: at, State: gate.PushQueued}
	if diff := cmp.Diff(want, list.Registries); diff != "" {
		t.Errorf("registries after an event (-want +got):\n%s", diff)
	}

	var st view.Sync
	s.call("POST", "/registries/second/sync", `{"full":true}`, http.StatusAccepted, &st)
	if st.State != registrysync.Waiting {
		t.Errorf("asked: %+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); syncer.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); st.State != registrysync.Done && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s.get("/registries/second/sync", &st)
	}
	cancel()
	<-ended
	if st.State != registrysync.Done || !st.Full || st.Counts.Done != 1 || st.EndedAt == nil || st.LastFull == nil || st.Note != "a note" {
		t.Errorf("after the run: %+v", st)
	}
	s.call("POST", "/registries/second/sync", ``, http.StatusAccepted, &st) // a body is not needed
}

func TestRegistryTest(t *testing.T) {
	steps := []gate.ProbeStep{{Name: "reachability", Result: gate.ProbeOK, Text: "there"}, {Name: "certificate", Result: gate.ProbeWarning, Text: "soon", Advice: "renew it"}}
	asked := ""
	s, _, _ := registrySite(t, func(registry, repository string) ([]gate.ProbeStep, error) {
		asked = registry + "/" + repository
		if repository == "NOT VALID" {
			return nil, fmt.Errorf("repository: %w", gate.ErrRefInvalid)
		}
		return steps, nil
	})
	var out struct {
		OK    bool
		Steps []view.Step
	}
	s.call("POST", "/registries/hub/test", `{"repository":"team/app"}`, http.StatusOK, &out)
	if !out.OK || len(out.Steps) != 2 || out.Steps[1].Advice != "renew it" || asked != "hub/team/app" {
		t.Errorf("test of %q: %+v", asked, out)
	}
	steps = append(steps, gate.ProbeStep{Name: "login", Result: gate.ProbeFailed})
	s.call("POST", "/registries/hub/test", ``, http.StatusOK, &out)
	if out.OK || asked != "hub/" {
		t.Errorf("failed test of %q: %+v", asked, out)
	}
	s.refused(s.send("POST", "/api/v1/registries/hub/test", `{"repository":"NOT VALID"}`, nil), http.StatusUnprocessableEntity, "repository")
}

func TestUnknownRegistry(t *testing.T) {
	s, _, _ := registrySite(t, nil)
	for _, r := range [][2]string{{"GET", "sync"}, {"POST", "sync"}, {"POST", "test"}} {
		s.refused(s.send(r[0], "/api/v1/registries/nobody/"+r[1], "", nil), http.StatusNotFound, "not configured")
	}
	bare := newSite(t, nil)
	bare.refused(bare.send("POST", "/api/v1/registries/hub/test", "", nil), http.StatusNotFound, "not configured")
	var list struct{ Registries []view.Registry }
	if bare.get("/registries", &list); len(list.Registries) != 0 {
		t.Errorf("without a table: %+v", list)
	}
}

// downRegistries are parts that fail.
func downRegistries(t *testing.T, err error) api.RegistryParts {
	t.Helper()
	table, bad := gate.NewRegistries([]gate.Registry{{Name: "hub", Host: "hub.example.com"}})
	if bad != nil {
		t.Fatal(bad)
	}
	return api.RegistryParts{Table: table, Syncs: downSyncs{err}, Events: downEvents{err}, Prober: prober(func(string, string) ([]gate.ProbeStep, error) { return nil, err })}
}

type downSyncs struct{ err error }

func (d downSyncs) Request(context.Context, string, bool) (registrysync.SyncStatus, error) {
	return registrysync.SyncStatus{}, d.err
}

func (d downSyncs) Status(context.Context, string) (registrysync.SyncStatus, error) {
	return registrysync.SyncStatus{}, d.err
}

type downEvents struct{ err error }

func (d downEvents) Last(context.Context, string) (intake.LastEvent, error) {
	return intake.LastEvent{}, d.err
}
