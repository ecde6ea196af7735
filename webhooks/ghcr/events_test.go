package ghcr_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/intake"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/ghcr"
)

func parse(kind, body string) ([]gate.Push, error) {
	h := http.Header{}
	if kind != "" {
		h.Set("X-GitHub-Event", kind)
	}
	return ghcr.Receiver().Parse(webhooks.Delivery{Header: h, Body: []byte(body)})
}

func body(action, types, version string) string {
	return fmt.Sprintf(`{"action":%q,"package":{"name":"App","namespace":"Team",%s"package_version":%s}}`, action, types, version)
}

func TestEventKinds(t *testing.T) {
	image := `{"name":"` + string(hello) + `","container_metadata":{"tag":{"name":"1.0"}}}`
	container := `"package_type":"CONTAINER",`
	for name, c := range map[string]struct {
		kind, body string
		want       gate.PushKind
		part       string
	}{
		"published":             {"package", body("published", container, image), gate.PushArrived, ""},
		"updated":               {"package", body("updated", container, image), gate.PushArrived, ""},
		"app":                   {"registry_package", strings.Replace(body("published", container, image), `"package"`, `"registry_package"`, 1), gate.PushArrived, ""},
		"no_header":             {"", body("published", container, image), gate.PushArrived, ""},
		"lower_case_type":       {"package", body("published", `"package_type":"container",`, image), gate.PushArrived, ""},
		"docker_type":           {"package", body("published", `"package_type":"docker",`, image), gate.PushArrived, ""},
		"ecosystem":             {"package", body("published", `"ecosystem":"docker",`, image), gate.PushArrived, ""},
		"no_type_at_all":        {"package", body("published", ``, image), gate.PushArrived, ""},
		"deleted":               {"package", body("deleted", container, image), gate.PushIgnored, `"deleted"`},
		"no_action":             {"package", body("", container, image), gate.PushIgnored, "no action"},
		"ping":                  {"ping", `{"zen":"x"}`, gate.PushIgnored, "ping"},
		"push_of_git":           {"push", `{"ref":"refs/heads/main"}`, gate.PushIgnored, `"push"`},
		"no_package":            {"package", `{"action":"published"}`, gate.PushIgnored, "no package"},
		"package_null":          {"package", `{"action":"published","package":null}`, gate.PushIgnored, "no package"},
		"maven":                 {"package", body("published", `"package_type":"maven",`, image), gate.PushIgnored, `"maven"`},
		"npm_with_ecosystem":    {"package", body("published", `"package_type":"npm","ecosystem":"docker",`, `{"name":"`+string(hello)+`"}`), gate.PushIgnored, `"npm"`},
		"metadata_null":         {"package", body("published", `"ecosystem":"docker",`, `{"container_metadata":null}`), gate.PushIgnored, "not an image"},
		"type_without_metadata": {"package", body("published", container, `{"version":"`+string(hello)+`"}`), gate.PushArrived, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(c.kind, c.body)
			if err != nil || len(got) != 1 || got[0].Kind != c.want || !strings.Contains(got[0].Reason, c.part) {
				t.Fatalf("Parse: got %+v, %v, want one %s with %q", got, err, c.want, c.part)
			}
			if c.want == gate.PushArrived && (got[0].Repository != "team/app" || got[0].Digest != hello) {
				t.Errorf("Parse: got %+v, want team/app with its digest", got[0])
			}
		})
	}
	h := http.Header{"X-Github-Event": {"package", "ping"}}
	if got, err := ghcr.Receiver().Parse(webhooks.Delivery{Header: h, Body: []byte("{}")}); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Parse with two kinds: got %+v, %v, want ErrInvalid", got, err)
	}
}

// TestFields: where the digest, the tag and the repository come from.
func TestFields(t *testing.T) {
	for name, c := range map[string]struct {
		version               string
		host, repository, tag string
		digest                gate.Digest
	}{
		"version_before_name":   {`{"version":"` + string(hello) + `","name":"` + string(utaitebox) + `","container_metadata":{}}`, "", "team/app", "", hello},
		"manifest":              {`{"version":"1.0.0","name":"x","container_metadata":{"manifest":{"digest":"` + string(hello) + `"}}}`, "", "team/app", "", hello},
		"tag_digest":            {`{"container_metadata":{"tag":{"name":"1","digest":"` + string(hello) + `"}}}`, "", "team/app", "1", hello},
		"tag_only":              {`{"container_metadata":{"tag":{"name":"1","digest":"sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"}}}`, "", "team/app", "1", ""},
		"package_url":           {`{"name":"` + string(hello) + `","package_url":"ghcr.io/Other/App/sub:1.0","container_metadata":{}}`, "ghcr.io", "other/app/sub", "", hello},
		"package_url_no_tag":    {`{"name":"` + string(hello) + `","package_url":"ghcr.io/Other/App:","container_metadata":{}}`, "ghcr.io", "other/app", "", hello},
		"package_url_by_digest": {`{"name":"` + string(hello) + `","package_url":"ghcr.io/Other/App@` + string(hello) + `","container_metadata":{}}`, "ghcr.io", "other/app", "", hello},
		"package_url_with_port": {`{"name":"` + string(hello) + `","package_url":"ghe.example.com:8443/o/a:1","container_metadata":{}}`, "ghe.example.com:8443", "o/a", "", hello},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse("package", body("published", `"package_type":"container",`, c.version))
			if err != nil || len(got) != 1 {
				t.Fatalf("Parse: got %+v, %v", got, err)
			}
			p := got[0]
			if p.Host != c.host || p.Repository != c.repository || p.Tag != c.tag || p.Digest != c.digest {
				t.Errorf("Parse: got %+v, want host %q, repository %q, tag %q, digest %q", p, c.host, c.repository, c.tag, c.digest)
			}
		})
	}
}

// TestForeignHost: a body that names a host is compared with the
// configuration.
func TestForeignHost(t *testing.T) {
	registries, err := gate.NewRegistries([]gate.Registry{{Name: "ghcr", Host: "ghcr.io"}})
	if err != nil {
		t.Fatal(err)
	}
	quota, err := gate.NewQuota(gate.DefaultQuota())
	if err != nil {
		t.Fatal(err)
	}
	pushes, err := parse("package", body("published", "", `{"name":"`+string(hello)+`","package_url":"ghcr.io.evil.example/o/a:1","container_metadata":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	// No store: a foreign host must not need one.
	results, err := intake.New(registries, quota, nil).Take(t.Context(), "ghcr", pushes)
	if err != nil || len(results) != 1 || !results[0].Foreign || results[0].State != gate.PushNotActedOn {
		t.Errorf("Take: got %+v, %v, want it ignored as foreign", results, err)
	}
}

// TestSignature checks the recorded signature of the recorded body.
func TestSignature(t *testing.T) {
	rec, err := webhooks.ReadRecording(filepath.Join("testdata", "package_published.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("ghcr-test-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := webhooks.NewAuthenticator(webhooks.Config{Auth: webhooks.AuthHMAC, Header: "X-Hub-Signature-256", SecretFiles: []string{secret}},
		time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	req, err := rec.Request(t.Context(), "http://digestgate.test/webhooks/ghcr", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Check(req, "", rec.Body); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := auth.Check(req, "", append(rec.Body, ' ')); !errors.Is(err, gate.ErrUnauthorized) {
		t.Errorf("Check of a changed body: got %v, want ErrUnauthorized", err)
	}
}

func TestWrongTypesAreErrors(t *testing.T) {
	for _, b := range []string{`[]`, `{"action":1}`, `{"package":[]}`, body("published", "", `{"name":1}`), body("published", "", `{"container_metadata":{"tag":"x"}}`)} {
		if got, err := parse("package", b); !errors.Is(err, gate.ErrInvalid) {
			t.Errorf("Parse(%s): got %+v, %v, want ErrInvalid", b, got, err)
		}
	}
}
