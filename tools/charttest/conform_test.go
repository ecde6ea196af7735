package charttest

import (
	"io"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
	"sigs.k8s.io/yaml"
)

// schemas are those of Kubernetes that the chart renders objects of, without network. They are
// written, and kept as the API server has them, by the test in the folder install.
const schemas = "schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json"

// others are kinds of other projects; a real API server checks them by testdata/crds.yaml.
var others = map[string]struct{}{"ServiceMonitor": {}, "PrometheusRule": {}, "ScaledObject": {}, "Certificate": {}, "Issuer": {}}

func conform(t *testing.T) validator.Validator {
	t.Helper()
	v, err := validator.New([]string{schemas}, validator.Opts{Strict: true, SkipKinds: others, KubernetesVersion: "1.36.3"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestConform validates every rendered object against the schemas of Kubernetes.
func TestConform(t *testing.T) {
	v := conform(t)
	each(t, func(t *testing.T, _ string, objects []Object) {
		checked := 0
		for _, o := range objects {
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range v.Validate(name(o), io.NopCloser(strings.NewReader(string(text)))) {
				switch r.Status {
				case validator.Valid:
					checked++
				case validator.Skipped:
				default:
					t.Errorf("%s %s: %v %v", o["kind"], name(o), r.Err, r.ValidationErrors)
				}
			}
		}
		if checked < 8 {
			t.Errorf("only %d objects were validated", checked)
		}
	})
	t.Run("finds_mistakes", func(t *testing.T) {
		service := "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1, targetPrt: x}]}\n"
		if r := v.Validate("a", io.NopCloser(strings.NewReader(service))); r[0].Status != validator.Invalid {
			t.Errorf("an unknown field: got %v, want invalid", r[0])
		}
	})
}

// TestSchemas: what is kept is used.
func TestSchemas(t *testing.T) {
	files, err := filepath.Glob("schemas/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %q, %v", files, err)
	}
	kinds := maps.Clone(others)
	all, _ := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	for _, file := range all {
		values, err := Values(file)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := Render(chartDir, values)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Objects(rendered)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			kinds[o["kind"].(string)] = struct{}{}
		}
	}
	if want := len(kinds) - len(others); len(files) != want {
		t.Errorf("got %d schemas of %d kinds that are rendered", len(files), want)
	}
}
