package install

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/examples/cluster/cluster"
	"github.com/digestgate/digestgate/tools/charttest"
)

const quiet = "advisories: {repositories: []}"

// TestInstall is the life of a small installation: audit, then enforce, with what must be
// reviewed and what must not.
func TestInstall(t *testing.T) {
	w := newWorld(t)
	audit := `{config: {` + quiet + `, admission: {mode: audit}}}`
	config := w.install(audit)
	if got := w.bundles(); len(got) != 2 || got[0] != "" {
		t.Fatalf("caBundle before the gate has started: %q", got)
	}
	g := w.start("one", config, "--set", "store.url=sqlite://"+filepath.Join(w.dir, "one", "data", "digestgate.db"))
	for i, bundle := range w.bundles() {
		if !strings.Contains(bundle, "BEGIN CERTIFICATE") {
			t.Errorf("webhook %d: caBundle is %q when the gate is ready", i, bundle)
		}
	}
	if status, answer := w.createPod(t.Context(), "team-a", "audited"); status != http.StatusCreated || !g.logged("audited") {
		t.Errorf("audit: got %d %s, want the Pod, and its review in the log", status, answer)
	}

	// helm upgrade: the caBundle that the gate wrote stays, and failurePolicy follows.
	before := w.bundles()
	w.install(`{config: {` + quiet + `, admission: {mode: enforce}}}`)
	if got := w.bundles(); len(got) != 2 || got[0] != before[0] {
		t.Errorf("an upgrade has changed caBundle:\n%q, before %q", got, before)
	}
	eventually(t, "the mode to follow the file", func() (bool, string) {
		status, answer := w.create(t.Context(), "/api/v1/namespaces/team-a/pods?dryRun=All", pod("team-a", "probe", "registry.example/team/web:1"))
		return status == http.StatusForbidden, answer
	})
	t.Run("refused", func(t *testing.T) {
		for _, namespace := range []string{"team-a", "default", "kube-system2"} {
			if namespace == "kube-system2" {
				w.apply(charttest.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
			}
			if status, answer := w.createPod(t.Context(), namespace, "refused"); status != http.StatusForbidden || !strings.Contains(answer, "REGISTRY_NOT_TRUSTED") {
				t.Errorf("%s: got %d %s, want REGISTRY_NOT_TRUSTED", namespace, status, answer)
			}
		}
	})
	t.Run("exempt", func(t *testing.T) {
		for _, namespace := range []string{"kube-system", charttest.Namespace} {
			if status, answer := w.createPod(t.Context(), namespace, "exempt"); status != http.StatusCreated {
				t.Errorf("%s: got %d %s, want the Pod", namespace, status, answer)
			}
		}
	})
	t.Run("a_label_exempts_nobody", func(t *testing.T) { // A21
		r := w.kubectl("", "label", "--overwrite", "namespace", "team-a", "kubernetes.io/metadata.name=kube-system")
		if status, _ := w.createPod(t.Context(), "team-a", "labelled"); status != http.StatusForbidden {
			t.Errorf("got %d after %+v, want a refusal", status, r)
		}
	})
	t.Run("updates", func(t *testing.T) { w.updates(t, g) })
	t.Run("templates", func(t *testing.T) { w.templates(t, g) })
	t.Run("recovery", func(t *testing.T) { w.recovery(t, g) })
}

// recovery runs the commands of docs/recovery.md: the gate is gone, the webhook is deleted and
// comes back.
func (w *world) recovery(t *testing.T, g *gate) {
	const account = "--as=system:serviceaccount:digestgate:digestgate"
	for _, verb := range []string{"patch", "delete", "update"} {
		r := w.kubectl("", "auth", "can-i", verb, "validatingwebhookconfigurations/"+webhook, account)
		if got := strings.TrimSpace(r.Stdout); (got == "yes") != (verb == "patch") {
			t.Errorf("the gate may %s its webhook configuration: %q", verb, got)
		}
	}
	if err := g.process.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if status, answer := w.createPod(t.Context(), "team-a", "locked-out"); status != http.StatusInternalServerError || !strings.Contains(answer, "failed calling webhook") {
		t.Fatalf("without the gate: got %d %s, want a refusal", status, answer)
	}
	if r := w.kubectl("", "delete", "validatingwebhookconfiguration", webhook); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	eventually(t, "Pods to start without the webhook", func() (bool, string) {
		status, answer := w.createPod(t.Context(), "team-a", "unlocked")
		return status == http.StatusCreated, answer
	})
	w.again(t, g)
}

// again brings the webhook and the gate back, with the data that the gate had.
func (w *world) again(t *testing.T, g *gate) {
	config := w.install(`{config: {` + quiet + `, admission: {mode: enforce}}}`)
	if got := w.bundles(); got[0] != "" {
		t.Errorf("the chart has written caBundle: %q", got)
	}
	w.start(g.name, config, "--set", "store.url=sqlite://"+filepath.Join(g.data, "digestgate.db"))
	if got := w.bundles(); !strings.Contains(got[0], "BEGIN CERTIFICATE") {
		t.Errorf("caBundle when the gate is ready again: %q", got)
	}
	if status, answer := w.createPod(t.Context(), "team-a", "refused-again"); status != http.StatusForbidden || !strings.Contains(answer, "REGISTRY_NOT_TRUSTED") {
		t.Errorf("got %d %s, want REGISTRY_NOT_TRUSTED", status, answer)
	}
}

// logged reports whether the gate has reviewed an object of that name.
func (g *gate) logged(name string) bool {
	return strings.Contains(g.process.Tail(), `name=`+name) || strings.Contains(g.process.Tail(), `"name":"`+name+`"`)
}

// updates: labels and finalizers of a Pod that runs are no matter of the gate; an image that
// is new in it is, by an update and by kubectl debug.
func (w *world) updates(t *testing.T, g *gate) {
	count := func() int { return g.reviews() }
	before := count()
	for _, args := range [][]string{{"label", "pod", "audited", "a=b"}, {"annotate", "pod", "audited", "a=b"}} {
		if r := w.kubectl("", append(args, "--namespace", "team-a")...); r.Exit != 0 {
			t.Error(r.Stderr)
		}
	}
	if got := count(); got != before {
		t.Errorf("got %d reviews of labels and annotations, want none", got-before)
	}
	if r := w.kubectl("", "set", "image", "pod/audited", "c=registry.example/team/other:1", "--namespace", "team-a"); r.Exit == 0 || !strings.Contains(r.Stderr, "REGISTRY_NOT_TRUSTED") {
		t.Errorf("another image: got %+v, want a refusal", r)
	}
	if r := w.kubectl("", "debug", "audited", "--image=registry.example/tools:1", "--attach=false", "--profile=restricted", "--namespace", "team-a"); r.Exit == 0 || !strings.Contains(r.Stderr, "REGISTRY_NOT_TRUSTED") {
		t.Errorf("kubectl debug: got %+v, want a refusal", r)
	}
	if got := count(); got < before+2 {
		t.Errorf("got %d reviews, want at least 2", got-before)
	}
}

// templates: every kind with a Pod template is reviewed when it is created and when its
// template changes.
func (w *world) templates(t *testing.T, g *gate) {
	spec := `{containers: [{name: c, image: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}], restartPolicy: Always}`
	never := strings.Replace(spec, "Always", "Never", 1)
	labels := `metadata: {labels: {a: b}}`
	for kind, text := range map[string]string{
		"apps/v1 Deployment":       `spec: {selector: {matchLabels: {a: b}}, template: {` + labels + `, spec: ` + spec + `}}`,
		"apps/v1 ReplicaSet":       `spec: {selector: {matchLabels: {a: b}}, template: {` + labels + `, spec: ` + spec + `}}`,
		"apps/v1 DaemonSet":        `spec: {selector: {matchLabels: {a: b}}, template: {` + labels + `, spec: ` + spec + `}}`,
		"apps/v1 StatefulSet":      `spec: {serviceName: x, selector: {matchLabels: {a: b}}, template: {` + labels + `, spec: ` + spec + `}}`,
		"batch/v1 Job":             `spec: {template: {spec: ` + never + `}}`,
		"batch/v1 CronJob":         `spec: {schedule: "0 0 * * *", jobTemplate: {spec: {template: {spec: ` + never + `}}}}`,
		"v1 ReplicationController": `spec: {selector: {a: b}, template: {` + labels + `, spec: ` + spec + `}}`,
		"v1 PodTemplate":           `template: {` + labels + `, spec: ` + spec + `}`,
	} {
		version, name, _ := strings.Cut(kind, " ")
		r := w.kubectl("apiVersion: "+version+"\nkind: "+name+"\nmetadata: {name: template, namespace: team-a}\n"+text+"\n", "apply", "-f", "-")
		if r.Exit == 0 || !strings.Contains(r.Stderr, "REF_AMBIGUOUS") || !strings.Contains(r.Stderr, "templates.digestgate.dev") {
			t.Errorf("%s: got %+v, want REF_AMBIGUOUS", kind, r)
		}
	}
	good := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: changed, namespace: team-a}\nspec: {replicas: 1, selector: {matchLabels: {a: b}}, template: {" + labels + `, spec: {containers: [{name: c, image: "registry.example/x:1"}]}}}` + "\n"
	if r := w.kubectl(good, "apply", "-f", "-"); r.Exit != 0 || !strings.Contains(r.Stderr, "REGISTRY_NOT_TRUSTED") {
		t.Errorf("a Deployment whose image is not trusted: got %+v, want it with a warning", r)
	}
	before := g.reviews()
	if r := w.kubectl("", "annotate", "deployment", "changed", "a=b", "--namespace", "team-a"); r.Exit != 0 {
		t.Error(r.Stderr)
	}
	if got := g.reviews(); got != before {
		t.Errorf("got %d reviews of an annotation, want none", got-before)
	}
	if r := w.cluster.Kubectl(t.Context(), cluster.Call{}, "set", "image", "deployment/changed", "c=sha256:"+strings.Repeat("0", 64), "--namespace", "team-a"); r.Exit == 0 || !strings.Contains(r.Stderr, "REF_AMBIGUOUS") {
		t.Errorf("another image of a Deployment: got %+v, want REF_AMBIGUOUS", r)
	}
}
