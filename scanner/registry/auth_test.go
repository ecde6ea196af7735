package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

const secret = "s3cret-passw0rd"

func bearer(tls bool) fake.Options {
	return fake.Options{TLS: tls, Auth: fake.AuthBearer, Username: "robot", Password: secret, ExpiresIn: "300"}
}

// never fails the test if a secret shows in an error.
func noSecret(t *testing.T, err error) {
	t.Helper()
	if s := fmt.Sprint(err); strings.Contains(s, secret) || strings.Contains(s, "token-") || strings.Contains(s, "signature=") {
		t.Errorf("a secret shows in %q", s)
	}
}

func TestForeignRealmGetsNothing(t *testing.T) { // N05
	attacker := start(t, bearer(false))
	tests := map[string]string{
		"other_host":       attacker.URL + "/token",
		"public_host":      "http://token.attacker.example/token",
		"metadata":         "http://169.254.169.254/token",
		"user_in_realm":    "http://x@" + attacker.Host + "/token",
		"no_address":       "::not an address",
		"other_scheme":     "ftp://" + attacker.Host + "/token",
		"empty":            " ",
		"suffix_of_host":   "http://127.0.0.1.attacker.example/token",
		"other_port":       "http://127.0.0.1:1/token",
		"https_same_host":  "",
		"user_at_own_host": "",
	}
	for name, realm := range tests {
		t.Run(name, func(t *testing.T) {
			o := bearer(false)
			o.Realm = realm
			r := newRig(t, o, func(_ *Config, o *Options) { o.Resolver = nowhere() })
			switch name {
			case "https_same_host":
				r.Fail(fake.Fault{Path: anyManifest, Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="https://[::1]:9/token"`}}})
			case "user_at_own_host":
				r.Fail(fake.Fault{Path: anyManifest, Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="http://x:y@` + r.Host + `/token"`}}})
			}
			_, err := r.client.Head(t.Context(), r.loc, "1")
			if !errors.Is(err, gate.ErrRegistryAuth) {
				t.Errorf("got %v, want ErrRegistryAuth", err)
			}
			noSecret(t, err)
			if n := len(attacker.Requests()); n != 0 {
				t.Errorf("the attacker got %d requests", n)
			}
			if n := r.Count("", "/token"); n != 0 {
				t.Errorf("%d token exchanges", n)
			}
			for _, q := range r.Requests() {
				if q.Authorization != "" {
					t.Errorf("credentials were sent unasked: %+v", q)
				}
			}
		})
	}
}

func TestRealmAtTokenHost(t *testing.T) {
	tokens := start(t, bearer(false))
	o := bearer(false)
	o.Realm = tokens.URL + "/token?account=x"
	r := newRig(t, o, func(c *Config, _ *Options) { c.TokenHosts = []string{tokens.Host} })
	r.push(t, "1", 10)
	_, err := r.client.Head(t.Context(), r.loc, "1") // the token of tokens is not one of r
	if !errors.Is(err, gate.ErrRegistryAuth) {
		t.Fatalf("got %v", err)
	}
	asked := tokens.Requests()
	if len(asked) == 0 || !strings.HasPrefix(asked[0].Authorization, "Basic ") ||
		asked[0].Query != "account=x&scope=repository%3Ateam%2Fapp%3Apull&service=registry" {
		t.Errorf("the token host was asked %+v", asked)
	}
	for _, q := range r.Requests() {
		if strings.HasPrefix(q.Authorization, "Basic ") {
			t.Errorf("the password went to the registry itself: %+v", q)
		}
	}
}

func TestHTTPSRegistryNeverSpeaksHTTP(t *testing.T) { // T05, N05, N06
	plain := start(t, bearer(false)) // a registry on loopback, which ggcr would ask by http
	cfg := configFor(t, plain, bearer(false))
	cfg.PlainHTTP = false
	c := newClient(t, Options{Registries: []Config{cfg}})
	_, err := c.Head(t.Context(), gate.Location{Registry: "test", Repository: "app"}, "1")
	if !errors.Is(err, gate.ErrRegistryUnavailable) || len(plain.Requests()) != 0 {
		t.Errorf("got %v, %d requests in clear", err, len(plain.Requests()))
	}
	o := bearer(true)
	o.Realm = plain.URL + "/token"
	r := newRig(t, o, func(c *Config, _ *Options) { c.TokenHosts = []string{plain.Host} })
	if _, err := r.client.Head(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrRegistryAuth) || len(plain.Requests()) != 0 {
		t.Errorf("realm by http: got %v, %d requests in clear", err, len(plain.Requests()))
	}
}

func TestTokenExpiresMidPull(t *testing.T) { // N03
	r := newRig(t, bearer(true))
	want, _ := r.push(t, "1", 10)
	if _, err := r.client.Resolve(t.Context(), r.loc, "1"); err != nil {
		t.Fatal(err)
	}
	if n := r.Count("", "/token"); n != 1 {
		t.Errorf("%d token exchanges for one repository, want 1", n)
	}
	r.RevokeTokens()
	r.Reset()
	m, err := r.client.Resolve(t.Context(), r.loc, "1")
	if err != nil || m.Digest != want || r.Count("", "/token") != 1 {
		t.Errorf("got %+v, %v after %d exchanges, want one refresh", m, err, r.Count("", "/token"))
	}
	t.Run("before_its_time", func(t *testing.T) {
		clk := newClock()
		r := newRig(t, bearer(true), func(_ *Config, o *Options) { o.Now = clk.now })
		r.push(t, "1", 10)
		for _, step := range []struct{ seconds, exchanges int }{{0, 1}, {200, 1}, {80, 2}} {
			clk.advance(secondsOf(step.seconds))
			if _, err := r.client.Head(t.Context(), r.loc, "1"); err != nil {
				t.Fatal(err)
			}
			if n := r.Count("", "/token"); n != step.exchanges {
				t.Errorf("after %d s: %d exchanges, want %d", step.seconds, n, step.exchanges)
			}
		}
	})
}

func TestEndless401(t *testing.T) { // N04
	for name, challenge := range map[string]string{
		"fresh_token_refused": "",
		"scope_changes":       `Bearer realm="URL/token",scope="repository:other:push,pull,delete"`,
		"no_challenge":        "-",
		"unknown_scheme":      `Negotiate`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, bearer(false))
			f := fake.Fault{Path: anyManifest, Status: 401, Header: http.Header{}}
			if challenge == "" {
				challenge = `Bearer realm="URL/token",service="s"`
			}
			if challenge != "-" {
				f.Header.Set("Www-Authenticate", strings.ReplaceAll(challenge, "URL", r.URL))
			}
			r.Fail(f)
			_, err := r.client.Head(t.Context(), r.loc, "1")
			if !errors.Is(err, gate.ErrRegistryAuth) {
				t.Errorf("got %v", err)
			}
			noSecret(t, err)
			if n := r.Count("", "/token"); n > maxExchanges {
				t.Errorf("%d exchanges", n)
			}
			for _, q := range r.Requests() {
				if strings.Contains(q.Query, "push") {
					t.Errorf("asked for more than pulling: %s", q.Query)
				}
			}
		})
	}
	t.Run("on_every_hop_of_a_redirect", func(t *testing.T) {
		r := newRig(t, bearer(false))
		for range 10 {
			r.Fail(fake.Fault{Path: anyManifest, Times: 1, Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + r.URL + `/token"`}}})
			r.Fail(fake.Fault{Path: anyManifest, Times: 1, Status: 302, Header: http.Header{"Location": {"/v2/team/app/manifests/2"}}})
		}
		_, err := r.client.Head(t.Context(), r.loc, "1")
		if !errors.Is(err, gate.ErrRegistryAuth) || r.Count("", "/token") != maxExchanges {
			t.Errorf("got %v after %d exchanges", err, r.Count("", "/token"))
		}
	})
	t.Run("between_server_errors", func(t *testing.T) {
		r := newRig(t, bearer(false))
		for range 10 {
			r.Fail(fake.Fault{Path: anyManifest, Times: 1, Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + r.URL + `/token"`}}})
			r.Fail(fake.Fault{Path: anyManifest, Times: 1, Status: 500})
		}
		_, err := r.client.Head(t.Context(), r.loc, "1")
		if err == nil || r.Count("", "/token") > maxExchanges {
			t.Errorf("got %v after %d exchanges", err, r.Count("", "/token"))
		}
	})
}

func TestTokenAnswers(t *testing.T) { // N04, N09
	tests := map[string]struct {
		fault fake.Fault
		want  error
	}{
		"endless":        {fake.Fault{Body: []byte(`{"token":"x`), Flood: 1 << 30, Unsized: true}, gate.ErrRegistryAuth},
		"too_large":      {fake.Fault{Body: []byte(`{"token":"x"}` + strings.Repeat(" ", maxTokenBytes))}, gate.ErrRegistryAuth},
		"no_json":        {fake.Fault{Body: []byte(secret)}, gate.ErrRegistryAuth},
		"no_token":       {fake.Fault{Body: []byte(`{"password":"` + secret + `"}`)}, gate.ErrRegistryAuth},
		"header_in_it":   {fake.Fault{Body: []byte(`{"token":"x\r\nHost: evil"}`)}, gate.ErrRegistryAuth},
		"zero_expiry":    {fake.Fault{Body: []byte(`{"token":"t","expires_in":0}`)}, nil},
		"huge_expiry":    {fake.Fault{Body: []byte(`{"access_token":"t","expires_in":1e12}`)}, nil},
		"odd_expiry":     {fake.Fault{Body: []byte(`{"token":"t","expires_in":"soon"}`)}, nil},
		"wrong_password": {fake.Fault{Status: 401}, gate.ErrRegistryAuth},
		"limited":        {fake.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, gate.ErrRegistryUnavailable},
		"down":           {fake.Fault{Status: 503}, gate.ErrRegistryUnavailable},
		"gone":           {fake.Fault{Status: 404}, gate.ErrRegistryAuth},
		"redirect":       {fake.Fault{Status: 302, Header: http.Header{"Location": {"http://127.0.0.1:1/"}}}, gate.ErrRegistryAuth},
		"reset":          {fake.Fault{Body: []byte(`{}`), Reset: true}, gate.ErrRegistryUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, bearer(false))
			r.push(t, "1", 10)
			tt.fault.Path = "/token"
			r.Fail(tt.fault)
			if tt.want == nil {
				r.Fail(fake.Fault{Path: anyManifest, Skip: 1, Status: 404}) // takes any token
			}
			_, err := r.client.Head(t.Context(), r.loc, "1")
			if tt.want == nil {
				tt.want = gate.ErrNotFound
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			noSecret(t, err)
			if n := r.Flooded(); n > bufferedBytes {
				t.Errorf("%d bytes were read", n)
			}
			if n := r.Count("HEAD", "/manifests/"); tt.want == gate.ErrRegistryAuth && n != 1 {
				t.Errorf("the token was used: %d requests", n)
			}
		})
	}
}

func TestRedirects(t *testing.T) { // N06
	content := []byte("content of a layer")
	setup := func(t *testing.T, o fake.Options, change ...func(*Config, *Options)) (rig, *fake.Registry, gate.Digest) {
		cdn := start(t, fake.Options{})
		change = append(change, func(c *Config, _ *Options) { c.BlobHosts = append(c.BlobHosts, cdn.Host) })
		r := newRig(t, o, change...)
		d, _ := r.PutBlob(content)
		_, _ = cdn.PutBlob(content)
		return r, cdn, d
	}
	t.Run("blob_to_another_host_without_credentials", func(t *testing.T) {
		r, cdn, d := setup(t, bearer(false))
		r.Fail(fake.Fault{Path: anyBlob, Skip: 1, Status: 307, Header: http.Header{"Location": {cdn.URL + "/v2/cdn/blobs/" + string(d) + "?signature=s3cr3t"}}})
		got, err := r.blob(t.Context(), d, int64(len(content)))
		if err != nil || string(got) != string(content) {
			t.Fatalf("got %q, %v", got, err)
		}
		asked := cdn.Requests()
		if len(asked) != 1 || asked[0].Authorization != "" || asked[0].Referer != r.URL+"/v2/team/app/blobs/"+string(d) || asked[0].Query != "signature=s3cr3t" {
			t.Errorf("the other host was asked %+v", asked)
		}
	})
	t.Run("blob_that_asks_for_credentials_elsewhere", func(t *testing.T) {
		other := start(t, fake.Options{Auth: fake.AuthBasic, Username: "robot", Password: secret})
		r, _, d := setup(t, bearer(false), func(c *Config, _ *Options) { c.BlobHosts = []string{other.Host} }) // may be connected to
		r.Fail(fake.Fault{Path: anyBlob, Skip: 1, Status: 307, Header: http.Header{"Location": {other.URL + "/v2/x/blobs/" + string(d) + "?signature=s3cr3t"}}})
		_, err := r.blob(t.Context(), d, int64(len(content)))
		if !errors.Is(err, gate.ErrRegistryUnavailable) {
			t.Errorf("got %v", err)
		}
		noSecret(t, err)
		for _, q := range other.Requests() {
			if q.Authorization != "" {
				t.Errorf("credentials went across a redirect: %+v", q)
			}
		}
	})
	t.Run("resumes_through_the_redirect", func(t *testing.T) {
		r, cdn, d := setup(t, fake.Options{})
		r.Fail(fake.Fault{Path: anyBlob, Status: 307, Header: http.Header{"Location": {cdn.URL + "/v2/cdn/blobs/" + string(d)}}})
		cdn.Fail(fake.Fault{After: 5, Reset: true, Times: 1})
		got, err := r.blob(t.Context(), d, int64(len(content)))
		if err != nil || string(got) != string(content) || cdn.Requests()[1].Range != "bytes=5-17" {
			t.Errorf("got %q, %v, %+v", got, err, cdn.Requests())
		}
	})
	for name, to := range map[string]func(r rig, cdn *fake.Registry, d gate.Digest) (path, location string){
		"tag_to_another_host": func(rig, *fake.Registry, gate.Digest) (string, string) {
			return anyManifest, "http://198.51.100.1/v2/x/manifests/1"
		},
		"endless": func(r rig, _ *fake.Registry, d gate.Digest) (string, string) {
			return anyBlob, r.URL + "/v2/x/blobs/" + string(d)
		},
		"user_in_location": func(_ rig, cdn *fake.Registry, d gate.Digest) (string, string) {
			return anyBlob, "http://u:p@" + cdn.Host + "/v2/x/blobs/" + string(d)
		},
		"other_scheme": func(rig, *fake.Registry, gate.Digest) (string, string) { return anyBlob, "file:///etc/passwd" },
	} {
		t.Run(name, func(t *testing.T) {
			r, cdn, d := setup(t, fake.Options{})
			path, location := to(r, cdn, d)
			r.Fail(fake.Fault{Path: path, Status: 302, Header: http.Header{"Location": {location}}})
			var err error
			if path == anyManifest {
				_, err = r.client.Resolve(t.Context(), r.loc, "1")
			} else {
				_, err = r.client.Blob(t.Context(), r.loc, d, int64(len(content)))
			}
			if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(fmt.Sprint(err), "refusing the redirect") {
				t.Errorf("got %v", err)
			}
			if len(cdn.Requests()) != 0 || len(r.Requests()) > maxRedirects+1 {
				t.Errorf("%d requests elsewhere, %d here", len(cdn.Requests()), len(r.Requests()))
			}
		})
	}
	t.Run("signed_address_of_a_dead_host", func(t *testing.T) {
		dead, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead.Close()
		r, _, d := setup(t, fake.Options{}, func(c *Config, _ *Options) { c.TokenHosts = []string{dead.Addr().String()} })
		r.Fail(fake.Fault{Path: anyBlob, Status: 307, Header: http.Header{"Location": {"http://" + dead.Addr().String() + "/x?signature=s3cr3t"}}})
		_, err = r.client.Blob(t.Context(), r.loc, d, int64(len(content)))
		if !errors.Is(err, gate.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
		noSecret(t, err)
	})
	t.Run("https_to_http", func(t *testing.T) {
		r, cdn, d := setup(t, fake.Options{TLS: true})
		r.Fail(fake.Fault{Path: anyBlob, Status: 307, Header: http.Header{"Location": {cdn.URL + "/v2/cdn/blobs/" + string(d)}}})
		_, err := r.client.Blob(t.Context(), r.loc, d, int64(len(content)))
		if !errors.Is(err, gate.ErrRegistryUnavailable) || len(cdn.Requests()) != 0 {
			t.Errorf("got %v, %d requests in clear", err, len(cdn.Requests()))
		}
	})
}

func TestPasswordFileIsReadAgain(t *testing.T) {
	for _, auth := range []fake.Auth{fake.AuthBasic, fake.AuthBearer} {
		t.Run(string(auth), func(t *testing.T) {
			o := fake.Options{Auth: auth, Username: "robot", Password: secret}
			var name string
			r := newRig(t, o, func(c *Config, _ *Options) {
				name = c.PasswordFile
				if err := os.WriteFile(name, []byte("wrong"), 0o600); err != nil {
					t.Fatal(err)
				}
			})
			r.push(t, "1", 10)
			if _, err := r.client.Head(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrRegistryAuth) || !strings.Contains(err.Error(), "passwordFile") {
				t.Fatalf("wrong password: got %v", err)
			}
			if err := os.WriteFile(name, []byte(secret+"\r\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := r.client.Head(t.Context(), r.loc, "1"); err != nil {
				t.Errorf("right password: %v", err)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			r.RevokeTokens()
			if _, err := r.client.Head(t.Context(), r.loc, "1"); !errors.Is(err, gate.ErrRegistryAuth) || !strings.Contains(err.Error(), name) {
				t.Errorf("file gone: got %v", err)
			}
		})
	}
}

func TestAnonymousPull(t *testing.T) {
	r := newRig(t, fake.Options{Auth: fake.AuthBearer, Anonymous: true})
	want, _ := r.push(t, "1", 10)
	if got, err := r.client.Head(t.Context(), r.loc, "1"); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	private := newRig(t, fake.Options{Auth: fake.AuthBasic, Username: "x", Password: "y"}, func(c *Config, _ *Options) { c.Username, c.PasswordFile = "", "" })
	if _, err := private.client.Head(t.Context(), private.loc, "1"); !errors.Is(err, gate.ErrRegistryAuth) || !strings.Contains(err.Error(), "configure username") {
		t.Errorf("got %v", err)
	}
}

func TestParsesChallenges(t *testing.T) {
	tests := map[string][]challenge{
		`Basic realm="x"`: {{"basic", map[string]string{"realm": "x"}}},
		`Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"`: {{"bearer", map[string]string{"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"}}},
		`bearer Realm = "a\"b" , error=invalid_token`:                             {{"bearer", map[string]string{"realm": `a"b`, "error": "invalid_token"}}},
		`Negotiate, Basic realm=x, Bearer realm="y"`:                              {{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": "x"}}, {"bearer", map[string]string{"realm": "y"}}},
		`Bearer realm="unclosed`:                                                  {{"bearer", map[string]string{}}},
		`Bearer realm="a",realm="b"`:                                              {{"bearer", map[string]string{"realm": "a"}}},
		`=,=`:                                                                     nil,
		``:                                                                        nil,
	}
	for line, want := range tests {
		got := parseChallenges(http.Header{"Www-Authenticate": {line}})
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(challenge{})); diff != "" {
			t.Errorf("parseChallenges(%q) (-want +got):\n%s", line, diff)
		}
	}
}
