package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
	"github.com/digestgate/digestgate/examples/cluster/process"
)

// TestClientsTryAgain: what digestgate refuses with 503 because its store does
// not answer for a moment, kubectl, which is client-go, asks for again by
// itself; the developer sees a delay and no error.
func TestClientsTryAgain(t *testing.T) {
	digestgate, analyzer := programs(t)
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on the PATH: apt-get install redis-server")
	}
	dir := t.TempDir()
	ports, err := process.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	redis, err := process.Start("redis", path, []string{"--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--appendonly", "yes", "--dir", dir}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := redis.Stop(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	key := strings.Repeat("0123456789abcdef", 4)
	writeFiles(t, dir, map[string]string{"mac.key": key + "\n"})
	store := []string{fmt.Sprintf("DIGESTGATE_STORE_URL=redis://127.0.0.1:%d/0", ports[0]), "DIGESTGATE_STORE_MACKEYFILE=" + filepath.Join(dir, "mac.key")}
	images := startRegistry(t)
	worker := startGate(t, digestgate, analyzer, images.host, store...)
	clean := images.push(t, "library/clean", "1", curlFixed, "clean")
	worker.deliver(t, clean)
	worker.waitScanned(t, clean)
	// Another replica, which has no copy of the image's record yet.
	g := startGate(t, digestgate, analyzer, images.host, store...)
	c := startCluster(t)
	installWebhook(t, c, g.admission, g.authority)

	if err := redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Signal(syscall.SIGCONT) })
	created := make(chan cluster.Result, 1)
	go func() {
		created <- c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer, Input: podYAML("team-a", "clean", clean.Host+"/"+clean.Repository+"@"+clean.Digest)}, "create", "-f", "-")
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for g.reviews(t, "deny", "STORE_UNAVAILABLE") == 0 {
		select {
		case r := <-created:
			t.Fatalf("kubectl create while the store is silent: got %+v, want it refused and waiting", r)
		case <-ctx.Done():
			t.Fatal("no review was refused within a minute")
		case <-tick.C:
		}
	}
	if err := redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r := <-created
	t.Logf("kubectl create: exit %d, %s", r.Exit, r.Stdout)
	if r.Exit != 0 || !strings.Contains(r.Stdout, "pod/clean created") || strings.Contains(r.Stderr, "Error") {
		t.Errorf("kubectl create: got %+v, want the Pod created without an error", r)
	}
	t.Logf("%d reviews were refused with STORE_UNAVAILABLE, and one kubectl create succeeded", g.reviews(t, "deny", "STORE_UNAVAILABLE"))
}

// reviews is how many reviews had an outcome and a code, in mode enforce.
func (g *gate) reviews(t *testing.T, outcome, code string) int {
	t.Helper()
	status, body, err := g.get(t.Context(), g.private+"/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET /metrics: %d %v", status, err)
	}
	m := regexp.MustCompile(`(?m)^digestgate_admission_reviews_total\{code="` + code + `",mode="enforce",outcome="` + outcome + `"\} (\d+)$`).FindSubmatch(body)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
