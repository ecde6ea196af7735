package e2e

import (
	"crypto/tls"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
)

// review is the part of an AdmissionReview that the stand-in reads.
type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    struct {
		UID         string `json:"uid"`
		Operation   string `json:"operation"`
		SubResource string `json:"subResource"`
		Namespace   string `json:"namespace"`
		DryRun      bool   `json:"dryRun"`
		UserInfo    struct {
			Username string `json:"username"`
		} `json:"userInfo"`
		Object struct {
			Spec struct {
				Containers          []container `json:"containers"`
				EphemeralContainers []container `json:"ephemeralContainers"`
			} `json:"spec"`
		} `json:"object"`
	} `json:"request"`
}

type container struct {
	Image string `json:"image"`
}

// standIn answers reviews in digestgate's place, so that the cluster and
// webhook.yaml are proven without it: an image named "bad" is refused, one
// named "warn" is admitted with a warning.
type standIn struct {
	mu   sync.Mutex
	seen []review
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in review
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/admission/validate" {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen, in)
	s.mu.Unlock()

	response := map[string]any{"uid": in.Request.UID, "allowed": true}
	spec := in.Request.Object.Spec
	for _, c := range append(spec.Containers, spec.EphemeralContainers...) {
		switch {
		case strings.Contains(c.Image, "bad"), strings.Contains(c.Image, "canary"):
			response["allowed"] = false
			response["status"] = map[string]any{"code": 403, "reason": "POLICY",
				"message": `digestgate: POLICY: spec.containers[0].image: "` + c.Image + `": refused by the stand-in`}
		case strings.Contains(c.Image, "warn"):
			response["warnings"] = []string{"stand-in warns of " + c.Image}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"apiVersion": in.APIVersion, "kind": in.Kind, "response": response,
	})
}

// last is the newest review for a namespace.
func (s *standIn) last(namespace string) (review, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.seen) - 1; i >= 0; i-- {
		if s.seen[i].Request.Namespace == namespace {
			return s.seen[i], true
		}
	}
	return review{}, false
}

// serve starts the stand-in with a certificate of the cluster's authority.
func (s *standIn) serve(t *testing.T, c *cluster.Cluster) (url string) {
	t.Helper()
	certPEM, keyPEM, err := c.Authority().Issue("digestgate stand-in")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "https://" + l.Addr().String()
}

// TestClusterHarness proves the cluster, the users and webhook.yaml.
func TestClusterHarness(t *testing.T) {
	c := startCluster(t)
	gate := &standIn{}
	installWebhook(t, c, gate.serve(t, c), c.Authority().PEM())

	t.Run("versions_agree", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{}, "version")
		if want := "Version: " + pinned(t); strings.Count(r.Stdout, want) != 2 {
			t.Errorf("kubectl version: got %q, want %q of client and server", r.Stdout, want)
		}
	})
	t.Run("good_pod_is_stored", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "good", "registry.example/good:1"))
		if r.Exit != 0 || !strings.Contains(r.Stdout, "pod/good created") || r.Stderr != "" {
			t.Errorf("got %+v, want the Pod created", r)
		}
		got, _ := gate.last("team-a")
		if got.Request.UserInfo.Username != "developer" || got.Request.Operation != "CREATE" || got.Request.DryRun {
			t.Errorf("review: got %+v, want a CREATE by the developer", got.Request)
		}
	})
	t.Run("refusal_reaches_the_developer", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "bad", "registry.example/bad:1"))
		want := `admission webhook "digestgate.validate.pods" denied the request: digestgate: POLICY: spec.containers[0].image: "registry.example/bad:1": refused by the stand-in`
		if r.Exit != 1 || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "Error from server (POLICY)") {
			t.Errorf("got %+v, want exit 1 and %q", r, want)
		}
	})
	t.Run("warning_reaches_the_developer", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "warned", "registry.example/warn:1"))
		if r.Exit != 0 || !strings.Contains(r.Stderr, "Warning: stand-in warns of registry.example/warn:1") {
			t.Errorf("got %+v, want the Pod created with a warning", r)
		}
	})
	t.Run("dry_run_is_marked", func(t *testing.T) {
		apply(t, c, podYAML("team-a", "dry", "registry.example/good:1"), "--dry-run=server")
		if got, _ := gate.last("team-a"); !got.Request.DryRun {
			t.Errorf("review of a dry run: got %+v, want dryRun", got.Request)
		}
	})
	t.Run("ephemeral_container_is_reviewed", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"debug", "-n", "team-a", "good", "--image=registry.example/bad-tools:1", "--attach=false")
		if r.Exit == 0 || !strings.Contains(r.Stderr, "bad-tools") || !strings.Contains(r.Stderr, "denied the request") {
			t.Errorf("kubectl debug: got %+v, want a refusal", r)
		}
		if got, _ := gate.last("team-a"); got.Request.SubResource != "ephemeralcontainers" {
			t.Errorf("review: got %+v, want the subresource", got.Request)
		}
	})
	t.Run("changed_image_is_reviewed", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"set", "image", "-n", "team-a", "pod/good", "app=registry.example/bad:2")
		if r.Exit == 0 || !strings.Contains(r.Stderr, "bad:2") {
			t.Errorf("kubectl set image: got %+v, want a refusal", r)
		}
	})
	t.Run("exempt_namespace_is_not_reviewed", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{Input: podYAML("kube-system", "bad", "registry.example/bad:1")}, "apply", "-f", "-")
		if _, asked := gate.last("kube-system"); r.Exit != 0 || asked {
			t.Errorf("Pod in kube-system: got %+v, asked %t; want it stored unasked", r, asked)
		}
	})
	t.Run("developer_stays_in_his_namespaces", func(t *testing.T) {
		r := apply(t, c, podYAML("kube-system", "mine", "registry.example/good:1"))
		if r.Exit == 0 || !strings.Contains(r.Stderr, `User "developer" cannot`) {
			t.Errorf("developer in kube-system: got %+v, want Forbidden", r)
		}
		r = c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer}, "delete", "validatingwebhookconfiguration", "digestgate")
		if r.Exit == 0 {
			t.Errorf("developer deletes the gate: got %+v, want Forbidden", r)
		}
	})
}

// pinned is the release in go.mod that the API server was built from.
func pinned(t *testing.T) string {
	t.Helper()
	info, err := buildinfo.ReadFile("bin/kube-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/kubernetes" {
			return m.Version
		}
	}
	t.Fatal("bin/kube-apiserver does not say what it is built from")
	return ""
}

// TestGateIsDown: failurePolicy Fail, seen by a developer.
func TestGateIsDown(t *testing.T) {
	c := startCluster(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	installWebhook(t, c, "https://"+l.Addr().String(), c.Authority().PEM())
	r := apply(t, c, podYAML("default", "any", "registry.example/good:1"))
	if r.Exit == 0 || !strings.Contains(r.Stderr, `failed calling webhook "digestgate.validate.pods"`) {
		t.Errorf("Pod without a gate: got %+v, want a refusal", r)
	}
}

// TestTwoClusters: nothing is shared, and nothing is left.
func TestTwoClusters(t *testing.T) {
	a, b := startCluster(t), startCluster(t)
	if r := a.Kubectl(t.Context(), cluster.Call{}, "create", "namespace", "only-a"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	if r := b.Kubectl(t.Context(), cluster.Call{}, "get", "namespace", "only-a"); r.Exit == 0 {
		t.Error("second cluster knows a namespace of the first")
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if r := b.Kubectl(t.Context(), cluster.Call{}, "get", "namespaces"); r.Exit != 0 {
		t.Errorf("second cluster after the first was stopped: %s", r.Stderr)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(a.URL(), "https://")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a stopped cluster: got %v, want refused", err)
	}
	if _, err := os.Stat(b.Kubeconfig()); err != nil {
		t.Error(err)
	}
}
