package install

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/process"
	"github.com/digestgate/digestgate/tools/charttest"
)

// failing admits every image that it was asked about (warn), and lets no Pod in that it was
// not asked about (Fail): whatever is refused is the fault of the way there.
func failing(port int) string {
	return fmt.Sprintf(`{store: {type: redis, redis: {url: "redis://127.0.0.1:%d/0"}}, webhook: {failurePolicy: Fail, templates: {failurePolicy: Fail}}, config: {%s, admission: {mode: warn}}}`, port, quiet)
}

// redis starts a real server; it is the store of several replicas.
func (w *world) redis(port int) *process.Process {
	w.t.Helper()
	file, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			w.t.Fatal(err)
		}
		w.t.Skip("no redis-server on the PATH")
	}
	dir := filepath.Join(w.dir, "redis")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	p, err := process.Start("redis-server", file, []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"}, dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Stop(5 * time.Second) })
	return p
}

// macKey writes the key that the chart made to where a replica reads it.
func (w *world) macKey() string {
	w.t.Helper()
	r := w.kubectl("", "get", "secret", "digestgate-mac", "--namespace", charttest.Namespace, "-o", "go-template={{index .data \"mac-key\" | base64decode}}")
	if r.Exit != 0 {
		w.t.Fatal(r.Stderr)
	}
	return w.file("mac-key", r.Stdout)
}

// load creates Pods until it is stopped.
type load struct {
	created atomic.Int64
	mu      sync.Mutex
	refused []string
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// loads makes the names of Pods differ between loads.
var loads atomic.Int64

func (w *world) load() *load {
	loads.Add(1)
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &load{cancel: cancel}
	for worker := range 4 {
		l.wg.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond) // etcd has to keep them all
			defer pace.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				<-pace.C
				status, answer := w.createPod(context.WithoutCancel(ctx), "team-a", fmt.Sprintf("load-%d-%d-%d", loads.Load(), worker, n))
				if status == http.StatusCreated {
					l.created.Add(1)
					continue
				}
				l.mu.Lock()
				l.refused = append(l.refused, fmt.Sprintf("%s %d %s", time.Now().Format("15:04:05.000"), status, answer))
				l.mu.Unlock()
			}
		})
	}
	return l
}

// settle returns when n more Pods were created: the way of the reviews is as it is now.
func (l *load) settle(t *testing.T, n int64) {
	t.Helper()
	from := l.created.Load()
	eventually(t, "Pods to be created", func() (bool, string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := l.created.Load()
		return now >= from+n || len(l.refused) > 10, fmt.Sprintf("%d created, %d refused", now, len(l.refused))
	})
}

// end stops the load; nothing may have been refused.
func (l *load) end(t *testing.T, what string) {
	t.Helper()
	l.cancel()
	l.wg.Wait()
	t.Logf("%s: %d Pods created, %d refused", what, l.created.Load(), len(l.refused))
	if len(l.refused) > 0 {
		t.Errorf("%s: %d of %d Pods were refused, the first with %s", what, len(l.refused), l.created.Load()+int64(len(l.refused)), l.refused[0])
	}
	if l.created.Load() < 50 {
		t.Errorf("%s: only %d Pods were created, too few to show anything", what, l.created.Load())
	}
}

// TestNoLockOut plays what must not lock a cluster out, with failurePolicy Fail on everything.
func TestNoLockOut(t *testing.T) {
	w := newWorld(t)
	redisPort := freePort(t, "127.0.0.1")
	values := failing(redisPort)
	config := w.install(values)

	t.Run("cold_start", func(t *testing.T) {
		// Neither the gate nor its store runs. What a cluster needs to start is not asked
		// about: nodes, leases, kube-system, and the namespace of the gate with its store.
		for _, namespace := range []string{"kube-system", charttest.Namespace} {
			for n := range 20 {
				if status, answer := w.createPod(t.Context(), namespace, fmt.Sprintf("cold-%d", n)); status != http.StatusCreated {
					t.Errorf("%s: got %d %s, want the Pod", namespace, status, answer)
				}
			}
		}
		for path, object := range map[string]charttest.Object{
			"/api/v1/nodes":      {"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "node-1"}},
			"/api/v1/namespaces": {"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "cold"}},
			"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": "leader"}},
		} {
			if status, answer := w.create(t.Context(), path, object); status != http.StatusCreated {
				t.Errorf("%s: got %d %s", path, status, answer)
			}
		}
		if status, answer := w.createPod(t.Context(), "team-a", "cold"); status != http.StatusInternalServerError || !strings.Contains(answer, "pods.digestgate.dev") {
			t.Errorf("team-a: got %d %s, want a refusal: nothing is admitted unasked", status, answer)
		}
	})

	w.redis(redisPort)
	mac := "store.macKeyFile=" + w.macKey()
	one := w.start("one", config, "--set", mac)
	two := w.start("two", config, "--set", mac)
	if status, answer := w.createPod(t.Context(), "team-a", "cold"); status != http.StatusCreated {
		t.Fatalf("once the gate runs: got %d %s, want the Pod", status, answer)
	}

	t.Run("secrets_are_kept", func(t *testing.T) {
		before := w.macKeyText()
		w.install(values)
		if w.macKeyText() != before {
			t.Error("an upgrade has replaced the MAC key: nothing that is stored is believed any more")
		}
	})
	t.Run("upgrade", func(t *testing.T) {
		l := w.load()
		l.settle(t, 20)
		three := w.start("three", config, "--set", mac)
		w.remove(one)
		l.settle(t, 20)
		four := w.start("four", config, "--set", mac)
		w.remove(two)
		l.settle(t, 20)
		l.end(t, "rolling upgrade of two replicas")
		one, two = three, four
	})
	t.Run("rotation", func(t *testing.T) {
		l := w.load()
		h := w.handshakes(one, two)
		l.settle(t, 20)
		for _, g := range []*gate{one, two} {
			old := g.authority()
			if err := os.Remove(filepath.Join(g.data, "tls", "authority.pem")); err != nil {
				t.Fatal(err)
			}
			eventually(t, g.name+" to serve under its new authority", func() (bool, string) {
				return g.authority() != old, ""
			})
			l.settle(t, 50)
			for i, bundle := range w.bundles() {
				if !strings.Contains(bundle, old) || !strings.Contains(bundle, g.authority()) {
					t.Errorf("webhook %d has not both authorities of %s", i, g.name)
				}
			}
		}
		l.end(t, "rotation of the authority of both replicas")
		h.end(t)
	})
	t.Run("drain", func(t *testing.T) {
		l := w.load()
		l.settle(t, 20)
		eviction := charttest.Object{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": "cold", "namespace": "team-a"}}
		if status, answer := w.create(t.Context(), "/api/v1/namespaces/team-a/pods/cold/eviction", eviction); status != http.StatusCreated {
			t.Errorf("an eviction: got %d %s, want it: the gate has no say in it", status, answer)
		}
		w.remove(one) // its node is drained; no other is free for it
		l.settle(t, 50)
		w.start("five", config, "--set", mac) // the node is back
		l.settle(t, 20)
		l.end(t, "drain of one of two nodes")
	})
}

// authority is the certificate of the authority that the replica serves with.
func (g *gate) authority() string {
	b, err := os.ReadFile(filepath.Join(g.data, "tls", "ca.crt"))
	if err != nil {
		g.w.t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return "" // being written
	}
	return string(pem.EncodeToMemory(block))
}

func (w *world) macKeyText() string {
	b, err := os.ReadFile(w.macKey())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}
