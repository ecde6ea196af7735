package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/local"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/registry/fake"
)

// checking is a configuration for `digestgate check`, with a registry.
func checking(t *testing.T, extra string) *server {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	return newServer(t, extra)
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// expect runs a check and compares its exit status and its output, which are
// regular expressions; one with "!" in front must not be found.
func expect(t *testing.T, code int, args []string, out ...string) (stdout string) {
	t.Helper()
	got, stdout, stderr := command(t, append([]string{"check"}, args...)...)
	if got != code {
		t.Errorf("check %q: exit %d, want %d\nstdout: %s\nstderr: %s", args, got, code, stdout, stderr)
	}
	for _, pattern := range out {
		unwanted := strings.HasPrefix(pattern, "!")
		if regexp.MustCompile("(?m)"+strings.TrimPrefix(pattern, "!")).MatchString(stdout+stderr) == unwanted {
			t.Errorf("check %q: want %q\nstdout: %s\nstderr: %s", args, pattern, stdout, stderr)
		}
	}
	return stdout
}

func image(t *testing.T, arch string, layers ...[]byte) v1.Image {
	t.Helper()
	img, err := fake.NewImage(fake.ImageOptions{Platform: v1.Platform{OS: "linux", Architecture: arch}, Docker: true}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestCheckShowsWhatWasFound(t *testing.T) {
	s := checking(t, "")
	img := image(t, "amd64", demo.Root(demo.Released, "amd64"), fake.Tar(map[string]string{"app/id_rsa": privateKey}))
	if _, err := s.registry.Push("team/app", "bad", img); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var diff []string
	for _, l := range layers {
		h, err := l.DiffID()
		if err != nil {
			t.Fatal(err)
		}
		diff = append(diff, gate.Digest(h.String()).Short())
	}
	stdout := expect(t, 2, []string{s.registry.Host + "/team/app:bad", "-c", s.config},
		`^verdict +deny$`,
		`^vulnerabilities +2 critical, .* in \d+ packages$`,
		`^SEVERITY +VULNERABILITY +PACKAGE +INSTALLED +FIXED +LAYER +FILE$`,
		`^CRITICAL +CVE-2024-45491 +libexpat1 +2\.5\.0-1 +2\.5\.0-1\+deb12u1 +`+diff[0]+` `,
		`^SEVERITY +SECRET +FILE +LINE +LAYER$`,
		`^HIGH +private-key +/?app/id_rsa +\d+ +`+diff[1]+`$`)
	if first, second := strings.Index(stdout, "CRITICAL"), strings.Index(stdout, "\nHIGH"); first < 0 || second < first {
		t.Errorf("the worst finding is not first:\n%s", stdout)
	}
	var got local.CheckResult
	stdout = expect(t, 2, []string{s.registry.Host + "/team/app:bad", "-c", s.config, "--format", "json"})
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Compared || len(got.Findings) != 1 || len(got.Findings[0].Vulnerabilities) == 0 || got.Findings[0].Vulnerabilities[0].Layer.Short() != diff[0] ||
		len(got.Findings[0].Secrets) != 1 || got.Verdict.Decision != gate.OutcomeDeny {
		t.Errorf("json: got %+v", got)
	}
}

// What cannot be judged has a word of its own, which exit status and text agree on.
func TestCheckSaysWhatWasNotCompared(t *testing.T) {
	s := checking(t, "")
	for tag, files := range map[string]map[string]string{
		"scratch": {"app/config": "a = b\n"},
		"future":  {"etc/os-release": "ID=debian\nVERSION_ID=99\n", "etc/debian_version": "99.0\n", "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"},
	} {
		if _, err := s.registry.Push("team/app", tag, image(t, "amd64", fake.Tar(files))); err != nil {
			t.Fatal(err)
		}
	}
	at := func(tag string, more ...string) []string {
		return append([]string{s.registry.Host + "/team/app:" + tag, "-c", s.config}, more...)
	}
	expect(t, 0, at("scratch"), `^vulnerabilities +not compared: no package was found in the image$`, `!0 critical`, `^verdict +(allow|warn)$`)
	expect(t, 3, at("future"), `^vulnerabilities +not compared: .*99`, `!0 critical`, `^verdict +none$`, `^  none +UNASSESSABLE: `, `no verdict: UNASSESSABLE`, `!deny`)
	var got local.CheckResult
	if err := json.Unmarshal([]byte(expect(t, 3, at("future", "--format", "json"))), &got); err != nil {
		t.Fatal(err)
	}
	if got.Compared || got.Verdict.Decision != gate.OutcomeNone || got.Verdict.Code != gate.CodeUnassessable || got.Locations[0].Verdict.Decision != gate.OutcomeNone {
		t.Errorf("json: got %+v", got)
	}
}

func TestCheckWithoutAdvisoriesPullsNothing(t *testing.T) {
	s := checking(t, "")
	s.pushDebian("team/app", "clean", demo.Updated, nil)
	s.registry.Reset()
	image := s.registry.Host + "/team/app:clean"
	expect(t, 3, []string{image, "-c", s.config, "--set", "advisories.path="}, `no verdict: there is no advisory data .* so nothing was pulled: advisories.path is empty`, `!invalid input`)
	expect(t, 3, []string{image, "-c", s.config, "--set", "advisories.path=" + s.dir + "/none"}, `so nothing was pulled: .*none`)
	if n := len(s.registry.Requests()); n > 0 {
		t.Errorf("the registry was asked %d times", n)
	}
}

func TestCheckForANamespace(t *testing.T) {
	s := checking(t, "admission: {namespaces: {team-warn: {mode: warn}}}")
	s.pushDebian("team/app", "clean", demo.Updated, nil)
	rule := write(t, filepath.Join(s.dir, "rules", "a.rego"), `package digestgate

deny contains {"rule": "shop-only", "msg": sprintf("%s %s of %s", [input.event, input.request.kind, input.request.namespace])} if {
	input.request.namespace != ""
	input.request.namespace != "shop"
}
`, 0o600)
	check := func(code int, namespace string, out ...string) {
		t.Helper()
		args := []string{s.registry.Host + "/team/app:clean", "-c", s.config, "--set", "policy.paths=[" + rule + "]"}
		if namespace != "" {
			args = append(args, "--namespace", namespace)
		}
		expect(t, code, args, out...)
	}
	check(0, "")
	check(0, "shop", "!note")
	check(2, "payments", "shop-only: admission Pod of payments")
	check(2, "team-warn", `note: admission.mode is warn in namespace "team-warn"`)
	check(2, "kube-system", `note: namespace "kube-system" is in admission.exemptNamespaces`)
	check(1, "No_Name", `--namespace "No_Name" is not the name of a namespace`)
}

func TestCheckOfAPlatform(t *testing.T) {
	s := checking(t, "")
	if _, err := pushIndexOf(s, "team/app", "multi"); err != nil { // arm64 has findings
		t.Fatal(err)
	}
	s.pushDebian("team/app", "single", demo.Updated, nil)
	at := func(tag string, platform ...string) []string {
		args := []string{s.registry.Host + "/team/app:" + tag, "-c", s.config}
		for _, p := range platform {
			args = append(args, "--platform", p)
		}
		return args
	}
	expect(t, 0, at("multi", "linux/amd64"), `platform +linux/arm64 .*\(not judged\)`)
	expect(t, 2, at("multi", "linux/arm64"), `platform +linux/amd64 .*\(not judged\)`, `^linux/arm64 sha256:|^CRITICAL`)
	expect(t, 2, at("multi", "linux/amd64", "linux/arm64"), `^linux/amd64 sha256:|^linux/arm64 sha256:`)
	expect(t, 3, at("multi", "linux/s390x"), `verdict +none`)
	// A platform that the registry has lost: what is known of the other is shown.
	var d demo.Images
	if err := demo.PushIndex(s.registry, "team/app", "half", v1.Config{User: "65532"}, &d); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.Delete("team/app", string(d.Children[1])); err != nil {
		t.Fatal(err)
	}
	expect(t, 3, at("half"), `verdict +none`, `^vulnerabilities +0 critical, .*; not compared: linux/arm64`, `platform +linux/arm64 .*`)
	s.registry.Reset()
	expect(t, 3, at("single", "linux/arm64"), `no verdict: the image is for linux/amd64 only, and --platform asks for linux/arm64`)
	if n := s.registry.Count("", s.layer); n > 0 {
		t.Errorf("the layer was pulled %d times for another platform", n)
	}
	expect(t, 1, at("single", "amd64"), `--platform: platform "amd64" \(want linux/ARCHITECTURE`, `!invalid input`)
}

func TestCheckOfAnArchive(t *testing.T) {
	s := checking(t, "")
	bad := image(t, "amd64", demo.Root(demo.Released, "amd64"))
	clean := image(t, "amd64", demo.Root(demo.Updated, "amd64"))
	save := func(file string, images map[string]v1.Image) string {
		refs := map[name.Reference]v1.Image{}
		for n, img := range images {
			ref, err := name.ParseReference(n)
			if err != nil {
				t.Fatal(err)
			}
			refs[ref] = img
		}
		path := filepath.Join(s.dir, file)
		if err := tarball.MultiRefWriteToFile(path, refs); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := save("one.tar", map[string]v1.Image{"registry.example.com/team/app:1.0": clean})
	two := save("two.tar", map[string]v1.Image{"good:1": clean, "bad:1": bad})
	dir := filepath.Join(s.dir, "layout")
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	arm := image(t, "arm64", demo.Root(demo.Released, "arm64"))
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	if err := p.AppendIndex(fake.NewIndex(fake.Child{Add: clean, Platform: &platforms[0]}, fake.Child{Add: arm, Platform: &platforms[1]})); err != nil {
		t.Fatal(err)
	}
	check := func(code int, args []string, out ...string) {
		t.Helper()
		expect(t, code, append([]string{"-c", s.config, "--input"}, args...), out...)
	}
	s.registry.Reset()
	check(0, []string{one}, `^verdict +allow|^verdict +warn`, `in \d+ packages`)
	check(2, []string{two, "bad:1"}, `CVE-2024-45491`)
	check(0, []string{two, "good:1"})
	check(1, []string{two}, `--input ".*two.tar": it holds 2 images; say which: `, `!invalid input`)
	check(1, []string{filepath.Join(s.dir, "none.tar")}, `none.tar": it cannot be read: no such file`)
	check(2, []string{dir}, `^linux/arm64 sha256:`)
	check(0, []string{dir, "--platform", "linux/amd64"})
	// As docker saves what it has pulled: an index of all platforms, the content of one.
	manifest, err := arm.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "blobs/sha256", manifest.Hex)); err != nil {
		t.Fatal(err)
	}
	check(0, []string{dir}, `note: .*layout" has no content for linux/arm64; only linux/amd64 is judged`)
	check(1, []string{dir, "--platform", "linux/arm64"}, `it has no content for linux/arm64, but for linux/amd64`)
	// Policies see the name that is given, with the configured registry; nothing is asked.
	rule := write(t, filepath.Join(s.dir, "rules", "a.rego"), `package digestgate

warn contains {"rule": "seen", "msg": sprintf("%s %s %s %v", [input.image.registry, input.image.host, input.image.repository, input.image.tags])}
`, 0o600)
	check(0, []string{one, s.registry.Host + "/team/new:2", "--set", "policy.paths=[" + rule + "]"}, `seen: hub `+regexp.QuoteMeta(s.registry.Host)+` team/new \["2"\]`)
	check(0, []string{one, "--set", "policy.paths=[" + rule + "]"}, `seen: command-line registry.example.com team/app \["1.0"\]`)
	if n := len(s.registry.Requests()); n > 0 {
		t.Errorf("the registry was asked %d times", n)
	}
	expect(t, 1, []string{"-c", s.config}, `which image\? check accepts 1 argument`)
}

func TestCheckTakesTheLoginsOfDocker(t *testing.T) {
	s := checking(t, "")
	reg, err := fake.Start(fake.Options{Auth: fake.AuthBearer, Username: "ci", Password: "s3cret-of-docker"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if _, err := reg.Push("team/app", "1", image(t, "amd64", demo.Root(demo.Updated, "amd64"))); err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("ci:s3cret-of-docker"))
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	write(t, filepath.Join(bin, "docker-credential-has"), "#!/bin/sh\necho '{\"Username\":\"ci\",\"Secret\":\"s3cret-of-docker\"}'\n", 0o700)
	write(t, filepath.Join(bin, "docker-credential-none"), "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n", 0o700)
	write(t, filepath.Join(bin, "docker-credential-broken"), "#!/bin/sh\necho s3cret-of-docker\nexit 1\n", 0o700)
	for name, c := range map[string]struct {
		config string
		code   int
		text   string
	}{
		"login":          {fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.Host, auth), 0, "verdict"},
		"helper_of_host": {fmt.Sprintf(`{"credHelpers":{%q:"has"}}`, reg.Host), 0, "verdict"},
		"helper_of_all":  {`{"credsStore":"has"}`, 0, "verdict"},
		"other_host":     {fmt.Sprintf(`{"auths":{"other.example.com":{"auth":%q}}}`, auth), 3, `no login: log in with "docker login ` + reg.Host + `"`},
		"helper_without": {`{"credsStore":"none"}`, 3, "docker login"},
		"helper_broken":  {`{"credsStore":"broken"}`, 1, `credential helper "docker-credential-broken" has no credentials`},
		"helper_missing": {`{"credsStore":"is-not-there"}`, 1, `credential helper "docker-credential-is-not-there" is not in PATH`},
		"not_json":       {`{`, 1, "it is not a JSON object with auths"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "config.json"), c.config, 0o600)
			t.Setenv("DOCKER_CONFIG", dir)
			expect(t, c.code, []string{reg.Host + "/team/app:1", "--plain-http", "-c", s.config}, regexp.QuoteMeta(c.text), "!s3cret-of-docker")
		})
	}
	t.Run("home", func(t *testing.T) {
		home := t.TempDir()
		write(t, filepath.Join(home, ".docker", "config.json"), fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.Host, auth), 0o600)
		t.Setenv("HOME", home)
		t.Setenv("DOCKER_CONFIG", "")
		expect(t, 0, []string{reg.Host + "/team/app:1", "--plain-http", "-c", s.config})
	})
	t.Run("no_file", func(t *testing.T) {
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		expect(t, 3, []string{reg.Host + "/team/app:1", "--plain-http", "-c", s.config}, "docker login")
	})
}

// What is wrong with a registry that is not configured is said with its host and with
// flags: there is no configuration in which a key could be corrected.
func TestCheckSpeaksOfFlags(t *testing.T) {
	s := checking(t, "")
	img := image(t, "amd64", demo.Root(demo.Updated, "amd64"))
	start := func(o fake.Options) (host string) {
		reg, err := fake.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = reg.Close() })
		if _, err := reg.Push("team/app", "1", img); err != nil {
			t.Fatal(err)
		}
		return reg.Host
	}
	plain, closed := start(fake.Options{}), start(fake.Options{Auth: fake.AuthBasic, Username: "a", Password: "b"})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls := strings.TrimPrefix(secure.URL, "https://")
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})), 0o600)
	no := []string{"!plainHTTP", "!caFile", "!passwordFile", "!command-line"}
	for name, c := range map[string]struct {
		host string
		args []string
		want string
	}{
		"plain":             {plain, nil, regexp.QuoteMeta(plain) + `.* give --plain-http if that is intended`},
		"unknown_authority": {tls, nil, regexp.QuoteMeta(tls) + `.* --ca-file`},
		"wants_tls":         {tls, []string{"--plain-http"}, `leave out --plain-http`},
		"authority_given":   {tls, []string{"--ca-file", ca}, `404`},
		"no_login":          {closed, []string{"--plain-http"}, `no login: log in with "docker login ` + regexp.QuoteMeta(closed) + `"`},
		"no_certificate":    {tls, []string{"--ca-file", s.config}, `--ca-file .* holds no certificate`},
		"both":              {tls, []string{"--ca-file", ca, "--plain-http"}, `exclude each other`},
	} {
		t.Run(name, func(t *testing.T) {
			code := 3
			if name == "no_certificate" || name == "both" {
				code = 1
			}
			expect(t, code, append([]string{c.host + "/team/app:1", "-c", s.config}, c.args...), append(no, c.want)...)
		})
	}
}
