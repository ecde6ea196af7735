package install

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/tools/charttest"
)

var update = flag.Bool("update", false, "write the schemas of tools/charttest again")

// kinds are those of Kubernetes that the chart renders, by the name of their definition.
var kinds = map[string]string{
	"configmap-v1":                           "io.k8s.api.core.v1.ConfigMap",
	"secret-v1":                              "io.k8s.api.core.v1.Secret",
	"service-v1":                             "io.k8s.api.core.v1.Service",
	"serviceaccount-v1":                      "io.k8s.api.core.v1.ServiceAccount",
	"persistentvolumeclaim-v1":               "io.k8s.api.core.v1.PersistentVolumeClaim",
	"deployment-apps-v1":                     "io.k8s.api.apps.v1.Deployment",
	"poddisruptionbudget-policy-v1":          "io.k8s.api.policy.v1.PodDisruptionBudget",
	"horizontalpodautoscaler-autoscaling-v2": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	"networkpolicy-networking-v1":            "io.k8s.api.networking.v1.NetworkPolicy",
	"ingress-networking-v1":                  "io.k8s.api.networking.v1.Ingress",
	"priorityclass-scheduling-v1":            "io.k8s.api.scheduling.v1.PriorityClass",
	"clusterrole-rbac-v1":                    "io.k8s.api.rbac.v1.ClusterRole",
	"clusterrolebinding-rbac-v1":             "io.k8s.api.rbac.v1.ClusterRoleBinding",
	"validatingwebhookconfiguration-admissionregistration-v1": "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
}

// TestSchemas keeps the schemas that tools/charttest validates with as this API server has them.
func TestSchemas(t *testing.T) {
	w := newWorld(t)
	r := w.kubectl("", "get", "--raw", "/openapi/v2")
	if r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	var document struct {
		Definitions map[string]any `json:"definitions"`
	}
	if err := json.NewDecoder(strings.NewReader(r.Stdout)).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for file, name := range kinds {
		if document.Definitions[name] == nil {
			t.Errorf("the API server has no definition %s", name)
			continue
		}
		want, err := json.Marshal(charttest.Schema(document.Definitions, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "schemas", file+".json")
		if *update {
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				err = os.WriteFile(path, append(bytes.Clone(want), '\n'), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(bytes.TrimSpace(got), want) {
			t.Errorf("%s is not what the API server says (%v); run the test with -update", path, err)
		}
	}
}
