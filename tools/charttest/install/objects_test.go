package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/tools/charttest"
)

// TestObjects: a real API server takes every object that any file of ci renders, without an
// unknown field, every Pod is "restricted", and the program takes every configuration.
func TestObjects(t *testing.T) {
	w := newWorld(t)
	crds, err := os.ReadFile("testdata/crds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if r := w.kubectl(string(crds), "apply", "-f", "-"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	if r := w.kubectl("", "wait", "--for=condition=established", "crd", "--all", "--timeout=30s"); r.Exit != 0 {
		t.Fatal(r.Stderr)
	}
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "-values.yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			objects := w.render(string(text))
			if r := w.tryApply(objects, "--dry-run=server"); r.Exit != 0 {
				t.Error(r.Stderr)
			}
			pods := 0
			for _, o := range objects {
				if o["kind"] == "Deployment" {
					pods++
					w.tryPod(t, o)
				}
				if data, _ := o["data"].(map[string]any); o["kind"] == "ConfigMap" && data["config.yaml"] != nil {
					w.checkConfig(t, data["config.yaml"].(string), data)
				}
			}
			if pods == 0 {
				t.Error("no Deployment")
			}
		})
	}
}

// tryPod creates the Pod of a Deployment as its controller would, on a dry run: the namespace
// enforces Pod Security "restricted".
func (w *world) tryPod(t *testing.T, deployment charttest.Object) {
	t.Helper()
	template := deployment["spec"].(map[string]any)["template"].(map[string]any)
	meta := template["metadata"].(map[string]any)
	meta["name"], meta["namespace"] = "try", charttest.Namespace
	spec := template["spec"].(map[string]any)
	delete(spec, "priorityClassName") // made by the same release
	p := charttest.Object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
	if r := w.tryApply([]charttest.Object{p}, "--dry-run=server"); r.Exit != 0 || strings.Contains(r.Stderr, "PodSecurity") {
		t.Errorf("the Pod of %s: %s", deployment["metadata"].(map[string]any)["name"], r.Stderr)
	}
}

// mounted are the files of Secrets and ConfigMaps that a configuration names.
var mounted = regexp.MustCompile(`/etc/digestgate/[-_./a-zA-Z0-9]+`)

// checkConfig runs `digestgate config check` on a rendered configuration, with every file that
// it names in place.
func (w *world) checkConfig(t *testing.T, text string, policies map[string]any) {
	t.Helper()
	dir := t.TempDir()
	cert, key, err := w.cluster.Authority().Issue("digestgate")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range mounted.FindAllString(text, -1) {
		content := strings.Repeat("secret-of-the-test-", 4)
		switch filepath.Base(file) {
		case "tls.crt":
			content = string(cert)
		case "tls.key":
			content = string(key)
		case "ca.crt":
			content = string(w.cluster.Authority().PEM())
		case "policies":
			file += "/some.rego"
			content = "package digestgate\n\ndeny contains \"never\" if input.image.size == 1\n"
		}
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(text, "/etc/digestgate/", dir+"/etc/digestgate/")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program(t), "config", "check", "--config", config)
	cmd.Env = []string{"HOME=" + dir} // DIGESTGATE_BIN is not a key of the configuration
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("config check: %v\n%s\n%s", err, out, text)
	}
}
