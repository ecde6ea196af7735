package webhooks

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
)

func nowFunc() func() time.Time { return time.Now }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func authenticator(t testing.TB, c Config) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(c, time.Now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(t testing.TB, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHMACVector is the one that GitHub publishes in "Validating webhook
// deliveries".
func TestHMACVector(t *testing.T) {
	const mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	a := authenticator(t, Config{Auth: AuthHMAC, Header: "X-Hub-Signature-256", SecretFiles: []string{file(t, "It's a Secret to Everybody")}})
	for value, want := range map[string]bool{
		"sha256=" + mac: true, mac: true, strings.ToUpper(mac): true,
		"sha1=" + mac: false, "sha256=" + mac[:62]: false, "sha256=": false, "": false, "sha256=sha256=" + mac: false, "zz" + mac[2:]: false,
	} {
		r := request(t, "/")
		r.Header.Set("X-Hub-Signature-256", value)
		if err := a.Check(r, "", []byte("Hello, World!")); (err == nil) != want {
			t.Errorf("Check(%q): got %v, want success %v", value, err, want)
		}
		if err := a.Check(r, "", []byte("Hello, World?")); !errors.Is(err, gate.ErrUnauthorized) {
			t.Errorf("Check(%q) of another body: got %v, want ErrUnauthorized", value, err)
		}
	}
}

func TestAmbiguousCredentialsAreRefused(t *testing.T) {
	header := authenticator(t, Config{Auth: AuthHeader, SecretFiles: []string{file(t, "right")}})
	r := request(t, "/")
	r.Header["Authorization"] = []string{"right", "wrong"}
	if err := header.Check(r, "", nil); err == nil {
		t.Error("two Authorization headers are taken")
	}
	r.Header["Authorization"] = []string{""}
	if err := header.Check(r, "", nil); err == nil {
		t.Error("an empty header is taken")
	}
	token := authenticator(t, Config{Auth: AuthToken, SecretFiles: []string{file(t, "right")}})
	for _, c := range []struct {
		query, path string
		want        bool
	}{{"?token=right", "", true}, {"", "right", true}, {"?token=right", "right", false}, {"?token=right&token=wrong", "", false}, {"?Token=right", "", false}, {"", "", false}} {
		if err := token.Check(request(t, "/"+c.query), c.path, nil); (err == nil) != c.want {
			t.Errorf("Check(%q, path %q): got %v, want success %v", c.query, c.path, err, c.want)
		}
	}
	basic := authenticator(t, Config{Auth: AuthBasic, SecretFiles: []string{file(t, "user:pass:word")}})
	r = request(t, "/")
	r.SetBasicAuth("user", "pass:word")
	if err := basic.Check(r, "", nil); err != nil {
		t.Errorf("a password with a colon: %v", err)
	}
	r.Header.Add("Authorization", "Basic eDp5")
	if err := basic.Check(r, "", nil); err == nil {
		t.Error("basic: two Authorization headers are taken")
	}
}

func TestSecretsAreReadAgain(t *testing.T) {
	clock := time.Date(2026, 11, 7, 0, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	name := file(t, "first")
	a, err := NewAuthenticator(Config{Auth: AuthHeader, SecretFiles: []string{name}},
		func() time.Time { return clock }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	check := func(value string, want bool) {
		t.Helper()
		r := request(t, "/")
		r.Header.Set("Authorization", value)
		if err := a.Check(r, "", nil); (err == nil) != want {
			t.Errorf("Check(%q): got %v, want success %v", value, err, want)
		}
	}
	check("first", true)
	if err := os.WriteFile(name, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("first", true) // looked at once a second at most
	clock = clock.Add(secretMaxAge)
	check("first", false)
	check("second", true)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		clock = clock.Add(secretMaxAge)
		check("second", true)
	}
	if n := strings.Count(log.String(), "cannot be read again"); n != 1 {
		t.Errorf("the missing file is logged %d times, want once:\n%s", n, &log)
	}
	if strings.Contains(log.String(), "second\"") {
		t.Errorf("the log has the secret:\n%s", &log)
	}
	if err := os.WriteFile(name, []byte("third"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(secretMaxAge)
	check("third", true)
}

func BenchmarkCheckHeader(b *testing.B) {
	a := authenticator(b, Config{Auth: AuthHeader, SecretFiles: []string{file(b, "one"), file(b, "two")}})
	r := request(b, "/")
	r.Header.Set("Authorization", "two")
	body, _ := io.ReadAll(strings.NewReader("{}"))
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Check(r, "", body); err != nil {
			b.Fatal(err)
		}
	}
}
