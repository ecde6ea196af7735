package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/scanner/registry"
	"github.com/digestgate/digestgate/webhooks"
)

// TestEveryReceiverIsListed compares the folders of webhooks with the table: a
// folder is named like its type, without hyphens.
func TestEveryReceiverIsListed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../webhooks/*/receiver.go")
	if err != nil || len(files) < 6 {
		t.Fatalf("folders: %q, %v", files, err)
	}
	var folders, listed []string
	for _, file := range files {
		folders = append(folders, filepath.Base(filepath.Dir(file)))
		test := read(t, strings.TrimSuffix(file, ".go")+"_test.go")
		for _, part := range []string{"Run", "Fuzz", "Bench"} {
			if !strings.Contains(test, "webhookstest."+part+"(") {
				t.Errorf("%s: its test does not call webhookstest.%s", file, part)
			}
		}
	}
	for _, r := range app.Receivers() {
		listed = append(listed, strings.ReplaceAll(r.Type, "-", ""))
		if _, err := os.Stat("../../docs/registries/" + r.Type + ".md"); err != nil {
			t.Errorf("receiver %q has no page: %v", r.Type, err)
		}
		c := registry.DefaultConfig()
		c.Name, c.Type, c.Host = "x", r.Type, "registry.example.com"
		if err := c.Validate(); err != nil && strings.Contains(err.Error(), "type") {
			t.Errorf("receiver %q is for no type of registry: %v", r.Type, err)
		}
	}
	slices.Sort(listed)
	if diff := cmp.Diff(folders, listed); diff != "" {
		t.Errorf("receivers (-folders +table):\n%s", diff)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	entry := func(kind string, hook webhooks.Config) app.RegistryConfig {
		r := app.RegistryConfig{Config: registry.DefaultConfig(), Webhook: hook}
		r.Name, r.Type, r.Host = kind, kind, kind+".example.com"
		return r
	}
	good := webhooks.Config{Auth: webhooks.AuthHeader, SecretFiles: []string{secret}}
	list, err := app.Endpoints([]app.RegistryConfig{entry("quay", good), entry("harbor", webhooks.Config{}), entry("jfrog", good)}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil || len(list) != 2 || list[0].Receiver.Type != "quay" || list[1].Name != "jfrog" {
		t.Errorf("endpoints: got %+v, %v, want quay and jfrog", list, err)
	}
	for want, r := range map[string]app.RegistryConfig{
		`registries[0].webhook: events of registries of type "unheard-of"`: entry("unheard-of", good),
		"registries[0].webhook.secretFiles":                                entry("quay", webhooks.Config{Auth: webhooks.AuthHeader}),
	} {
		if _, err := app.Endpoints([]app.RegistryConfig{r}, time.Now, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("endpoints: got %v, want %q", err, want)
		}
	}
}
