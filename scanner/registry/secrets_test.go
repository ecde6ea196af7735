package registry

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/registrytest"
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
			got, helper, err := readDockerConfig(file(t, c.text), c.host)
			if got != c.want || helper != c.helper || (err == nil) != (c.fails == "") {
				t.Errorf("got %+v, %q, %v", got, helper, err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("error %q, want %q in it and no secret", err, c.fails)
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
	o := registrytest.Options{Auth: registrytest.AuthBasic, Username: "AWS", Password: "short-lived"}
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
	for name, auth := range map[string]registrytest.Auth{"basic": registrytest.AuthBasic, "bearer": registrytest.AuthBearer} {
		t.Run(name, func(t *testing.T) {
			runs := helper(t, `[ -f "$0.later" ] && password=new || password=old
: >"$0.later"
echo '{"ServerURL":"x","Username":"AWS","Secret":"'$password'"}'`)
			r := newRig(t, registrytest.Options{Auth: auth, Username: "AWS", Password: "new"}, func(c *Config, _ *Options) {
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
		o := registrytest.Options{Auth: registrytest.AuthBearer, Username: c.user, Password: "short-lived"}
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
