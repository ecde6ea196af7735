package e2e

import (
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
)

//go:embed webhook.yaml
var webhookTemplate string

// webhookYAML is webhook.yaml for a digestgate at url, whose certificate is
// signed by the authority in caPEM.
func webhookYAML(t *testing.T, url string, caPEM []byte) string {
	return expand(t, "webhook.yaml", webhookTemplate, map[string]string{
		"URL": url, "CA_BUNDLE": base64.StdEncoding.EncodeToString(caPEM),
	})
}

// expand fills in the placeholders ${NAME} of a file outside its comments. It
// fails for one that it does not know.
func expand(t *testing.T, file, text string, values map[string]string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue // the head explains the placeholders to people
		}
		b.WriteString(os.Expand(line, func(name string) string {
			if _, ok := values[name]; !ok {
				t.Fatalf("%s: unknown placeholder %q", file, name)
			}
			return values[name]
		}))
	}
	return b.String()
}

// startCluster starts a cluster for the length of a test. When the test fails,
// the end of the API server's log is shown.
func startCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Options{
		BinDir: "bin", Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("API server, %s", c.LogTail())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// installWebhook applies webhook.yaml and waits until the API server uses it:
// it reads configurations through a watch, a moment after they are stored.
// Until then a Pod that nobody would allow is admitted.
func installWebhook(t *testing.T, c *cluster.Cluster, url string, caPEM []byte) {
	t.Helper()
	admin := cluster.Call{Input: webhookYAML(t, url, caPEM)}
	if r := c.Kubectl(t.Context(), admin, "apply", "-f", "-"); r.Exit != 0 {
		t.Fatalf("installing webhook.yaml: %s", r.Stderr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		canary := cluster.Call{Input: podYAML("default", "canary", "not.configured.example/canary:1")}
		r := c.Kubectl(ctx, canary, "create", "--dry-run=server", "-f", "-")
		if strings.Contains(r.Stderr, "digestgate") { // a refusal or, in mode warn, a warning
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("webhook is not asked 30 s after it was installed: %+v", r)
		}
	}
}

// podYAML is a Pod as a developer writes it. It never runs: there is no node.
func podYAML(namespace, name, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {namespace: %s, name: %s}
spec:
  containers:
  - {name: app, image: %q}
`, namespace, name, image)
}

// oldPodYAML has two containers with one image, and a finalizer.
func oldPodYAML(namespace, name, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {namespace: %s, name: %s, finalizers: [digestgate.example/test]}
spec:
  containers:
  - {name: app, image: %[3]q}
  - {name: sidecar, image: %[3]q}
`, namespace, name, image)
}

// mirrorPodYAML is what a kubelet creates for a static Pod.
func mirrorPodYAML(namespace, name, node, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {namespace: %s, name: %s, annotations: {kubernetes.io/config.mirror: 1f8a4c, kubernetes.io/config.source: file}}
spec:
  nodeName: %s
  containers:
  - {name: app, image: %q}
`, namespace, name, node, image)
}

// apply runs `kubectl apply` as the developer.
func apply(t *testing.T, c *cluster.Cluster, manifest string, args ...string) cluster.Result {
	t.Helper()
	r := c.Kubectl(t.Context(), cluster.Call{User: cluster.Developer, Input: manifest},
		append([]string{"apply", "-f", "-"}, args...)...)
	t.Logf("kubectl apply: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	return r
}
