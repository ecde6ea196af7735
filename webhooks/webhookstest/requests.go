package webhookstest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/webhooks"
)

const secret = "correct horse battery staple"

// secretOf is a secret in the form that a way of authentication wants.
func secretOf(auth string) string {
	if auth == webhooks.AuthBasic {
		return "registry:" + secret
	}
	return secret
}

func secretFile(t testing.TB, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func now(opt webhooks.Options) func() time.Time {
	if opt.Now != nil {
		return opt.Now
	}
	return time.Now
}

// authentication: any way works with any receiver.
func (s Suite) authentication(t *testing.T) {
	for _, auth := range []string{webhooks.AuthHeader, webhooks.AuthHMAC, webhooks.AuthBasic, webhooks.AuthToken} {
		t.Run(strings.ReplaceAll(auth, "-", "_"), func(t *testing.T) {
			s.secrets(t, auth)
		})
	}
}

func (s Suite) secrets(t *testing.T, auth string) {
	clock := time.Now()
	old, young := secretFile(t, secretOf(auth)), secretFile(t, secretOf(auth)+" the second")
	config := webhooks.Config{Auth: auth, SecretFiles: []string{old, young}}
	if auth == webhooks.AuthHMAC {
		config.Header = "X-Hub-Signature-256"
	}
	e := s.endpointWith(t, config, webhooks.Options{Now: func() time.Time { return clock }})
	rec := s.first(t)
	signed := func(content string) *webhooks.Authenticator {
		t.Helper()
		c := config
		c.SecretFiles = []string{secretFile(t, content)}
		a, err := webhooks.NewAuthenticator(c, time.Now, discard())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	try := func(a *webhooks.Authenticator) webhooks.Replayed {
		t.Helper()
		bare := rec
		bare.Header = rec.Header.Clone()
		bare.Header.Del("Authorization")
		req, err := bare.Request(t.Context(), "http://digestgate.test"+e.path, a)
		if err != nil {
			t.Fatal(err)
		}
		return e.send(t, req)
	}
	refused := map[string]string{}
	right := secretOf(auth)
	for name, a := range map[string]*webhooks.Authenticator{
		"missing":       nil,
		"same_length":   signed(right[:len(right)-1] + "X"),
		"prefix":        signed(right[:len(right)-3]),
		"longer":        signed(right + "x"),
		"other_secrets": signed(right + "\x20the third"),
	} {
		got := try(a)
		if got.Status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, got.Status)
		}
		refused[got.Detail] = name
	}
	if len(refused) != 1 {
		t.Errorf("refusals can be told apart: %q", refused)
	}
	if e.store.touched() {
		t.Fatal("the store was written to without authentication")
	}
	for _, content := range []string{right, right + " the second"} {
		if got := try(signed(content)); got.Status != http.StatusAccepted {
			t.Errorf("a live secret: got %d %s, want 202", got.Status, got.Detail)
		}
	}
	if err := os.WriteFile(old, []byte(right+" replaced"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(2 * time.Second)
	if got := try(signed(right)); got.Status != http.StatusUnauthorized {
		t.Errorf("the secret that was replaced: got %d, want 401", got.Status)
	}
	if got := try(signed(right + " replaced")); got.Status != http.StatusAccepted {
		t.Errorf("the new secret: got %d, want 202", got.Status)
	}
}

// limits reaches the status codes that do not depend on the format.
func (s Suite) limits(t *testing.T) {
	none := webhooks.Config{Auth: webhooks.AuthNone}
	request := func(t *testing.T, e endpoint, method, path string, body io.Reader) *http.Request {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://digestgate.test"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	status := func(t *testing.T, got webhooks.Replayed, want int) {
		t.Helper()
		if got.Status != want {
			t.Errorf("got %d %s, want %d", got.Status, got.Detail, want)
		}
	}
	rec := s.first(t)
	t.Run("too_large", func(t *testing.T) {
		big := bytes.Repeat([]byte(" "), 4097)
		// Who cannot prove itself is refused before its body is read.
		for _, c := range []struct {
			config webhooks.Config
			want   int
		}{{none, http.StatusRequestEntityTooLarge}, {webhooks.Config{Auth: webhooks.AuthHeader}, http.StatusUnauthorized}} {
			e := s.endpointWith(t, c.config, webhooks.Options{MaxBody: 4096})
			status(t, e.send(t, request(t, e, "POST", e.path, bytes.NewReader(big))), c.want)
			chunked := request(t, e, "POST", e.path, io.MultiReader(bytes.NewReader(big))) // of unknown length
			chunked.ContentLength = -1
			status(t, e.send(t, chunked), c.want)
		}
	})
	t.Run("compressed", func(t *testing.T) {
		e := s.endpoint(t, none)
		// Not even compressed: the header alone says that two readers may see
		// two bodies.
		req := request(t, e, "POST", e.path, bytes.NewReader(rec.Body))
		req.Header.Set("Content-Encoding", "gzip")
		status(t, e.send(t, req), http.StatusBadRequest)
		req.Header.Set("Content-Encoding", "identity")
		req.Body = io.NopCloser(bytes.NewReader(rec.Body))
		status(t, e.send(t, req), http.StatusAccepted)
	})
	t.Run("methods_and_paths", func(t *testing.T) {
		e := s.endpoint(t, none)
		for _, method := range []string{"GET", "PUT", "DELETE", "HEAD", "OPTIONS"} {
			status(t, e.send(t, request(t, e, method, e.path, bytes.NewReader(rec.Body))), http.StatusMethodNotAllowed)
		}
		for _, path := range []string{
			"/webhooks/unknown", "/webhooks/", "/webhooks", e.path + "/", e.path + "/token", e.path + "%2f..%2fapi", e.path + "/../../api/v1/images", "/" + e.path,
		} {
			status(t, e.send(t, request(t, e, "POST", path, bytes.NewReader(rec.Body))), http.StatusNotFound)
		}
		if e.store.touched() {
			t.Error("the store was written to")
		}
	})
	t.Run("any_content_type", func(t *testing.T) {
		e := s.endpoint(t, none)
		for _, kind := range []string{"", "text/plain", "application/vnd.docker.distribution.events.v2+json"} {
			other := rec
			other.Header = rec.Header.Clone()
			other.Header.Set("Content-Type", kind)
			status(t, e.post(t, other), http.StatusAccepted)
		}
	})
	t.Run("rate", func(t *testing.T) {
		clock := time.Now()
		slow := none
		slow.DeliveriesPerSecond, slow.Burst = 1, 3
		e := s.endpointWith(t, slow, webhooks.Options{Now: func() time.Time { return clock }})
		for i, want := range []int{202, 202, 202, 429, 429} {
			req, err := rec.Request(t.Context(), "http://digestgate.test"+e.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", strings.Repeat("1", i+1)) // is not looked at
			status(t, e.send(t, req), want)
		}
		clock = clock.Add(time.Second)
		status(t, e.post(t, rec), http.StatusAccepted)
	})
	t.Run("store_away", func(t *testing.T) {
		e := s.endpoint(t, none)
		for _, err := range []error{gate.ErrStoreUnavailable, gate.ErrTimeout, io.ErrUnexpectedEOF} {
			e.store.fail(err)
			status(t, e.post(t, rec), http.StatusServiceUnavailable)
		}
		e.store.fail(nil)
		if got := e.post(t, rec); got.Answer.State != gate.PushQueued {
			t.Errorf("sent again: got %q, want queued", got.Answer.State)
		}
	})
	t.Run("ignored_without_store", func(t *testing.T) {
		e := s.endpoint(t, none)
		e.store.fail(gate.ErrStoreUnavailable)
		for _, c := range s.Cases {
			// A delete by digest alone is not acted on either, but it is recorded.
			if c.State == gate.PushNotActedOn && !slices.ContainsFunc(c.Pushes, func(p gate.Push) bool { return p.Kind == gate.PushDeleted }) {
				status(t, e.post(t, s.recording(t, c)), http.StatusAccepted)
			}
		}
	})
}
