package charttest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v4/pkg/chart/common"
	util4 "helm.sh/helm/v4/pkg/chart/common/util"
	loader4 "helm.sh/helm/v4/pkg/chart/v2/loader"
	engine4 "helm.sh/helm/v4/pkg/engine"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Release is the name and the namespace that tests install under.
const (
	Release   = "digestgate"
	Namespace = "digestgate"
)

// Object is one rendered object.
type Object = map[string]any

// Values reads a file of values.
func Values(file string) (map[string]any, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	return values, yaml.Unmarshal(b, &values)
}

// Render renders the chart as `helm template` of Helm 3 does, the schema of the values
// included, and returns the manifests by the name of their template.
func Render(dir string, values map[string]any) (map[string]string, error) {
	return RenderIn(dir, values, nil)
}

// RenderIn is Render with access to a cluster, so that the chart finds what it made before.
func RenderIn(dir string, values map[string]any, config *rest.Config) (map[string]string, error) {
	chart, err := loader.LoadDir(dir)
	if err != nil {
		return nil, err
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	given, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: Release, Namespace: Namespace, Revision: 1, IsInstall: true}, caps)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return engine.Render(chart, given)
	}
	return engine.RenderWithClient(chart, given, config)
}

// Render4 is Render with the library of Helm 4.
func Render4(dir string, values map[string]any) (map[string]string, error) {
	chart, err := loader4.LoadDir(dir)
	if err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	caps.KubeVersion = common.KubeVersion{Version: "v1.36.0", Major: "1", Minor: "36"}
	given, err := util4.ToRenderValues(chart, values, common.ReleaseOptions{Name: Release, Namespace: Namespace, Revision: 1, IsInstall: true}, caps)
	if err != nil {
		return nil, err
	}
	return engine4.Render(chart, given)
}

// Objects are those of rendered manifests, in the order of their templates; NOTES.txt and
// partial templates hold none.
func Objects(rendered map[string]string) ([]Object, error) {
	var objects []Object
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for document := range strings.SplitSeq("\n"+rendered[name], "\n---") {
			o := Object{}
			if err := yaml.Unmarshal([]byte(document), &o); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, document)
			}
			if len(o) > 0 {
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

// Order sorts objects as they must be applied: what others need comes first, and webhooks come
// last.
func Order(objects []Object) []Object {
	rank := func(o Object) int {
		order := []string{"Namespace", "PriorityClass", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "ClusterRole", "ClusterRoleBinding", "NetworkPolicy", "Service"}
		if i := slices.Index(order, o["kind"].(string)); i >= 0 {
			return i
		}
		if o["kind"] == "ValidatingWebhookConfiguration" {
			return len(order) + 1
		}
		return len(order)
	}
	slices.SortStableFunc(objects, func(a, b Object) int { return rank(a) - rank(b) })
	return objects
}
