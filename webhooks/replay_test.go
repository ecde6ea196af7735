package webhooks

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
)

func TestReadRecording(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	body := write("push.json", "{}")
	plain := write("plain.json", "{}")
	write("push.headers.txt", "POST /webhooks/x HTTP/1.1\r\nContent-Type: application/cloudevents+json\r\nCe-Id: 1\r\nce-id: 2\r\nHost: evil\r\nContent-Length: 7\r\n\r\nIgnored: after the end\r\n")
	other := write("other.txt", "X-GitHub-Event: package\n")
	for name, c := range map[string]struct {
		body, headers string
		want          http.Header
	}{
		"beside":     {body, "", http.Header{"Content-Type": {"application/cloudevents+json"}, "Ce-Id": {"1", "2"}}},
		"none":       {plain, "", http.Header{"Content-Type": {"application/json"}}},
		"told_where": {body, other, http.Header{"X-Github-Event": {"package"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadRecording(c.body, c.headers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Recording{Header: c.want, Body: []byte("{}")}, got); diff != "" {
				t.Errorf("ReadRecording (-want +got):\n%s", diff)
			}
		})
	}
	for _, c := range [][2]string{{filepath.Join(dir, "missing.json"), ""}, {body, filepath.Join(dir, "missing.txt")}} {
		if _, err := ReadRecording(c[0], c[1]); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("ReadRecording(%q, %q): got %v, want ErrNotExist", c[0], c[1], err)
		}
	}
}

func TestPost(t *testing.T) {
	config := Config{Auth: AuthHMAC, Header: "X-Signature", SecretFiles: []string{file(t, "secret")}}
	srv := httptest.NewServer(handler(t, config, queueAll, Options{}))
	defer srv.Close()
	rec := Recording{Header: http.Header{"X-Signature": {"recorded"}}, Body: []byte(`{"tags":["1.0"]}`)}
	post := func(url string, auth *Authenticator) (Replayed, error) {
		return Post(t.Context(), srv.Client(), url, rec, auth)
	}
	got, err := post(srv.URL+"/webhooks/prod", authenticator(t, config))
	if err != nil || got.Status != 202 || got.Answer.State != gate.PushQueued || len(got.Answer.Images) != 1 {
		t.Errorf("Post: got %+v, %v, want a queued image", got, err)
	}
	got, err = post(srv.URL+"/webhooks/prod", nil)
	if err != nil || got.Status != 401 || !strings.Contains(got.Detail, "webhook.secretFiles") {
		t.Errorf("Post without a secret: got %+v, %v, want 401 and what to do", got, err)
	}
	moved := httptest.NewServer(http.RedirectHandler(srv.URL+"/webhooks/prod?token=s3cret", http.StatusMovedPermanently))
	defer moved.Close()
	got, err = post(moved.URL+"/webhooks/prod", authenticator(t, config))
	if err != nil || got.Status != 301 || !strings.Contains(got.Detail, "to "+srv.URL+";") {
		t.Errorf("Post to a server that redirects: got %+v, %v, want 301 and where to, without the query", got, err)
	}
	if len(rec.Header) != 1 || rec.Header.Get("X-Signature") != "recorded" {
		t.Errorf("Post has changed the recording: %v", rec.Header)
	}
	if _, err = post(":", nil); !errors.Is(err, gate.ErrInvalid) {
		t.Errorf("Post to no URL: got %v, want ErrInvalid", err)
	}
	url := srv.URL
	srv.Close()
	if _, err = post(url+"/webhooks/prod?token=s3cret", nil); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Post to a server that is gone: got %v, want an error without the query", err)
	}
}

// TestFolders: every receiver has the same files and its recordings.
func TestFolders(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	receivers := 0
	for _, e := range entries {
		// harborevents is the body that several receivers share.
		if !e.IsDir() || slices.Contains([]string{"webhookstest", "testdata", "harborevents"}, e.Name()) {
			continue
		}
		receivers++
		for _, name := range []string{"receiver.go", "receiver_test.go", "testdata/SOURCES.md"} {
			if _, err := os.Stat(filepath.Join(e.Name(), name)); err != nil {
				t.Errorf("receiver %s: %v", e.Name(), err)
			}
		}
	}
	if receivers == 0 {
		t.Error("no receiver was found")
	}
}
