package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/schedule"
	"github.com/digestgate/digestgate/scanner/joined/vex"
	"github.com/digestgate/digestgate/scanner/registry"
)

func TestDifferences(t *testing.T) {
	registryNamed := func(name, host string, change func(*RegistryConfig)) RegistryConfig {
		r := RegistryConfig{Config: registry.DefaultConfig()}
		r.Name, r.Host = name, host
		change(&r)
		return r
	}
	same := func(*RegistryConfig) {}
	old, next := DefaultConfig(), DefaultConfig()
	if got := differences(old, next); len(got) != 0 {
		t.Errorf("differences of the same: got %v", got)
	}
	old.Registries = []RegistryConfig{registryNamed("a", "a.example.com", same), registryNamed("b", "b.example.com", same)}
	next.Registries = []RegistryConfig{registryNamed("c", "c.example.com", same), registryNamed("b", "b.example.com", func(r *RegistryConfig) {
		r.PullsPerHour, r.Webhook.Auth, r.Sync.Tags = 5, "none", time.Minute
	})}
	old.Admission.Namespaces = map[string]admission.NamespaceConfig{"shop": {Mode: "warn"}, "team": {Mode: "audit"}}
	next.Admission.Namespaces = map[string]admission.NamespaceConfig{"shop": {Mode: "audit"}, "new": {Mode: "warn"}}
	next.Admission.Mode, next.Admission.ExemptNamespaces = "warn", []string{}
	next.Listen.HTTP, next.Policy.Paths = "", []string{"/p"}
	old.Schedules, next.Schedules = nil, next.Schedules[:0] // neither has any
	var live, restart []string
	for _, d := range differences(old, next) {
		if d.live() {
			live = append(live, d.String())
		} else {
			restart = append(restart, d.String())
		}
	}
	wantLive := []string{
		"registries[a]: removed (a.example.com)", "registries[b].pullsPerHour: 0 -> 5", `registries[b].webhook.auth: "" -> none`,
		"registries[b].sync.tags: " + old.Registries[1].Sync.Tags.String() + " -> 1m0s", "registries[c]: added (c.example.com)",
		"admission.mode: enforce -> warn", "admission.exemptNamespaces: [kube-system] -> []",
		`admission.namespaces[new].mode: "" -> warn`, "admission.namespaces[shop].mode: warn -> audit", `admission.namespaces[team].mode: audit -> ""`,
	}
	if diff := cmp.Diff(wantLive, live); diff != "" {
		t.Errorf("followed while running (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`listen.http: :8080 -> ""`, "policy.paths: [] -> [/p]"}, restart); diff != "" {
		t.Errorf("needs a restart (-want +got):\n%s", diff)
	}
}

// TestDifferencesOfLists: entries of lists are compared by their names, and values are
// shown as the file writes them.
func TestDifferencesOfLists(t *testing.T) {
	old, next := DefaultConfig(), DefaultConfig()
	old.Notifications = []notify.Config{{Name: "a", Type: "slack", Gather: time.Minute}, {Name: "b", Type: "teams"}}
	next.Notifications = []notify.Config{{Name: "a", Type: "slack", Gather: time.Hour, Events: []notify.Event{notify.EventQuota, notify.EventStale}}, {Name: "c"}}
	old.Schedules = []schedule.Config{{Name: "night", Cron: "@daily"}, {Name: "week", Cron: "@weekly"}}
	next.Schedules = []schedule.Config{{Name: "week", Cron: "@weekly"}, {Name: "night", Cron: "0 1 * * *", Scope: gate.ScanScope{Running: true}}}
	old.Advisories.VEX = []vex.Config{{Name: "acme", MaxAge: time.Hour}}
	next.Advisories.VEX = []vex.Config{{Name: "acme", MaxAge: 2 * time.Hour}}
	old.Admission.Repositories = nil
	next.Admission.Repositories = []admission.RepositoryConfig{{Pattern: "hub/**", Admission: "denied"}}
	var live, restart []string
	for _, d := range differences(old, next) {
		if d.live() {
			live = append(live, d.String())
		} else {
			restart = append(restart, d.String())
		}
	}
	wantLive := []string{
		"advisories.vex[acme].maxAge: 1h0m0s -> 2h0m0s", "notifications[a].events: [] -> [quota, stale]", "notifications[a].gather: 1m0s -> 1h0m0s",
		"notifications[b]: removed", "notifications[c]: added",
	}
	slices.Sort(live)
	if diff := cmp.Diff(wantLive, live); diff != "" {
		t.Errorf("followed while running (-want +got):\n%s", diff)
	}
	wantRestart := []string{
		"admission.repositories: [] -> [{pattern: hub/**, admission: denied}]", `schedules: in the order night, week -> week, night`,
		`schedules[night].cron: '@daily' -> 0 1 * * *`, "schedules[night].scope.running: false -> true",
	}
	slices.Sort(restart)
	if diff := cmp.Diff(wantRestart, restart); diff != "" {
		t.Errorf("needs a restart (-want +got):\n%s", diff)
	}
}

func TestConfigWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	looks := func(w *configWatch, what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := w.changed(); got != want {
				t.Errorf("%s, look %d: got changed %v", what, i, got)
			}
		}
	}
	write(file, "a")
	w := newConfigWatch(file)
	looks(w, "nothing", false, false)
	write(file, "b")
	looks(w, "written", false, true, false, false)
	write(file, "b1")
	looks(w, "half written", false)
	write(file, "b12")
	looks(w, "half written again", false)
	looks(w, "finished", true, false)
	write(file, "other")
	looks(w, "begun", false)
	write(file, "b12")
	looks(w, "taken back", false, false)
	write(file, "c")
	w.accept()
	looks(w, "read by a signal", false, false)
	write(file+".new", "d")
	rename(file+".new", file)
	looks(w, "renamed", false, true, false)
	rename(file, file+".old")
	looks(w, "gone", false, false)
	rename(file+".old", file)
	looks(w, "back", false, false)

	// A ConfigMap: the file is a link through ..data, which is swapped.
	for i, text := range []string{"a", "b", "c"} {
		v := filepath.Join(dir, fmt.Sprint("..v", i))
		if err := os.Mkdir(v, 0o700); err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(v, "mounted.yaml"), text)
	}
	swap := func(version string) {
		t.Helper()
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	swap("..v0")
	if err := os.Symlink(filepath.Join("..data", "mounted.yaml"), filepath.Join(dir, "mounted.yaml")); err != nil {
		t.Fatal(err)
	}
	w = newConfigWatch(filepath.Join(dir, "mounted.yaml"))
	swap("..v1")
	looks(w, "swapped", false, true, false)
	swap("..v2")
	looks(w, "swapped again", false, true, false)
	looks(newConfigWatch(""), "no file", false, false)
}
