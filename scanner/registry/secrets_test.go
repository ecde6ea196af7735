package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

func TestDockerConfig(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("user:pass:word"))
	for name, c := range map[string]struct {
		host, text string
		want       login
		helper     string
		fails      string
	}{
		"host":           {"hub.example.com", `{"auths":{"hub.example.com":{"auth":"` + auth + `"}}}`, login{"user", "pass:word"}, "", ""},
		"url":            {"hub.example.com:5000", `{"auths":{"https://hub.example.com:5000/v1/":{"auth":"` + auth + `"}}}`, login{"user", "pass:word"}, "", ""},
		"docker_hub":     {"docker.io", `{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth + `"}}}`, login{"user", "pass:word"}, "", ""},
		"plain_fields":   {"hub.example.com", `{"auths":{"hub.example.com":{"username":"u","password":"p"}}}`, login{"u", "p"}, "", ""},
		"helper_first":   {"hub.example.com", `{"auths":{"hub.example.com":{"auth":"` + auth + `"}},"credHelpers":{"hub.example.com":"ecr-login"}}`, login{}, "ecr-login", ""},
		"store":          {"hub.example.com", `{"auths":{"hub.example.com":{}},"credsStore":"pass"}`, login{}, "pass", ""},
		"other_port":     {"hub.example.com:5000", `{"auths":{"hub.example.com":{"auth":"` + auth + `"}}}`, login{}, "", "no entry"},
		"suffix":         {"hub.example.com", `{"auths":{"evilhub.example.com":{"auth":"` + auth + `"}}}`, login{}, "", "no entry"},
		"identity_token": {"hub.example.com", `{"auths":{"hub.example.com":{"identitytoken":"s3cret"}}}`, login{}, "", "identity token"},
		"not_base64":     {"hub.example.com", `{"auths":{"hub.example.com":{"auth":"s3cret!"}}}`, login{}, "", "base64"},
		"no_json":        {"hub.example.com", `s3cret`, login{}, "", "JSON"},
		"helper_path":    {"hub.example.com", `{"credHelpers":{"hub.example.com":"../../bin/sh"}}`, login{}, "../../bin/sh", "not the name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, helper, err := readDockerConfig(file(t, c.text), c.host, "")
			if got != c.want || helper != c.helper || (err == nil) != (c.fails == "") {
				t.Errorf("got %+v, %q, %v", got, helper, err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("error %q, want %q in it and no secret", err, c.fails)
			}
		})
	}
}

// TestDockerConfigByPath: of several entries for a host it is the one with the
// longest path that the repository is in, always the same.
func TestDockerConfigByPath(t *testing.T) {
	entries := func(keys ...string) string {
		auths := map[string]dockerAuth{}
		for _, k := range keys {
			auths[k] = dockerAuth{Username: k, Password: "p"}
		}
		text, err := json.Marshal(dockerConfig{Auths: auths})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	many := entries("hub.example.com", "hub.example.com/team", "hub.example.com/team/app", "hub.example.com/team/apple", "https://hub.example.com/other/",
		"http://hub.example.com", "https://hub.example.com/v1/", "https://hub.example.com/v2/deep/path", "hub.example.com:443/team/app/x", "example.com/team/app/one")
	for name, c := range map[string]struct{ text, repo, want string }{
		"longest":           {many, "team/app", "hub.example.com/team/app"},
		"below":             {many, "team/app/one", "hub.example.com/team/app"},
		"whole_words":       {many, "team/applepie", "hub.example.com/team"},
		"longer_name":       {many, "team/apple/pie", "hub.example.com/team/apple"},
		"url":               {many, "other/x", "https://hub.example.com/other/"},
		"api_path":          {many, "deep/path/x", "https://hub.example.com/v2/deep/path"},
		"host":              {many, "nobody/x", "hub.example.com"},
		"no_repository":     {many, "", "hub.example.com"},
		"ties":              {entries("https://hub.example.com/v1/", "https://hub.example.com", "http://hub.example.com/"), "a/b", "http://hub.example.com/"},
		"only_paths":        {entries("hub.example.com/team/app", "hub.example.com/team"), "team/x", "hub.example.com/team"},
		"no_path_fits":      {entries("hub.example.com/team/b", "hub.example.com/team/a", "hub.example.com/team/longer"), "x/y", "hub.example.com/team/a"},
		"no_path_is_wanted": {entries("hub.example.com/team/b", "hub.example.com/z"), "", "hub.example.com/z"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, c.text)
			for range 50 { // maps have no order
				got, _, err := readDockerConfig(path, "hub.example.com", c.repo)
				if err != nil || got.user != c.want {
					t.Fatalf("repository %q: got %q, %v, want %q", c.repo, got.user, err, c.want)
				}
			}
		})
	}
	helpers := file(t, `{"auths":{"hub.example.com/team/app":{"username":"u","password":"p"}},"credHelpers":{"https://hub.example.com/v1/":"second","hub.example.com":"first"}}`)
	for range 50 {
		if _, got, err := readDockerConfig(helpers, "hub.example.com", "team/app"); err != nil || got != "first" {
			t.Fatalf("helpers: got %q, %v, want %q", got, err, "first")
		}
	}
}

// TestLoginByRepository: the entry of a repository is used for it, with Basic and
// with tokens.
func TestLoginByRepository(t *testing.T) {
	for _, challenge := range []string{"Basic", "Bearer"} {
		t.Run(challenge, func(t *testing.T) {
			var mu sync.Mutex
			users := map[string]string{} // by repository or scope
			var s *storeOf
			s = serveStore(t, func(w http.ResponseWriter, req *http.Request) {
				about := strings.TrimPrefix(req.URL.Path, "/v2/")
				about = strings.TrimSuffix(about, "/manifests/1")
				if user, _, ok := req.BasicAuth(); ok {
					if scope := req.URL.Query().Get("scope"); scope != "" {
						about = strings.TrimSuffix(strings.TrimPrefix(scope, "repository:"), ":pull")
					}
					mu.Lock()
					users[about] += user + " "
					mu.Unlock()
				}
				switch {
				case req.URL.Path == "/token":
					_, _ = w.Write([]byte(`{"token":"t"}`))
				case req.Header.Get("Authorization") == "":
					w.Header().Set("WWW-Authenticate", challenge+` realm="`+s.url+`/token"`)
					w.WriteHeader(http.StatusUnauthorized)
				default:
					w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
				}
			})
			config := fmt.Sprintf(`{"auths":{"%[1]s":{"username":"all","password":"p"},"%[1]s/team":{"username":"team","password":"p"},"http://%[1]s/team/app":{"username":"app","password":"p"}}}`, s.host)
			c := DefaultConfig()
			c.Name, c.Type, c.Host, c.PlainHTTP, c.Credentials.DockerConfig = "test", "distribution", s.host, true, file(t, config)
			client := newClient(t, Options{Registries: []Config{c}})
			for range 10 {
				for _, repo := range []string{"team/app", "team/other", "else/x"} {
					if _, err := client.Head(t.Context(), gate.Location{Registry: "test", Repository: repo}, "1"); err != nil {
						t.Fatal(err)
					}
				}
			}
			for repo, want := range map[string]string{"team/app": "app", "team/other": "team", "else/x": "all"} {
				got := slices.Compact(strings.Fields(users[repo]))
				if len(got) != 1 || got[0] != want {
					t.Errorf("repository %q was read as %q, want %q", repo, got, want)
				}
			}
		})
	}
}

// helper installs a credential helper as a shell script and returns the file in
// which it counts its runs.
func helper(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	text := "#!/bin/sh\necho \"$1 $(cat) ${DIGESTGATE_TOKEN-none} ${AWS_REGION-none}\" >>" + runs + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DIGESTGATE_TOKEN", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	return runs
}

func TestHelperLogsIn(t *testing.T) {
	runs := helper(t, `echo '{"ServerURL":"x","Username":"AWS","Secret":"short-lived"}'`)
	o := fake.Options{Auth: fake.AuthBasic, Username: "AWS", Password: "short-lived"}
	now := time.Unix(1_790_000_000, 0)
	r := newRig(t, o, func(c *Config, opts *Options) {
		c.Username, c.PasswordFile, c.Credentials.Helper = "", "", "test"
		opts.Now = func() time.Time { return now }
	})
	r.push(t, "v1", 10)
	for range 3 {
		if _, err := r.client.Head(t.Context(), r.loc, "v1"); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(helperLife)
	if _, err := r.client.Head(t.Context(), r.loc, "v1"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(runs)
	line := "get " + r.Host + " none eu-west-1\n"
	if err != nil || string(got) != line+line {
		t.Errorf("runs of the helper: %q, %v; want %q twice", got, err, line)
	}
}

// TestHelperIsAskedAgain: a login that the registry does not take any more is
// not used for the rest of its time.
func TestHelperIsAskedAgain(t *testing.T) {
	for name, auth := range map[string]fake.Auth{"basic": fake.AuthBasic, "bearer": fake.AuthBearer} {
		t.Run(name, func(t *testing.T) {
			runs := helper(t, `[ -f "$0.later" ] && password=new || password=old
: >"$0.later"
echo '{"ServerURL":"x","Username":"AWS","Secret":"'$password'"}'`)
			r := newRig(t, fake.Options{Auth: auth, Username: "AWS", Password: "new"}, func(c *Config, _ *Options) {
				c.Username, c.PasswordFile, c.Credentials.Helper = "", "", "test"
			})
			r.push(t, "v1", 10)
			var err error
			for range 3 { // Basic is sent unasked from the second call on
				if _, err = r.client.Head(t.Context(), r.loc, "v1"); err == nil {
					break
				}
				if !errors.Is(err, gate.ErrRegistryAuth) {
					t.Fatal(err)
				}
			}
			lines, _ := os.ReadFile(runs)
			if n := strings.Count(string(lines), "\n"); err != nil || n != 2 {
				t.Errorf("the helper ran %d times, want 2: %v", n, err)
			}
		})
	}
}

// TestLoginsOfClouds: the ways that the pages of these services describe, with
// a stand-in for each helper that answers as the real one does, to whoever asks
// for the right host with the right part of the environment.
func TestLoginsOfClouds(t *testing.T) {
	for name, c := range map[string]struct{ helper, user, variable string }{
		"ecr": {"ecr-login", "AWS", "AWS_ROLE_ARN"},
		"acr": {"acr-helper", "cr_temp_user", "ALIBABA_CLOUD_ROLE_ARN"},
		"tcr": {"tcr", "tcr$digestgate", "TENCENTCLOUD_SECRET_ID"},
		"swr": {"swr", "cn-north-4@AKIDEXAMPLE", "HUAWEICLOUD_SDK_AK"},
	} {
		o := fake.Options{Auth: fake.AuthBearer, Username: c.user, Password: "short-lived"}
		t.Run(name+"_helper", func(t *testing.T) {
			dir := t.TempDir()
			text := `#!/bin/sh
[ "$1" = get ] && [ "$(cat)" = "$(cat ` + dir + `/host)" ] && [ "$` + c.variable + `" = mine ] && [ -z "$DIGESTGATE_TOKEN" ] || exit 1
echo '{"ServerURL":"","Username":"` + c.user + `","Secret":"short-lived"}'`
			if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+c.helper), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			t.Setenv(c.variable, "mine")
			t.Setenv("DIGESTGATE_TOKEN", "secret")
			r := newRig(t, o, func(cfg *Config, _ *Options) {
				cfg.Type, cfg.Username, cfg.PasswordFile, cfg.Credentials.Helper = name, "", "", c.helper
			})
			if err := os.WriteFile(filepath.Join(dir, "host"), []byte(r.Host), 0o600); err != nil {
				t.Fatal(err)
			}
			r.canRead(t)
		})
		t.Run(name+"_password", func(t *testing.T) {
			r := newRig(t, o, func(cfg *Config, _ *Options) { cfg.Type = name })
			r.canRead(t)
		})
	}
}

// canRead proves that an image can be read, blobs included.
func (r rig) canRead(t *testing.T) {
	t.Helper()
	d, _ := r.push(t, "v1", 10)
	if _, err := r.client.Image(t.Context(), r.loc, d); err != nil {
		t.Error(err)
	}
}

func TestHelperFails(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"exit":      {"echo s3cret; exit 1", "has no credentials"},
		"no_json":   {"echo s3cret", "did not print"},
		"no_secret": {`echo '{"Username":"s3cret"}'`, "did not print"},
		"token":     {`echo '{"Username":"<token>","Secret":"s3cret"}'`, "identity token"},
		"endless":   {"exec yes s3cret", "printed more"},
	} {
		t.Run(name, func(t *testing.T) {
			helper(t, c.script)
			_, err := runHelper(t.Context(), "test", "hub.example.com")
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q and no secret", err, c.want)
			}
		})
	}
	if _, err := runHelper(t.Context(), "not-there", "hub.example.com"); err == nil || !strings.Contains(err.Error(), "PATH") {
		t.Errorf("a helper that is not there: %v", err)
	}
	if got := helperEnvironment([]string{"PATH=/bin", "DIGESTGATE_TOKEN=x", "KUBERNETES_PORT=1", "AWS_ROLE_ARN=a"}); !slices.Equal(got, []string{"PATH=/bin", "AWS_ROLE_ARN=a"}) {
		t.Errorf("environment %q", got)
	}
}

func TestCredentialsExcludeEachOther(t *testing.T) {
	c := DefaultConfig()
	c.Name, c.Type, c.Host = "test", "ecr", "hub.example.com"
	c.Username, c.PasswordFile = "u", file(t, "p")
	c.Credentials = CredentialsConfig{DockerConfig: file(t, "{}"), Helper: "a/b"}
	err := c.Validate()
	for _, key := range []string{"credentials: ", "credentials.dockerConfig: ", "credentials.helper: "} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("Validate: %v, want %q in it", err, key)
		}
	}
}
