package charttest

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write charts/manifests/digestgate.yaml again")

const manifestsHead = `# Rendered from charts/digestgate by make manifests; do not edit. One replica on SQLite, in the
# mode audit. Change config.yaml in the ConfigMap, and apply it:
#
#   kubectl apply --server-side -f digestgate.yaml
#
# To enforce, set admission.mode to enforce in the ConfigMap, and failurePolicy of the webhook
# pods.digestgate.dev to Fail. With the chart both follow one value.
`

// TestManifests keeps charts/manifests/digestgate.yaml as the chart renders it.
func TestManifests(t *testing.T) {
	objects := append([]Object{{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": Namespace, "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"},
	}}}, Order(render(t, `{}`))...)
	var b bytes.Buffer
	b.WriteString(manifestsHead)
	for _, o := range objects {
		labels, _ := o["metadata"].(map[string]any)["labels"].(map[string]any)
		delete(labels, "helm.sh/chart")
		if labels["app.kubernetes.io/managed-by"] != nil {
			labels["app.kubernetes.io/managed-by"] = "kubectl"
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	file := "../../charts/manifests/digestgate.yaml"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what the chart renders; run make manifests", file)
	}
}
