package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	registrysync "github.com/digestgate/digestgate/gate/sync"
	"github.com/digestgate/digestgate/gate/view"
)

// TestRegistryCommands: a running server is told to synchronise, scans what no
// event told it of, and tests its connection.
func TestRegistryCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t, "")
	config, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte("plainHTTP: true,"), []byte("plainHTTP: true, sync: {tags: 15m, full: 24h},"), 1)
	if err := os.WriteFile(s.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	lost := s.pushDebian("team/app", "v1", demo.Updated, nil)
	s.start()
	s.until(lost, time.Minute, scanned) // by the first run, which nobody asked for
	eventually(t, "the end of the first run", time.Minute, func() bool {
		var run view.Sync
		return s.client().Call(t.Context(), http.MethodGet, "/registries/hub/sync", nil, &run) == nil && run.State == registrysync.Done
	})
	later := s.pushDebian("team/later", "v1", demo.Released, nil)
	command := func(want int, args ...string) string {
		t.Helper()
		var out, problems bytes.Buffer
		args = append(args, "--server", s.urls["http"], "--token-file", s.tokenFile())
		if code := run(t.Context(), append([]string{"registries"}, args...), strings.NewReader(""), &out, &problems); code != want {
			t.Fatalf("registries %q: exit %d, want %d\n%s%s", args, code, want, &out, &problems)
		}
		return out.String() + problems.String()
	}
	if out := command(0, "sync", "hub", "--wait"); !strings.Contains(out, "1 queued") || !strings.Contains(out, "2 of 2 repositories") {
		t.Errorf("sync: %s", out)
	}
	s.until(later, time.Minute, scanned)
	if out := command(0, "list"); !strings.Contains(out, "hub") || !strings.Contains(out, "done") || !strings.Contains(out, "never") {
		t.Errorf("list: %s", out)
	}
	if status, answer := s.deliver("wrong", "team/app", "v1", lost); status != http.StatusUnauthorized {
		t.Errorf("delivery with a wrong secret: %d %s", status, answer)
	}
	if out := command(0, "list"); !strings.Contains(out, "never") {
		t.Errorf("list after a delivery that was refused: %s", out)
	}
	if status, answer := s.deliver(hookSecret, "team/app", "v1", lost); status != http.StatusAccepted {
		t.Fatalf("delivery: %d %s", status, answer)
	}
	if out := command(0, "list"); strings.Contains(out, "never") || !strings.Contains(out, "(known)") {
		t.Errorf("list after a delivery: %s", out)
	}
	if out := command(0, "test", "hub"); !strings.Contains(out, "2 repositories") || !strings.Contains(out, "pull") {
		t.Errorf("test: %s", out)
	}
	if out := command(1, "test", "nobody"); !strings.Contains(out, "not configured") {
		t.Errorf("test of an unknown registry: %s", out)
	}
	if err := s.registry.Close(); err != nil {
		t.Fatal(err)
	}
	if out := command(1, "test", "hub"); !strings.Contains(out, "firewalls") {
		t.Errorf("test of a registry that is down: %s", out)
	}

	// The last event outlives the process that saw it.
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code: %d", code)
	}
	s.start()
	if out := command(0, "list"); !strings.Contains(out, "(known)") {
		t.Errorf("list after a restart: %s", out)
	}
}
