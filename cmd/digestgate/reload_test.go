package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/scanner/registry/fake"
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

// said waits until the log has a line with all the parts after the first mark
// bytes, and returns where the log ends then.
func (s *server) said(mark int, parts ...string) int {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("a log line with %q", parts), time.Minute, func() bool {
		for line := range strings.SplitSeq(s.log.String()[mark:], "\n") {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				return true
			}
		}
		return false
	})
	return len(s.log.String())
}

// TestReload: modes, namespaces and registries follow the file and SIGHUP while
// the process runs; what is wrong or needs a restart changes nothing at all.
func TestReload(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	other, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	first := read(t, s.config)
	edit := func(pairs ...string) {
		t.Helper()
		text := read(t, s.config)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) {
				t.Fatalf("the configuration has no %q", pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		// As an editor does: another file under the same name.
		if err := os.WriteFile(s.config+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(s.config+".new", s.config); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	d := s.pushDebian("team/app", "v1", demoUpdated, nil)
	s.deliver(hookSecret, "team/app", "v1", d)
	s.until(d, time.Minute, scanned)
	ask := s.reviewer(s)
	unknown, known := "nowhere.example.com/a:1", s.registry.Host+"/team/app@"+string(d)
	if got := ask(unknown); got.allowed || !ask(known).allowed {
		t.Fatalf("before: %s", got)
	}

	mark := len(s.log.String())
	edit("advisories:", "admission: {mode: warn}\nadvisories:")
	mark = s.said(mark, `msg="configuration reloaded"`, "cause=\"the file changed\"", "admission.mode: enforce -> warn")
	if got := ask(unknown); !got.allowed {
		t.Errorf("mode warn: got %s", got)
	}
	edit("{mode: warn}", "{mode: enforce, namespaces: {default: {mode: audit}}}")
	mark = s.said(mark, `msg="configuration reloaded"`, "admission.namespaces[default].mode", "admission.mode: warn -> enforce")
	if got := ask(unknown); !got.allowed {
		t.Errorf("namespace in audit: got %s", got)
	}
	edit("namespaces: {default: {mode: audit}}", "exemptNamespaces: [default]")
	mark = s.said(mark, `msg="configuration reloaded"`, "admission.exemptNamespaces: [kube-system] -> [default]")
	if got := ask(unknown); !got.allowed {
		t.Errorf("exempt namespace: got %s", got)
	}
	edit("admission: {mode: enforce, exemptNamespaces: [default]}", "")
	mark = s.said(mark, `msg="configuration reloaded"`, "admission.exemptNamespaces: [default] -> [kube-system]")
	if got := ask(unknown); got.allowed {
		t.Errorf("as before: got %s", got)
	}

	// A registry that comes, by a signal, is pulled from, sends and is listed.
	edit("registries:\n", fmt.Sprintf("registries:\n  - {name: other, type: harbor, host: %q, plainHTTP: true, webhook: {auth: header, secretFiles: [%s/secret]}}\n", other.Host, s.dir))
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	mark = s.said(mark, `msg="configuration reloaded"`, "registries[other]: added ("+other.Host+")")
	img, err := fake.NewImage(fake.ImageOptions{}, demoRoot(demoUpdated, "amd64"), fake.Tar(map[string]string{"x": "other"}))
	if err != nil {
		t.Fatal(err)
	}
	there, err := other.Push("team/new", "v1", img)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "an image of the new registry is admitted", time.Minute, func() bool { return ask(other.Host + "/team/new:v1").allowed })
	s.until(there, time.Minute, scanned)
	if status, err := s.status("/webhooks/other"); err != nil || status != http.StatusUnauthorized && status != http.StatusBadRequest {
		t.Errorf("the endpoint of the new registry: %d, %v", status, err)
	}

	// What is wrong changes nothing, and says what.
	for what, broken := range map[string]struct{ from, to, want string }{
		"another value": {"plainHTTP: true", "plainHTTP: true, pullsPerHour: -1", "pullsPerHour"},
		"a secret":      {"[" + s.dir + "/secret]", "[" + s.dir + "/missing]", "missing"},
		"no YAML":       {"registries:", "registries: [", "yaml"},
	} {
		before := read(t, s.config)
		edit("dataDir:", "admission: {mode: warn}\ndataDir:", broken.from, broken.to)
		mark = s.said(mark, `msg="configuration not reloaded: the earlier one stays in force"`, broken.want)
		if got := ask(unknown); got.allowed {
			t.Errorf("%s: the mode changed all the same: %s", what, got)
		}
		if _, text, _ := s.ready(); !strings.Contains(text, "warn  configuration: the earlier one stays in force: ") {
			t.Errorf("%s: /readyz says %q", what, text)
		}
		edit(read(t, s.config), before)
		mark = s.said(mark, `msg="configuration read again: nothing has changed"`)
	}
	edit("dataDir:", "admission: {mode: warn, shutdownDelay: 3s}\nscan: {maxAttempts: 2}\ndataDir:")
	mark = s.said(mark, `msg="configuration not reloaded`, "scan.maxAttempts: 5 -> 2", "needs a restart")
	if got := ask(unknown); got.allowed || !ask(known).allowed {
		t.Errorf("beside a key that needs a restart the mode changed: %s", got)
	}
	for range 2 { // each signal is answered, also with what was said before
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		mark = s.said(mark, `msg="configuration not reloaded`, "cause=SIGHUP", "needs a restart")
	}

	edit(read(t, s.config), first)
	mark = s.said(mark, `msg="configuration reloaded"`, "registries[other]: removed")
	if got := ask(other.Host + "/team/new:v1"); got.code != "REGISTRY_NOT_TRUSTED" {
		t.Errorf("an image of the removed registry: got %s", got)
	}
	if status, err := s.status("/webhooks/other"); err != nil || status != http.StatusNotFound {
		t.Errorf("the endpoint of the removed registry: %d, %v", status, err)
	}
	if _, text, _ := s.ready(); strings.Contains(text, "configuration") {
		t.Errorf("/readyz still says %q", text)
	}

	// A file that is missing keeps a change out until it is back.
	secret := filepath.Join(s.dir, "secret")
	kept := read(t, secret)
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	mark = s.said(mark, "can no longer be read", secret)
	edit("dataDir:", "admission: {mode: warn}\ndataDir:")
	mark = s.said(mark, `msg="configuration not reloaded`, secret)
	if err := os.WriteFile(secret, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	mark = s.said(mark, `msg="configuration reloaded"`, `cause="a file is back"`, "admission.mode: enforce -> warn")

	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.said(mark, `msg="configuration read again: nothing has changed" cause=SIGHUP`)
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code: %d", code)
	}
}

// status is that of an empty POST without a secret.
func (s *server) status(path string) (int, error) {
	res, err := http.Post(s.urls["http"]+path, "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
