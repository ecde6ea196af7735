package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// quickstart runs examples/quickstart/run.sh in a copy of its folder, as a user
// would, and returns what it printed.
func quickstart(t *testing.T, environ ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "quickstart"), os.DirFS("../../examples/quickstart")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "quickstart", "data")); err != nil { // left by a run in the folder itself
		t.Fatal(err)
	}
	cmd := exec.Command("sh", filepath.Join(dir, "quickstart", "run.sh"))
	cmd.Env = append(os.Environ(), "DIGESTGATE="+programIn(t, dir), "DIGESTGATE_ANALYZER="+programtest.AnalyzerPath(t),
		"DIGESTGATE_LISTEN_HTTP=127.0.0.1:0", "DIGESTGATE_LISTEN_ADMISSION=127.0.0.1:0", "DIGESTGATE_LISTEN_PRIVATE=127.0.0.1:0")
	cmd.Env = append(cmd.Env, environ...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the script needs curl")
	}
	reg, err := fake.Start(fake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	for tag, packages := range map[string][][3]string{"released": demo.Released, "updated": demo.Updated} {
		img, err := fake.NewImage(fake.ImageOptions{Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH}},
			demo.Root(packages, runtime.GOARCH))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reg.Push("team/app", tag, img); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		environ []string
		fails   bool
		says    []string
	}{
		{"no_registry", nil, false, []string{"registry is unavailable", `"attempts":0`, `"used":0`, `"code": 403`, "UNSCANNED or PENDING", "Everything was as expected."}},
		{"vulnerable_image", []string{"IMAGE=" + reg.Host + "/team/app:released", "PLAIN_HTTP=1"}, false,
			[]string{`"state":"scanned"`, `"used":1`, "exit status 2", `"reason": "POLICY"`, "fixable-critical: CVE-2024-45491 in libexpat1", "Everything was as expected."}},
		{"updated_image", []string{"IMAGE=" + reg.Host + "/team/app:updated", "PLAIN_HTTP=1"}, false,
			[]string{`"state":"scanned"`, `"used":1`, "exit status 0", `"allowed": true`, "Everything was as expected."}},
		{"image_that_is_not_there", []string{"IMAGE=" + reg.Host + "/team/app:updated", "PLAIN_HTTP=1", "DIGEST=sha256:" + strings.Repeat("0", 64)}, true,
			[]string{"NOT AS EXPECTED: there is no verdict", "not found"}},
		{"server_that_cannot_start", []string{"DIGESTGATE_LISTEN_HTTP=192.0.2.1:8080"}, true, []string{"NOT AS EXPECTED: the process server ended", "listen.http"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := quickstart(t, c.environ...)
			if failed := err != nil; failed != c.fails {
				t.Errorf("run.sh: %v, want failure %t", err, c.fails)
			}
			for _, part := range c.says {
				if !strings.Contains(out, part) {
					t.Errorf("it did not say %q", part)
				}
			}
			if t.Failed() {
				t.Logf("it said:\n%s", out)
			}
		})
	}
}

// TestShippedConfigurations loads every configuration of the examples and the
// documentation. Files that they name and that are made on the spot may be
// missing; anything else that is wrong with them is not.
func TestShippedConfigurations(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, source string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "config.yaml")
		// What the end-to-end test fills in.
		text := strings.NewReplacer("${REGISTRY}", "127.0.0.1:5000", "${HTTP_PORT}", "8080",
			"${ADMISSION_PORT}", "8443", "${PRIVATE_PORT}", "9090").Replace(source)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := app.ConfigSource{File: file}.Load()
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.Contains(line, "no such file or directory") {
				t.Errorf("%s\nin\n%s", line, source)
			}
		}
	}
	files, blocks := 0, 0
	walk(t, "../../examples", func(path string) {
		if ext := filepath.Ext(path); (ext == ".yaml" || ext == ".yml") && isConfiguration(t, read(t, path)) {
			files++
			t.Run(path, func(t *testing.T) { check(t, read(t, path)) })
		}
	})
	for _, page := range pages(t) {
		for _, block := range yamlBlocks(read(t, page)) {
			if !isConfiguration(t, block) {
				continue
			}
			blocks++
			t.Run(page, func(t *testing.T) { check(t, block) })
		}
	}
	if files < 2 || blocks < 4 {
		t.Errorf("%d configurations in files and %d in pages were found, fewer than there were", files, blocks)
	}
}

// pages are the Markdown files of the documentation and the examples.
func pages(t *testing.T) []string {
	t.Helper()
	list := []string{"../../README.md"}
	for _, root := range []string{"../../docs", "../../examples"} {
		walk(t, root, func(path string) {
			if filepath.Ext(path) == ".md" {
				list = append(list, path)
			}
		})
	}
	return list
}

// isConfiguration says whether YAML is meant for digestgate: its first key is
// one of the configuration's.
func isConfiguration(t *testing.T, text string) bool {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return false
	}
	if len(doc.Content[0].Content) == 0 {
		return false
	}
	first := doc.Content[0].Content[0].Value
	return slices.ContainsFunc(app.KeyPaths(), func(path string) bool { return path == first || strings.HasPrefix(path, first+".") })
}

// yamlBlocks are the fenced blocks of a page that are marked as YAML.
func yamlBlocks(page string) []string {
	var blocks []string
	rest := page
	for {
		_, after, ok := strings.Cut(rest, "\n```yaml\n")
		if !ok {
			return blocks
		}
		block, next, ok := strings.Cut(after, "\n```")
		if !ok {
			return blocks
		}
		blocks, rest = append(blocks, block), next
	}
}

// walk calls do for every file of the repository below root; what the examples
// build and leave behind is not part of it.
func walk(t *testing.T, root string, do func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"data", "bin"}, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.IsDir() {
			do(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
