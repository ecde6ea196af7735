package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPathPrefix: with a prefix, and deliveries on a listener of their own,
// each listener serves its part under the prefix, keeps tokens in paths out of
// the log, and says where the rest is.
func TestPathPrefix(t *testing.T) {
	t.Parallel()
	s := &server{t: t, dir: t.TempDir(), args: []string{"serve", "--log-level", "debug"}}
	s.config = filepath.Join(s.dir, "config.yaml")
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(hookSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
dataDir: ` + s.dir + `/data
roles: [webhooks, api]
http: {pathPrefix: /gate}
listen: {http: "127.0.0.1:0", webhooks: "127.0.0.1:0", private: "127.0.0.1:0"}
registries: [{name: hub, type: quay, host: quay.example.com, webhook: {auth: token, secretFiles: [` + secret + `]}}]
`
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	const push = `{"repository":"a/b","docker_url":"quay.example.com/a/b","updated_tags":["1"]}`
	for _, c := range []struct {
		listener, path string
		status         int
		says           string
	}{
		{"webhooks", "/gate/webhooks/hub/" + hookSecret, 202, "queued"},
		{"webhooks", "/gate/webhooks/hub?token=" + hookSecret, 202, "duplicate"},
		{"webhooks", "/webhooks/hub/" + hookSecret, 404, "deliveries go to /gate/webhooks/{registry}"},
		{"webhooks", "/gate/webhook/hub/" + hookSecret, 404, "deliveries go to /gate/webhooks/{registry}"},
		{"webhooks", "/gatewebhooks/hub/" + hookSecret, 404, "deliveries go to /gate/webhooks/{registry}"},
		{"webhooks", "/gate/webhooks/hub%zz" + hookSecret, 400, ""},
		{"webhooks", "/gate/api/v1/scans", 404, "nothing is served"},
		{"http", "/gate/api/v1/scans", 401, "Bearer TOKEN"},
		{"http", "/gate/webhooks/hub/" + hookSecret, 404, "the API begins with /gate/api/v1, deliveries go to the listener of listen.webhooks"},
		{"http", "/api/v1/images", 404, "the API begins with /gate/api/v1"},
	} {
		t.Run(c.listener+strings.ReplaceAll(c.path, "/", "_"), func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.urls[c.listener], strings.NewReader(push))
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = "//" + req.URL.Host + c.path // as it stands
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || !strings.Contains(string(body), c.says) {
				t.Errorf("got %d %s, %v, want %d with %q", res.StatusCode, body, err, c.status, c.says)
			}
		})
	}
	if strings.Contains(s.log.String(), hookSecret) {
		t.Error("a token is in the log")
	}
}
