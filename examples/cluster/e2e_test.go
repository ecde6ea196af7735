package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
)

// TestEndToEnd is the whole way of an image: push, scan, verdict, admission,
// as developers meet it. The steps build on each other.
func TestEndToEnd(t *testing.T) {
	digestgate, analyzer := programs(t) // before anything takes time
	images := startRegistry(t)
	g := startGate(t, digestgate, analyzer, images.host)
	c := startCluster(t)
	clean := images.push(t, "library/clean", "1", curlFixed, "clean")
	bad := images.push(t, "library/bad", "1", curlVulnerable, "bad")
	// It runs since before there was a gate.
	if r := apply(t, c, oldPodYAML("team-a", "old", bad.Ref())); r.Exit != 0 {
		t.Fatalf("a Pod before the webhook: %+v", r)
	}
	installWebhook(t, c, g.admission, g.authority)

	late := images.push(t, "library/late", "1", curlFixed, "late")
	for _, p := range []pushed{clean, bad} { // of late nobody tells digestgate
		g.deliver(t, p)
	}
	if got := g.waitScanned(t, clean); got.Verdict.Decision == "deny" {
		t.Fatalf("clean image: got %+v, want it allowed", got)
	}
	if got := g.waitScanned(t, bad); got.Verdict.Decision != "deny" {
		t.Fatalf("bad image: got %+v, want it denied", got)
	}

	t.Run("clean_image_is_admitted", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "clean", clean.Ref()))
		if r.Exit != 0 || !strings.Contains(r.Stdout, "pod/clean created") {
			t.Errorf("got %+v, want the Pod created", r)
		}
	})
	t.Run("bad_image_is_denied", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "bad", bad.Ref()))
		wantDenied(t, r, "POLICY", "spec.containers[0].image", bad)
		if !strings.Contains(r.Stderr, "CVE-2023-38545") {
			t.Errorf("got %q, want the vulnerability named", r.Stderr)
		}
		if r := get(t, c, "pod/bad"); r.Exit == 0 {
			t.Error("the denied Pod was stored")
		}
	})
	t.Run("bad_image_by_digest_is_denied", func(t *testing.T) {
		byDigest := bad.Host + "/" + bad.Repository + "@" + bad.Digest
		r := apply(t, c, podYAML("team-a", "bad-digest", byDigest))
		if r.Exit != 1 || !strings.Contains(r.Stderr, `digestgate: POLICY: spec.containers[0].image: "`+byDigest+`": `) {
			t.Errorf("got %+v, want a refusal that names the reference", r)
		}
	})
	t.Run("dry_run_queues_nothing", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "late", late.Ref()), "--dry-run=server")
		wantDenied(t, r, "UNSCANNED", "spec.containers[0].image", late)
		if got, ok := g.image(t, t.Context(), late.Digest); ok && got.State != "not_scanned" {
			t.Errorf("after a dry run: got %+v, want nothing queued", got)
		}
	})
	t.Run("unscanned_image_is_admitted_after_its_scan", func(t *testing.T) {
		pod := podYAML("team-a", "late", late.Ref())
		r := apply(t, c, pod)
		wantDenied(t, r, "UNSCANNED|PENDING", "spec.containers[0].image", late)
		g.waitScanned(t, late)
		if r = apply(t, c, pod); r.Exit != 0 || !strings.Contains(r.Stdout, "pod/late created") {
			t.Errorf("same apply after the scan: got %+v, want the Pod created", r)
		}
	})
	t.Run("ephemeral_container_is_denied", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"debug", "-n", "team-a", "clean", "--image="+bad.Ref(), "--attach=false")
		t.Logf("kubectl debug: exit %d\n%s", r.Exit, r.Stderr)
		wantDenied(t, r, "POLICY", "spec.ephemeralContainers[0].image", bad)
		r = get(t, c, "pod/clean", "-o", "jsonpath={.spec.ephemeralContainers}")
		if r.Exit != 0 || r.Stdout != "" {
			t.Errorf("ephemeral containers afterwards: got %+v, want none", r)
		}
	})
	t.Run("changed_image_is_denied", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"set", "image", "-n", "team-a", "pod/clean", "app="+bad.Ref())
		wantDenied(t, r, "POLICY", "spec.containers[0].image", bad)
	})
	t.Run("refused_pod_can_be_debugged", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"debug", "-n", "team-a", "old", "--image="+clean.Ref(), "--attach=false")
		t.Logf("kubectl debug: exit %d\n%s", r.Exit, r.Stderr)
		if r.Exit != 0 || !strings.Contains(r.Stderr, "Warning: digestgate: POLICY: spec.containers[0].image") {
			t.Errorf("kubectl debug with a clean image: got %+v, want it done with a warning", r)
		}
		if r := get(t, c, "pod/old", "-o", "jsonpath={.spec.ephemeralContainers[*].image}"); r.Stdout != clean.Ref() {
			t.Errorf("ephemeral containers afterwards: got %+v", r)
		}
		r = c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"debug", "-n", "team-a", "old", "--image="+bad.Ref(), "--attach=false")
		wantDenied(t, r, "POLICY", "spec.ephemeralContainers[1].image", bad)
	})
	t.Run("one_of_two_containers_can_be_mended", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer},
			"set", "image", "-n", "team-a", "pod/old", "app="+clean.Ref())
		if r.Exit != 0 || !strings.Contains(r.Stderr, "Warning: digestgate: POLICY: spec.containers[1].image") {
			t.Errorf("kubectl set image: got %+v, want it done with a warning", r)
		}
	})
	t.Run("refused_pod_loses_its_finalizer", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{}, "patch", "-n", "team-a", "pod/old", "--type=merge", `--patch={"metadata":{"finalizers":null}}`)
		if r.Exit != 0 {
			t.Errorf("removing the finalizer: got %+v", r)
		}
	})
	t.Run("mirror_pod_is_admitted_and_counted", func(t *testing.T) {
		kubelet := []string{"create", "-f", "-", "--as=system:node:node-1", "--as-group=system:nodes", "--as-group=system:masters"}
		r := c.Kubectl(t.Context(), cluster.Call{Input: mirrorPodYAML("team-a", "static-node-1", "node-1", bad.Ref())}, kubelet...)
		if r.Exit != 0 || !strings.Contains(r.Stderr, "Warning: digestgate: this is the mirror Pod") {
			t.Errorf("a mirror Pod by its node: got %+v, want it stored with a warning", r)
		}
		r = c.Kubectl(t.Context(), cluster.Call{Input: mirrorPodYAML("team-a", "static-node-2", "node-2", bad.Ref())}, kubelet...)
		wantDenied(t, r, "POLICY", "spec.containers[0].image", bad)
		if got := g.reviews(t, "mirror", "none"); got != 1 {
			t.Errorf("mirror Pods counted: got %d, want 1", got)
		}
	})
	t.Run("unknown_registry_is_denied", func(t *testing.T) {
		r := apply(t, c, podYAML("team-a", "foreign", "registry.example/any:1"))
		if r.Exit != 1 || !strings.Contains(r.Stderr, `digestgate: REGISTRY_NOT_TRUSTED: spec.containers[0].image: "registry.example/any:1": `) {
			t.Errorf("got %+v, want REGISTRY_NOT_TRUSTED", r)
		}
	})
	t.Run("warn_mode_warns", func(t *testing.T) {
		c.Kubectl(t.Context(), cluster.Call{}, "create", "namespace", "team-warn")
		c.Kubectl(t.Context(), cluster.Call{}, "create", "rolebinding", "developers", "-n", "team-warn", "--clusterrole=developer", "--group=developers")
		r := apply(t, c, podYAML("team-warn", "bad", bad.Ref()))
		if r.Exit != 0 || !strings.Contains(r.Stdout, "pod/bad created") ||
			!strings.Contains(r.Stderr, `Warning: digestgate: POLICY: spec.containers[0].image: "`+bad.Ref()) {
			t.Errorf("got %+v, want the Pod created with a warning", r)
		}
	})
	t.Run("exempt_namespace_is_not_asked", func(t *testing.T) {
		r := c.Kubectl(t.Context(), cluster.Call{Input: podYAML("kube-system", "bad", bad.Ref())}, "apply", "-f", "-")
		if r.Exit != 0 {
			t.Errorf("Pod in kube-system: got %+v, want it stored", r)
		}
	})
}

// wantDenied checks the exact beginning of what the developer reads; codes are
// the allowed ones, divided by "|".
func wantDenied(t *testing.T, r cluster.Result, codes, path string, p pushed) {
	t.Helper()
	want := regexp.MustCompile(`admission webhook "digestgate\.validate\.pods" denied the request: digestgate: (` + codes + `): ` +
		regexp.QuoteMeta(path+`: "`+p.Ref()+`": `) + `\S`)
	if r.Exit != 1 || !want.MatchString(r.Stderr) {
		t.Errorf("got exit %d and %q, want exit 1 and a match of %s", r.Exit, r.Stderr, want)
	}
}

// get runs `kubectl get` in team-a as the developer.
func get(t *testing.T, c *cluster.Cluster, args ...string) cluster.Result {
	t.Helper()
	return c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer}, append([]string{"get", "-n", "team-a"}, args...)...)
}
