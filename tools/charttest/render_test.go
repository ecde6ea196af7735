package charttest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../charts/digestgate"

// secrets are random: two renderings differ in them.
var secrets = regexp.MustCompile(`(mac-key|key): [A-Za-z0-9+/]{80,}={0,2}`)

// each runs a test with every file of ci.
func each(t *testing.T, f func(t *testing.T, name string, objects []Object)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) < 6 {
		t.Fatalf("files of values: got %q, %v, want at least 6", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), "-values.yaml")
		t.Run(name, func(t *testing.T) {
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
			f(t, name, objects)
		})
	}
}

// render is one rendering of the test.
func render(t *testing.T, values string) []Object {
	t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &v); err != nil {
		t.Fatal(err)
	}
	rendered, err := Render(chartDir, v)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Objects(rendered)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// into decodes a part of an object.
func into[T any](t *testing.T, from any) (to T) {
	t.Helper()
	b, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(b, &to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func ofKind(objects []Object, kind string) (list []Object) {
	for _, o := range objects {
		if o["kind"] == kind {
			list = append(list, o)
		}
	}
	return list
}

func name(o Object) string { return o["metadata"].(map[string]any)["name"].(string) }

// TestHelm3AndHelm4: both libraries make the same of every file.
func TestHelm3AndHelm4(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			values, err := Values(file)
			if err != nil {
				t.Fatal(err)
			}
			three, err := Render(chartDir, maps.Clone(values))
			if err != nil {
				t.Fatal(err)
			}
			four, err := Render4(chartDir, maps.Clone(values))
			if err != nil {
				t.Fatal(err)
			}
			for _, all := range []map[string]string{three, four} {
				for name, text := range all {
					all[name] = secrets.ReplaceAllString(text, "$1: RANDOM")
				}
			}
			if diff := cmp.Diff(three, four); diff != "" {
				t.Errorf("Helm 3 (-) and Helm 4 (+) differ:\n%s", diff)
			}
		})
	}
}

// TestNoObjectTwice: two objects of one name would overwrite each other.
func TestNoObjectTwice(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []Object) {
		seen := map[string]bool{}
		for _, o := range objects {
			id := o["kind"].(string) + "/" + name(o)
			if seen[id] {
				t.Errorf("%s is rendered twice", id)
			}
			seen[id] = true
			labels, _ := o["metadata"].(map[string]any)["labels"].(map[string]any)
			if labels["app.kubernetes.io/instance"] != Release && !strings.HasSuffix(name(o), "-more") {
				t.Errorf("%s has no label app.kubernetes.io/instance", id)
			}
		}
	})
}

type workload struct {
	Replicas *int
	Strategy struct{ Type string }
	Template struct {
		Spec struct {
			ServiceAccountName           string
			AutomountServiceAccountToken *bool
			PriorityClassName            string
			SecurityContext              map[string]any
			Containers                   []struct {
				Image           string
				Args            []string
				SecurityContext map[string]any
				Resources       map[string]map[string]any
				VolumeMounts    []struct {
					Name, MountPath string
					ReadOnly        bool
				}
			}
			Volumes []map[string]any
		}
	}
}

// TestPods: Pod Security "restricted", no shell of rights, and what each component is.
func TestPods(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []Object) {
		deployments := ofKind(objects, "Deployment")
		if len(deployments) != 1 && len(deployments) != 4 {
			t.Fatalf("got %d Deployments, want 1 or 4", len(deployments))
		}
		for _, o := range deployments {
			w := into[workload](t, o["spec"])
			spec := w.Template.Spec
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Errorf("%s mounts a token by itself", name(o))
			}
			seccomp := map[string]any{"type": "RuntimeDefault"}
			if spec.SecurityContext["runAsNonRoot"] != true || !cmp.Equal(spec.SecurityContext["seccompProfile"], any(seccomp)) {
				t.Errorf("%s: securityContext %v is not restricted", name(o), spec.SecurityContext)
			}
			if len(spec.Containers) != 1 {
				t.Fatalf("%s has %d containers", name(o), len(spec.Containers))
			}
			c := spec.Containers[0]
			if c.SecurityContext["allowPrivilegeEscalation"] != false || c.SecurityContext["readOnlyRootFilesystem"] != true ||
				!cmp.Equal(c.SecurityContext["capabilities"], any(map[string]any{"drop": []any{"ALL"}})) {
				t.Errorf("%s: securityContext %v is not restricted", name(o), c.SecurityContext)
			}
			if c.Resources["limits"]["memory"] == nil || c.Resources["limits"]["cpu"] != nil {
				t.Errorf("%s: limits %v, want one of memory and none of cpu", name(o), c.Resources["limits"])
			}
			mounted := map[string]bool{}
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = true
				if m.Name != "data" && m.Name != "tmp" && !m.ReadOnly {
					t.Errorf("%s: %s can be written", name(o), m.MountPath)
				}
			}
			for _, v := range spec.Volumes {
				if !mounted[v["name"].(string)] {
					t.Errorf("%s: volume %s is not mounted", name(o), v["name"])
				}
			}
			both := slices.ContainsFunc(c.Args, func(a string) bool {
				return strings.HasPrefix(a, "--roles=") && strings.Contains(a, "admission") && strings.Contains(a, "worker")
			})
			if both {
				t.Errorf("%s: admission and worker in one container", name(o))
			}
		}
	})
}

type hook struct {
	Name          string
	FailurePolicy string
	MatchPolicy   string
	SideEffects   string
	Timeout       int `json:"timeoutSeconds"`
	ClientConfig  struct {
		Service  map[string]any
		CABundle string
		URL      string
	}
	NamespaceSelector struct {
		MatchExpressions []struct {
			Key, Operator string
			Values        []string
		}
	}
	ObjectSelector any
	Rules          []struct {
		Resources  []string
		Operations []string
	}
}

func hooks(t *testing.T, objects []Object) []hook {
	t.Helper()
	list := ofKind(objects, "ValidatingWebhookConfiguration")
	if len(list) != 1 {
		t.Fatalf("got %d webhook configurations", len(list))
	}
	return into[[]hook](t, list[0]["webhooks"])
}

// TestWebhook: A41 of the catalogue of tests, for every file.
func TestWebhook(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []Object) {
		services := map[string]bool{}
		for _, s := range ofKind(objects, "Service") {
			services[name(s)] = true
		}
		for _, h := range hooks(t, objects) {
			if h.Timeout > 10 || h.MatchPolicy != "Equivalent" || h.SideEffects != "NoneOnDryRun" || h.ObjectSelector != nil {
				t.Errorf("%s: %+v", h.Name, h)
			}
			if service, _ := h.ClientConfig.Service["name"].(string); !services[service] || h.ClientConfig.URL != "" {
				t.Errorf("%s: calls %v, which is not a Service of the chart", h.Name, h.ClientConfig.Service)
			}
			e := h.NamespaceSelector.MatchExpressions
			if len(e) != 1 || e[0].Key != "kubernetes.io/metadata.name" {
				t.Errorf("%s: namespaceSelector %v", h.Name, e)
				continue
			}
			for _, exempt := range []string{"kube-system", Namespace} {
				if (e[0].Operator == "NotIn") != slices.Contains(e[0].Values, exempt) {
					t.Errorf("%s: %s is not exempt: %v", h.Name, exempt, e)
				}
			}
			if strings.HasPrefix(h.Name, "pods") {
				var resources []string
				for _, r := range h.Rules {
					resources = append(resources, r.Resources...)
				}
				if diff := cmp.Diff([]string{"pods", "pods/ephemeralcontainers"}, resources); diff != "" {
					t.Errorf("%s: %s", h.Name, diff)
				}
			}
		}
	})
}

// TestFailurePolicy: it follows the mode, also of namespaces, unless it is stated.
func TestFailurePolicy(t *testing.T) {
	type want map[string]string // webhook: failurePolicy
	for values, want := range map[string]want{
		`{}`:                                     {"pods.digestgate.dev": "Ignore", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: warn}}}`:    {"pods.digestgate.dev": "Ignore", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: enforce}}}`: {"pods.digestgate.dev": "Fail", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: enforce, namespaces: {a: {mode: enforce}}}}}`: {"pods.digestgate.dev": "Fail", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: enforce, namespaces: {a: {mode: warn}, b: {mode: audit}}}}}`: {
			"pods.digestgate.dev": "Fail", "pods-of-named-namespaces.digestgate.dev": "Ignore", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: audit, namespaces: {a: {mode: enforce}}}}}`: {
			"pods.digestgate.dev": "Ignore", "pods-of-named-namespaces.digestgate.dev": "Fail", "templates.digestgate.dev": "Ignore"},
		`{config: {admission: {mode: enforce}}, webhook: {failurePolicy: Ignore}}`:       {"pods.digestgate.dev": "Ignore", "templates.digestgate.dev": "Ignore"},
		`{webhook: {failurePolicy: Fail, templates: {failurePolicy: Fail}}}`:             {"pods.digestgate.dev": "Fail", "templates.digestgate.dev": "Fail"},
		`{config: {admission: {mode: enforce}}, webhook: {templates: {enabled: false}}}`: {"pods.digestgate.dev": "Fail"},
	} {
		t.Run(values, func(t *testing.T) {
			got := map[string]string{}
			list := hooks(t, render(t, values))
			for _, h := range list {
				got[h.Name] = h.FailurePolicy
			}
			if diff := cmp.Diff(map[string]string(want), got); diff != "" {
				t.Error(diff)
			}
			if len(want) == 3 {
				in, not := list[1].NamespaceSelector.MatchExpressions[0], list[0].NamespaceSelector.MatchExpressions[0]
				for _, namespace := range in.Values {
					if in.Operator != "In" || !slices.Contains(not.Values, namespace) {
						t.Errorf("namespace %s is in both webhooks, or in none: %v, %v", namespace, in, not)
					}
				}
			}
		})
	}
}

// TestConfiguration: the chart's keys are in the configuration, and its namespaces are those of
// the webhook.
func TestConfiguration(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []Object) {
		config := Configuration(t, objects)
		admission := config["admission"].(map[string]any)
		exempt := into[[]string](t, admission["exemptNamespaces"])
		for _, h := range hooks(t, objects) {
			e := h.NamespaceSelector.MatchExpressions[0]
			for _, namespace := range exempt {
				if e.Operator == "NotIn" && !slices.Contains(e.Values, namespace) {
					t.Errorf("%s is exempt in the configuration, and not in the webhook %s", namespace, h.Name)
				}
			}
		}
		if _, self := admission["webhookConfiguration"]; self {
			vwc := ofKind(objects, "ValidatingWebhookConfiguration")[0]
			if admission["webhookConfiguration"] != name(vwc) {
				t.Errorf("webhookConfiguration is %v, want %s", admission["webhookConfiguration"], name(vwc))
			}
			roles := ofKind(objects, "ClusterRole")
			rules := roles[0]["rules"]
			want := []any{map[string]any{"apiGroups": []any{"admissionregistration.k8s.io"}, "resources": []any{"validatingwebhookconfigurations"},
				"resourceNames": []any{name(vwc)}, "verbs": []any{"get", "patch"}}}
			if diff := cmp.Diff(any(want), rules); diff != "" || len(roles) != 1 {
				t.Errorf("rights: %s", diff)
			}
		} else if len(ofKind(objects, "ClusterRole")) != 0 {
			t.Error("there are rights in the cluster that nothing needs")
		}
		if config["scan"].(map[string]any)["isolation"] != "strict" {
			t.Error("scan.isolation is not strict")
		}
	})
}

// TestChecksum: what a running process follows restarts nothing; everything else does.
func TestChecksum(t *testing.T) {
	sum := func(values string) string {
		o := ofKind(render(t, values), "Deployment")[0]
		return o["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["annotations"].(map[string]any)["checksum/config"].(string)
	}
	base := sum(`{}`)
	for values, same := range map[string]bool{
		`{config: {admission: {mode: enforce}}}`:                                  true,
		`{config: {admission: {namespaces: {a: {mode: warn}}}}}`:                  true,
		`{config: {registries: [{name: hub, type: dockerhub, host: docker.io}]}}`: true,
		`{config: {quota: {limit: 5}}}`:                                           false,
		`{config: {admission: {requireDigest: true}}}`:                            false,
	} {
		if got := sum(values) == base; got != same {
			t.Errorf("%s: the checksum stays is %v, want %v", values, got, same)
		}
	}
}

// TestRefusedValues: the schema is strict inside and open at the root, and what does not fit
// together is refused with a sentence.
func TestRefusedValues(t *testing.T) {
	for values, want := range map[string]string{
		`{admission: {replcas: 3}}`:                     "replcas",
		`{store: {type: mysql}}`:                        "store",
		`{store: {type: redis}}`:                        "name a Redis",
		`{store: {redis: {url: "redis://u:secret@h"}}}`: "url",
		`{tls: {mode: existing}}`:                       "tls.existingSecret",
		`{config: {listen: {http: ":1"}}}`:              "the chart sets this key itself",
		`{config: {admission: {tls: {certFile: a}}}}`:   "the chart sets this key itself",
		`{config: {auth: {adminTokenFile: a}}}`:         "the chart sets this key itself",
		`{webhook: {timeoutSeconds: 31}}`:               "timeoutSeconds",
		`{files: [{name: a}]}`:                          "files",
		`{policies: {a.txt: ""}}`:                       "a.txt",
		`{api: {ingress: {enabled: true}}}`:             "api.ingress.host",
		`{worker: {keda: {enabled: true}}}`:             "worker.keda.serverAddress",
		`{worker: {keda: {enabled: true, serverAddress: "http://p"}, autoscaling: {enabled: true}}}`: "enable one",
		`{sopsMetadata: {any: thing}, global: {any: thing}}`:                                         "",
	} {
		v := map[string]any{}
		if err := yaml.Unmarshal([]byte(values), &v); err != nil {
			t.Fatal(err)
		}
		_, err := Render(chartDir, v)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: got %v, want no error", values, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want an error with %q", values, err, want)
		}
	}
}

// TestNoSecretIsInvented: no value has a password, and without Redis there is no Secret.
func TestNoSecretIsInvented(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []Object) {
		for _, s := range ofKind(objects, "Secret") {
			data := s["data"].(map[string]any)
			if value, _ := data["mac-key"].(string); len(data) != 1 || len(value) < 80 {
				t.Errorf("Secret %s has %d keys, want mac-key alone, of 64 characters", name(s), len(data))
			}
			if s["metadata"].(map[string]any)["annotations"].(map[string]any)["helm.sh/resource-policy"] != "keep" {
				t.Errorf("Secret %s goes with helm uninstall", name(s))
			}
		}
	})
	if list := ofKind(render(t, `{}`), "Secret"); len(list) != 0 {
		t.Errorf("got %d Secrets with SQLite, want none", len(list))
	}
}

// TestMetricsExist: alerts and dashboards name metrics that docs/operations.md lists.
func TestMetricsExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	metric := regexp.MustCompile(`digestgate_[a-z_]+`)
	known := map[string]bool{}
	for _, m := range metric.FindAllString(string(page), -1) {
		known[m] = true
	}
	found := 0
	for _, file := range []string{"alerts.yaml", "dashboards/digestgate.json", "templates/availability.yaml"} {
		b, err := os.ReadFile(filepath.Join(chartDir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range metric.FindAllString(string(b), -1) {
			found++
			if !known[m] && !known[strings.TrimSuffix(m, "_bucket")] {
				t.Errorf("%s: docs/operations.md has no metric %s", file, m)
			}
		}
	}
	if found < 30 {
		t.Errorf("got %d metrics, want at least 30: the pattern finds nothing", found)
	}
}

// Configuration is the configuration of digestgate in rendered objects.
func Configuration(t *testing.T, objects []Object) map[string]any {
	t.Helper()
	for _, o := range ofKind(objects, "ConfigMap") {
		if text, ok := o["data"].(map[string]any)["config.yaml"].(string); ok {
			config := map[string]any{}
			if err := yaml.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			return config
		}
	}
	t.Fatal("no ConfigMap has a configuration")
	return nil
}
