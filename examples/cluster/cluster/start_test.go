package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binaries writes shell scripts in place of the servers. What is tested here
// is how a start goes wrong, which upstream's binaries cannot be made to do.
func binaries(t *testing.T, etcd string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{"etcd": etcd, "kube-apiserver": "exit 1", "kubectl": "exit 1"} {
		script := "#!/bin/sh\nPATH=/usr/bin:/bin\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStartFailures(t *testing.T) {
	t.Run("missing_binaries_are_named", func(t *testing.T) {
		dir := binaries(t, "")
		os.Remove(filepath.Join(dir, "kubectl"))
		os.Remove(filepath.Join(dir, "etcd"))
		_, err := Start(t.Context(), Options{BinDir: dir, Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "looking for etcd, kubectl") || !strings.Contains(err.Error(), "make -C examples/cluster bin") {
			t.Errorf("Start without binaries: got %v, want both named and the remedy", err)
		}
	})
	t.Run("end_of_server_quotes_its_log", func(t *testing.T) {
		dir := binaries(t, `echo "no such disk"; exit 3`)
		_, err := Start(t.Context(), Options{BinDir: dir, Dir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), "starting etcd: it ended: exit status 3") || !strings.Contains(err.Error(), "no such disk") {
			t.Errorf("Start with an etcd that ends: got %v, want its exit status and log", err)
		}
	})
	t.Run("server_that_never_answers_times_out", func(t *testing.T) {
		dir := binaries(t, `echo waiting; exec sleep 1000`)
		_, err := Start(t.Context(), Options{BinDir: dir, Dir: t.TempDir(), StartTimeout: 300 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), "not ready within 300ms") || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "waiting") {
			t.Errorf("Start with a silent etcd: got %v, want the timeout, the last answer and the log", err)
		}
	})
	t.Run("port_taken_is_tried_again", func(t *testing.T) {
		dir, work := binaries(t, `echo x >>tries; echo "listen tcp: bind: address already in use"; exit 1`), t.TempDir()
		_, err := Start(t.Context(), Options{BinDir: dir, Dir: work})
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("Start on taken ports: got %v, want the cause", err)
		}
		tries, _ := os.ReadFile(filepath.Join(work, "tries"))
		if got := bytes.Count(tries, []byte("x")); got != startAttempts {
			t.Errorf("Start on taken ports: got %d tries, want %d", got, startAttempts)
		}
	})
	t.Run("own_folder_is_removed", func(t *testing.T) {
		t.Setenv("TMPDIR", t.TempDir())
		if _, err := Start(t.Context(), Options{BinDir: binaries(t, "exit 1")}); err == nil {
			t.Fatal("Start with an etcd that ends: got no error")
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
			t.Errorf("after a failed start: got %q, want an empty folder", left)
		}
	})
}
