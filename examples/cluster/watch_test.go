package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
)

// closedPolicy keeps everything out of namespaces with a label, and says nothing of
// images.
const closedPolicy = `package digestgate

deny contains {"rule": "closed", "msg": "this namespace is closed"} if input.request.namespaceLabels.gate == "closed"
`

// namespaceReader is the role that kubernetes.watch needs.
const namespaceReader = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: digestgate-watch}
rules:
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: digestgate-watch}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: digestgate-watch}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: digestgate}
`

func namespaceYAML(name, label string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {gate: %s}}\n---\n", name, label)
}

// TestNamespaceLabels: a policy that reads the labels of namespaces, on a real API
// server. What is not known refuses with a code that says "try again", and never passes
// as a namespace without labels.
func TestNamespaceLabels(t *testing.T) {
	digestgate, analyzer := programs(t)
	images := startRegistry(t)
	c := startCluster(t)
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"closed.rego": closedPolicy, "token": c.Token(cluster.Gate), "ca.crt": string(c.Authority().PEM())})
	g := startGate(t, digestgate, analyzer, images.host,
		"DIGESTGATE_POLICY_PATHS=["+filepath.Join(dir, "closed.rego")+"]", "DIGESTGATE_KUBERNETES_WATCH=true", "DIGESTGATE_KUBERNETES_SERVER="+c.URL(),
		"DIGESTGATE_KUBERNETES_TOKENFILE="+filepath.Join(dir, "token"), "DIGESTGATE_KUBERNETES_CAFILE="+filepath.Join(dir, "ca.crt"))
	clean := images.push(t, "library/clean", "1", curlFixed, "clean")
	g.deliver(t, clean)
	g.waitScanned(t, clean)
	installWebhook(t, c, g.admission, g.authority)
	admin := func(input string, args ...string) cluster.Result {
		return c.Kubectl(t.Context(), cluster.Call{User: cluster.Admin, Input: input}, args...)
	}

	// Without a role nothing is known, and nothing is let in.
	r := admin(namespaceYAML("open", "open")+podYAML("open", "early", clean.Ref()), "apply", "-f", "-")
	// kubectl tries again by itself until its time is up.
	if n := g.reviews(t, "deny", "TIMEOUT"); r.Exit == 0 || n == 0 {
		t.Errorf("a Pod while no namespace may be read: got %+v after %d refusals, want it refused for the moment", r, n)
	}
	if r := admin(namespaceReader, "apply", "-f", "-"); r.Exit != 0 {
		t.Fatalf("the role: %+v", r)
	}
	eventually(t, "a Pod where the namespaces may be read", func() bool {
		return admin(podYAML("open", "early", clean.Ref()), "apply", "-f", "-").Exit == 0
	})

	// A namespace and its Pod in one apply, again and again: the watch may not have told.
	for i := range 10 {
		name := fmt.Sprintf("closed-%d", i)
		r := admin(namespaceYAML(name, "closed")+podYAML(name, "web", clean.Ref()), "apply", "-f", "-")
		if r.Exit == 0 || !strings.Contains(r.Stderr, "POLICY") || !strings.Contains(r.Stderr, "this namespace is closed") {
			t.Errorf("%s: got %+v, want the Pod refused by the policy", name, r)
		}
		name = fmt.Sprintf("open-%d", i)
		if r := admin(namespaceYAML(name, "open")+podYAML(name, "web", clean.Ref()), "apply", "-f", "-"); r.Exit != 0 {
			t.Errorf("%s: got %+v, want the Pod created", name, r)
		}
	}

	// A label that changes is followed.
	if r := admin("", "label", "namespace", "open", "gate=closed", "--overwrite"); r.Exit != 0 {
		t.Fatal(r)
	}
	eventually(t, "a label that closes a namespace", func() bool {
		r := admin(podYAML("open", "late", clean.Ref()), "apply", "--dry-run=server", "-f", "-")
		return r.Exit != 0 && strings.Contains(r.Stderr, "POLICY")
	})

	// The role is taken away: what the watch still hears it still knows, and a process
	// that begins to watch now knows nothing.
	if r := admin(namespaceReader, "delete", "-f", "-"); r.Exit != 0 {
		t.Fatal(r)
	}
	status, body, err := g.get(t.Context(), g.private+"/metrics")
	if err != nil || status != 200 || !strings.Contains(string(body), "digestgate_cluster_watch_silence_seconds ") {
		t.Errorf("metrics of the watch: %d %v", status, err)
	}
}

// eventually fails the test when something does not hold within a minute.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !fn(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
