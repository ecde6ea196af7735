package main

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store/redis/redistest"
)

// TestRedisExample runs examples/redis/run.sh in a copy of its folder, as a
// user would.
func TestRedisExample(t *testing.T) {
	t.Parallel()
	redistest.Available(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the script needs curl")
	}
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	img, err := fake.NewImage(fake.ImageOptions{Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}},
		demo.Root(demo.Released, runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Push("team/app", "released", img); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name    string
		environ []string
		says    []string
	}{
		{"no_registry", nil, []string{"burns none of its attempts", "replica-2: exit status 2 (", "Everything was as expected."}},
		{"vulnerable_image", []string{"IMAGE=" + reg.Host + "/team/app:released", "PLAIN_HTTP=1"},
			[]string{`"used":1`, "replica-1: exit status 2 (POLICY)", "replica-2: exit status 2 (POLICY)", `"state":"known"`, "Everything was as expected."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, example := range []string{"redis", "quickstart"} {
				if err := os.CopyFS(filepath.Join(dir, example), os.DirFS("../../examples/"+example)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(dir, "redis", "data")); err != nil { // left by a run in the folder itself
				t.Fatal(err)
			}
			port := freePort(t, 6000+2000*i)
			cmd := exec.Command("sh", filepath.Join(dir, "redis", "run.sh"))
			cmd.Env = append(os.Environ(), "DIGESTGATE="+programIn(t, dir), "DIGESTGATE_ANALYZER="+programtest.AnalyzerPath(t), "REDIS_PORT="+port)
			cmd.Env = append(cmd.Env, c.environ...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("run.sh: %v", err)
			}
			for _, part := range c.says {
				if !strings.Contains(string(out), part) {
					t.Errorf("it did not say %q", part)
				}
			}
			if l, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
				t.Errorf("its Redis goes on: %v", err)
			} else {
				_ = l.Close()
			}
			if t.Failed() {
				t.Logf("it said:\n%s", out)
			}
		})
	}
}

// freePort is one of the 2000 from first that nobody listens on just now. Those
// that the system gives to connections and to listeners on port 0 are no good:
// the tests beside this one would take it before redis-server does.
func freePort(t *testing.T, first int) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(first + rand.IntN(2000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatalf("no port from %d on is free", first)
	return ""
}
