package jfrog_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
	"github.com/digestgate/digestgate/webhooks/jfrog"
	"github.com/digestgate/digestgate/webhooks/webhookstest"
)

func event(kind, path, sha256, rest string) string {
	return fmt.Sprintf(`{"domain":"docker","event_type":%q,"data":{"repo_key":"docker-local","path":%q,"sha256":%q}%s}`, kind, path, sha256, rest)
}

func TestEvents(t *testing.T) {
	push := func(kind gate.PushKind, host string, digest gate.Digest, tag string) gate.Push {
		return gate.Push{Kind: kind, Host: host, Repository: "docker-local/team/app", Digest: digest, Tag: tag}
	}
	hex := busybox.Hex()
	webhookstest.Bodies(t, jfrog.Receiver(), map[string]webhookstest.Body{
		"pushed_without_origin": {Body: event("pushed", "team/app/1.0/manifest.json", hex, ""), Want: []gate.Push{push(gate.PushArrived, "", busybox, "1.0")}},
		"promoted":              {Body: event("promoted", "team/app/1.0/list.manifest.json", hex, ""), Want: []gate.Push{push(gate.PushArrived, "", busybox, "1.0")}},
		"without_checksum":      {Body: event("pushed", "team/app/1.0/manifest.json", "", ""), Want: []gate.Push{push(gate.PushArrived, "", "", "1.0")}},
		"by_digest":             {Body: event("pushed", "team/app/sha256__"+hex+"/manifest.json", hex, ""), Want: []gate.Push{push(gate.PushArrived, "", busybox, "")}},
		"by_digest_with_colon":  {Body: event("pushed", "team/app/sha256:"+hex+"/manifest.json", hex, ""), Want: []gate.Push{push(gate.PushArrived, "", busybox, "")}},
		"deleted_tag":           {Body: event("deleted", "team/app/1.0/manifest.json", hex, ""), Want: []gate.Push{push(gate.PushDeleted, "", "", "1.0")}},
		"deleted_by_digest":     {Body: event("deleted", "team/app/sha256__"+hex+"/manifest.json", hex, ""), Want: []gate.Push{push(gate.PushDeleted, "", busybox, "")}},
		"origin_with_port":      {Body: event("pushed", "team/app/1.0/manifest.json", hex, `,"jpd_origin":"http://a.example:8082/artifactory"`), Want: []gate.Push{push(gate.PushArrived, "a.example:8082", busybox, "1.0")}},
		// It must not count as "no host".
		"origin_is_no_url": {Body: event("pushed", "team/app/1.0/manifest.json", hex, `,"jpd_origin":"a.example"`), Want: []gate.Push{push(gate.PushArrived, "a.example", busybox, "1.0")}},
		"by_digest_without_checksum": {Body: event("pushed", "team/app/sha256__"+hex+"/manifest.json", "", ""),
			Want: []gate.Push{gate.Ignored("the event names neither a digest nor a tag")}},
		"layer":        {Body: event("pushed", "team/app/1.0/sha256__"+hex, hex, ""), Want: []gate.Push{gate.Ignored(`path "team/app/1.0/sha256__%s" in repository "docker-local" is not that of a manifest`, hex)}},
		"too_short":    {Body: event("pushed", "1.0/manifest.json", hex, ""), Want: []gate.Push{gate.Ignored(`path "1.0/manifest.json" in repository "docker-local" is not that of a manifest`)}},
		"empty_parts":  {Body: event("pushed", "app//manifest.json", hex, ""), Want: []gate.Push{gate.Ignored(`path "app//manifest.json" in repository "docker-local" is not that of a manifest`)}},
		"unknown_kind": {Body: event("scanned", "team/app/1.0/manifest.json", hex, ""), Want: []gate.Push{gate.Ignored(`events of type "scanned" are not known`)}},
		"no_domain":    {Body: `{}`, Want: []gate.Push{gate.Ignored("not an event of Artifactory: it has no domain")}},
	})
}

// TestAccessMethods: how the three ways of addressing Artifactory and a virtual
// repository in front of a local one are configured.
func TestAccessMethods(t *testing.T) {
	body := []byte(event("pushed", "team/app/1.0/manifest.json", busybox.Hex(), `,"jpd_origin":"https://example.jfrog.io"`))
	for name, c := range map[string]struct {
		config     webhooks.Config
		host, want string
	}{
		"repository_path":    {webhooks.Config{}, "example.jfrog.io", "docker-local/team/app"},
		"virtual_repository": {webhooks.Config{Repositories: map[string]string{"docker-local": "docker"}}, "example.jfrog.io", "docker/team/app"},
		"subdomain_or_port":  {webhooks.Config{Hosts: []string{"EXAMPLE.jfrog.io"}, Repositories: map[string]string{"docker-local": ""}}, "", "team/app"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := webhooks.Translate(jfrog.Receiver(), c.config).Parse(webhooks.Delivery{Body: body})
			want := []gate.Push{{Kind: gate.PushArrived, Host: c.host, Repository: c.want, Digest: busybox, Tag: "1.0"}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Parse: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

type nobody struct{}

func (nobody) Take(context.Context, string, []gate.Push) ([]gate.PushResult, error) { return nil, nil }

// TestRecordedCredentials: what Artifactory was seen to send in
// X-JFrog-Event-Auth is right for auth header and, when it signs, for
// auth hmac-sha256, and neither is taken for the other.
func TestRecordedCredentials(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("jfrog-test-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for auth, right := range map[string]string{webhooks.AuthHeader: "token", webhooks.AuthHMAC: "signed"} {
		a, err := webhooks.NewAuthenticator(webhooks.Config{Auth: auth, Header: "X-JFrog-Event-Auth", SecretFiles: []string{secret}}, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		h, err := webhooks.NewHandler([]webhooks.Endpoint{{Name: "artifactory", Receiver: jfrog.Receiver(), Auth: a}}, nobody{}, webhooks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, recorded := range []string{"token", "signed"} {
			rec, err := webhooks.ReadRecording("testdata/docker_pushed.json", "testdata/docker_pushed."+recorded+".headers.txt")
			if err != nil {
				t.Fatal(err)
			}
			req, err := rec.Request(t.Context(), "http://digestgate.test/webhooks/artifactory", nil)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if want := map[bool]int{true: http.StatusAccepted, false: http.StatusUnauthorized}[recorded == right]; w.Code != want {
				t.Errorf("auth %s, %s header: got %d, want %d", auth, recorded, w.Code, want)
			}
		}
	}
}
