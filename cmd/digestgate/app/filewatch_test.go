package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A file that vanishes, by whatever way, is told once; so is its return.
func TestFileWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, dirAsFile := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "policies")
	files := []namedFile{{configKey, file}, {"policy.paths[0]", dirAsFile}, {"store.caFile", filepath.Join(dir, "never")}}
	put := func() {
		t.Helper()
		if err := os.WriteFile(file, []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dirAsFile, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put()
	var log bytes.Buffer
	w := newFileWatch(slog.New(slog.NewTextHandler(&log, nil)), files)
	looks := func(what string, n int, want ...string) {
		t.Helper()
		log.Reset()
		for range n {
			w.look(files)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if log.Len() == 0 {
			lines = nil
		}
		if len(lines) != len(want) {
			t.Errorf("%s: got %q, want %d lines", what, lines, len(want))
			return
		}
		for i := range want {
			if !strings.Contains(lines[i], want[i]) || !strings.Contains(lines[i], "file=") {
				t.Errorf("%s: got %q, want %q", what, lines[i], want[i])
			}
		}
	}
	const gone, back = "stays in force, but a restart will fail", "can be read again"
	looks("present", 3)
	remove := func(path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	remove(file)
	looks("between two names", 1)
	put()
	looks("replaced", 3)
	remove(file)
	looks("gone", 5, gone)
	put()
	looks("back", 3, back)
	remove(file)
	remove(dirAsFile)
	looks("both gone", 5, gone, gone)
	put()
	looks("both back", 3, back, back)
	remove(file)
	files = files[1:]
	looks("no longer named", 5)
}

func TestNamedFiles(t *testing.T) {
	t.Parallel()
	c := ConfigSource{set: []string{
		"http.tls.certFile=/1", "admission.tls.clientCAFile=/2", "auth.adminTokenFile=/3", "store.macKeyFile=/4",
		`registries=[{name: a, passwordFile: /7, webhook: {secretFiles: [/8, /9]}, credentials: {dockerConfig: /10}}]`,
		"admission.clusters=[{name: default}, {name: b, tokenFile: /11}]",
	}}.Read().Config
	got := map[string]string{}
	for _, f := range namedFiles(c) {
		got[f.key] = f.path
	}
	want := map[string]string{
		"http.tls.certFile": "/1", "admission.tls.clientCAFile": "/2", "auth.adminTokenFile": "/3", "store.macKeyFile": "/4",
		"registries[0].passwordFile": "/7", "registries[0].webhook.secretFiles[0]": "/8", "registries[0].webhook.secretFiles[1]": "/9",
		"registries[0].credentials.dockerConfig": "/10", "admission.clusters[1].tokenFile": "/11",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
