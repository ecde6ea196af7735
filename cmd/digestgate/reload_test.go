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

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

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
	d := s.pushDebian("team/app", "v1", demo.Updated, nil)
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
	img, err := fake.NewImage(fake.ImageOptions{}, demo.Root(demo.Updated, "amd64"), fake.Tar(map[string]string{"x": "other"}))
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
