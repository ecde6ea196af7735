package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/store/sqlite"
	"github.com/digestgate/digestgate/webhooks"
)

// TestRegistryExamples proves every examples/*/config.yaml beside which there
// are deliveries. A delivery is a file delivery*.json, with its headers in
// delivery*.headers.txt where they matter. It belongs to the registry whose
// name follows "delivery." (delivery.NAME.json, delivery.NAME.more.json), and
// to the only one with a webhook where there is one. Every delivery must lead
// to a job, over HTTP and without a server alike, and be refused without its
// secret.
//
// It is not parallel: relative paths of a configuration count from the folder
// of the example, which is the directory of the process meanwhile.
func TestRegistryExamples(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(filepath.Join(examples, "*", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range configs {
		dir := filepath.Dir(file)
		deliveries, err := filepath.Glob(filepath.Join(dir, "delivery*.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(deliveries) == 0 {
			continue
		}
		tried++
		t.Run(strings.ReplaceAll(filepath.Base(dir), "-", "_"), func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
				t.Error(err)
			}
			c := exampleConfig(t, dir)
			for _, delivery := range deliveries {
				t.Run(strings.NewReplacer(".", "_", "-", "_").Replace(strings.TrimSuffix(filepath.Base(delivery), ".json")), func(t *testing.T) {
					replayExample(t, c, delivery)
				})
			}
		})
	}
	if tried < 5 {
		t.Errorf("only %d examples have deliveries; some were lost", tried)
	}
}

// exampleConfig loads the configuration of an example in a copy of its folder,
// with a secret in each file that it names for one.
func exampleConfig(t *testing.T, dir string) app.Config {
	t.Helper()
	work := t.TempDir()
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(work)
	text := read(t, "config.yaml")
	// Where secrets are mounted in production is not ours to write to.
	text = strings.ReplaceAll(text, "/run/secrets/", filepath.Join(work, "secrets")+"/")
	text = strings.ReplaceAll(text, "/var/lib/digestgate", filepath.Join(work, "data"))
	if err := os.WriteFile("config.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Which files those are is in the configuration, which is loaded though they
	// are missing.
	c, _ := app.ConfigSource{File: "config.yaml"}.Load()
	for _, r := range c.Registries {
		for i, name := range r.Webhook.SecretFiles {
			secret := "secret-" + r.Name + string(rune('a'+i))
			if r.Webhook.Auth == webhooks.AuthBasic {
				secret = "user:" + secret
			}
			placeSecret(t, name, secret)
		}
		if r.PasswordFile != "" {
			placeSecret(t, r.PasswordFile, "password")
		}
	}
	c, err := app.ConfigSource{File: "config.yaml"}.Load()
	if err != nil {
		t.Fatalf("loading the example's configuration:\n%v", err)
	}
	return c
}

func placeSecret(t *testing.T, name, secret string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// senderOf is the registry that a delivery of an example comes from.
func senderOf(t *testing.T, list []webhooks.Endpoint, delivery string) webhooks.Endpoint {
	t.Helper()
	if len(list) == 1 {
		return list[0]
	}
	name := strings.TrimPrefix(filepath.Base(delivery), "delivery.")
	i := slices.IndexFunc(list, func(e webhooks.Endpoint) bool { return strings.HasPrefix(name, e.Name+".") })
	if i < 0 {
		t.Fatalf("%d registries have a webhook, and the file's name names none of them", len(list))
	}
	return list[i]
}

// exampleHandler is what serves the configuration's endpoints, over an empty
// store.
func exampleHandler(t *testing.T, c app.Config, list []webhooks.Endpoint) *webhooks.Handler {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "digestgate.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	registries, err := gate.NewRegistries(c.RegistryList())
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(c.Quota)
	if err != nil {
		t.Fatal(err)
	}
	h, err := webhooks.NewHandler(list, intake.New(registries, quota, store), webhooks.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func replayExample(t *testing.T, c app.Config, delivery string) {
	list, err := app.Endpoints(c.Registries, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	sender := senderOf(t, list, delivery)
	rec, err := webhooks.ReadRecording(delivery, "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(exampleHandler(t, c, list))
	t.Cleanup(server.Close)
	url := server.URL + webhooks.Prefix + sender.Name
	i := slices.IndexFunc(c.Registries, func(r app.RegistryConfig) bool { return r.Name == sender.Name })
	if c.Registries[i].Webhook.Auth != webhooks.AuthNone {
		refused, err := webhooks.Post(t.Context(), server.Client(), url, rec, nil)
		if err != nil || refused.Status != http.StatusUnauthorized {
			t.Errorf("without the secret: got %d %s, %v, want 401", refused.Status, refused.Detail, err)
		}
	}
	got, err := webhooks.Post(t.Context(), server.Client(), url, rec, sender.Auth)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusAccepted || got.Answer.State != gate.PushQueued {
		t.Errorf("POST: got %d %q %s%s, want 202 queued", got.Status, got.Answer.State, got.Answer.Reason, got.Detail)
	}
	answer, err := exampleHandler(t, c, list).Deliver(t.Context(), sender.Name, rec.Delivery())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got.Answer, answer); diff != "" {
		t.Errorf("answers (-POST +Deliver):\n%s", diff)
	}
}
