package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

var (
	yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(registries:\n.*?)^```$")
	shBlock   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	answers   = regexp.MustCompile("(?m)^It answers `([a-z]+)`")
)

// sites are the places of a page's commands and configurations as they are in a
// test.
type sites struct{ dir, config, server string }

func (s sites) in(text string) string {
	return strings.NewReplacer(
		"https://DIGESTGATE", s.server, "digestgate.yaml", s.config, "/run/secrets/", filepath.Join(s.dir, "secrets")+"/",
	).Replace(text)
}

// pageRegistries are the entries of a page's configurations, each of which is
// loaded by itself; the first with a webhook is the one that its commands mean.
func pageRegistries(t *testing.T, page string, s sites) (hooked map[string]any, name string) {
	t.Helper()
	for i, block := range yamlBlock.FindAllStringSubmatch(read(t, page), -1) {
		var doc struct{ Registries []map[string]any }
		text := s.in(block[1])
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Registries) != 1 {
			t.Fatalf("%s: configuration %d has %d registries, %v", page, i, len(doc.Registries), err)
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _ := app.ConfigSource{File: file}.Load() // which files it names; they are missing
		for _, r := range c.Registries {
			for _, secret := range append(r.Webhook.SecretFiles, r.PasswordFile) {
				if secret != "" {
					placeSecret(t, secret, "user:secret-of-"+filepath.Base(secret))
				}
			}
		}
		c, err := app.ConfigSource{File: file}.Load()
		if err != nil {
			t.Errorf("%s: configuration %d: %v", page, i, err)
		}
		if hooked == nil && c.Registries[0].Webhook.Enabled() {
			hooked, name = doc.Registries[0], c.Registries[0].Name
		}
	}
	if hooked == nil {
		t.Fatalf("%s has no configuration with a webhook", page)
	}
	return hooked, name
}

// TestRegistryPages loads every configuration of docs/registries and runs every
// command of ours there, against a server that has them all.
func TestRegistryPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/registries/*.md")
	if err != nil || len(pages) < len(app.Receivers()) {
		t.Fatalf("pages: %q, %v", pages, err)
	}
	s := &server{t: t, dir: t.TempDir(), listeners: 2}
	s.config = filepath.Join(s.dir, "config.yaml")
	at := sites{dir: s.dir, config: s.config}
	var entries []map[string]any
	names := map[string]string{}
	for _, page := range pages {
		entry, name := pageRegistries(t, page, at)
		entries, names[page] = append(entries, entry), name
	}
	text, err := yaml.Marshal(map[string]any{
		"dataDir": filepath.Join(s.dir, "data"), "roles": []string{"webhooks"}, "registries": entries,
		"listen": map[string]any{"http": "127.0.0.1:0", "private": "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	at.server = s.urls["http"]
	for _, page := range pages {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(page), ".md"), "-", "_"), func(t *testing.T) {
			followPage(t, s, at, page, names[page])
		})
	}
}

// followPage runs the commands of one page. What the page says that a replay
// answers is compared.
func followPage(t *testing.T, s *server, at sites, page, name string) {
	said := answers.FindAllStringSubmatch(read(t, page), -1)
	replays := 0
	for _, block := range shBlock.FindAllStringSubmatch(read(t, page), -1) {
		ours, curl := strings.HasPrefix(block[1], "digestgate "), strings.HasPrefix(block[1], "curl -i https://DIGESTGATE")
		if !ours && !curl {
			continue // the vendor's
		}
		out, err := shell(t, "../..", s.dir, strings.ReplaceAll(at.in(block[1]), "/webhooks/NAME", "/webhooks/"+name))
		if curl {
			if !bytes.Contains(out, []byte(" 202 ")) || !bytes.Contains(out, []byte(`"state":"queued"`)) && !bytes.Contains(out, []byte(`"state":"duplicate"`)) {
				t.Errorf("%s: %v\n%s", block[1], err, out)
			}
			continue
		}
		if replays++; replays > len(said) {
			t.Fatalf("the page does not say what is answered to %s", block[1])
		}
		want := said[replays-1][1]
		if want == "refused" {
			if err == nil || !bytes.Contains(out, []byte("only the sender has the key")) {
				t.Errorf("%s: got %v %s, want it refused", block[1], err, out)
			}
			continue
		}
		var answer webhooks.Answer
		if err := json.Unmarshal(out, &answer); err != nil || answer.State != gate.PushState(want) {
			t.Errorf("%s: %v\n%s\nwant %q", block[1], err, out, want)
		}
	}
	if replays == 0 {
		t.Error("the page has no command that replays a delivery")
	}
}

// shell runs a text as a person pastes it, with the program in PATH.
func shell(t *testing.T, dir, program, text string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+program+":"+os.Getenv("PATH"))
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		out = append(out, problems.Bytes()...)
	}
	return out, err
}

// TestExampleReadmes follows the README of every example of a registry as it is
// written, up to the addresses of the server.
func TestExampleReadmes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*/delivery.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("examples: %q, %v", files, err)
	}
	for _, file := range files {
		example := filepath.Base(filepath.Dir(file))
		readme := read(t, filepath.Join(filepath.Dir(file), "README.md"))
		if !strings.Contains(readme, "digestgate replay") {
			continue // the quickstart has a script, and a test of its own
		}
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			s := &server{t: t, dir: filepath.Join(root, "bin"), cwd: filepath.Join(root, "examples", example), config: "config.yaml", listeners: 2}
			s.env = []string{"DIGESTGATE_LISTEN_HTTP=127.0.0.1:0", "DIGESTGATE_LISTEN_PRIVATE=127.0.0.1:0", "DIGESTGATE_ROLES=[webhooks]"}
			if err := os.MkdirAll(s.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(s.cwd, os.DirFS(filepath.Dir(file))); err != nil {
				t.Fatal(err)
			}
			blocks := shBlock.FindAllStringSubmatch(readme, -1)
			if len(blocks) < 2 {
				t.Fatalf("%d blocks of commands, want one for each terminal", len(blocks))
			}
			for line := range strings.Lines(blocks[0][1]) {
				if strings.HasPrefix(line, "make build") || strings.HasPrefix(line, "cd ") || strings.HasPrefix(line, "../../bin/digestgate serve") {
					continue
				}
				if out, err := shell(t, s.cwd, s.dir, line); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
			s.start()
			text := strings.ReplaceAll(blocks[1][1], "http://127.0.0.1:8080", s.urls["http"])
			text = strings.ReplaceAll(text, "digestgate replay ", "digestgate replay --server "+s.urls["http"]+" ")
			out, err := shell(t, s.cwd, s.dir, text)
			if err != nil {
				t.Fatalf("%s: %v\n%s", text, err, out)
			}
			first, second := bytes.Index(out, []byte(`"state": "queued"`)), bytes.Index(out, []byte(`"state":"duplicate"`))
			if first < 0 || second < first {
				t.Errorf("answers:\n%s\nof\n%s\nwant queued, then duplicate", out, text)
			}
		})
	}
}
